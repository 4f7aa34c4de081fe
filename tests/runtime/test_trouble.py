from __future__ import annotations

import logging

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.trouble import Trouble

logger = logging.getLogger(__name__)


def test_it_is_said_now_and_then_and_when_it_is_over(caplog):
    caplog.set_level(logging.INFO)
    clock = SteppedClock()
    trouble = Trouble("the engine", logger, clock)
    trouble.over()
    for _ in range(25):
        trouble.say(Unavailable("no answer"))
        clock.advance(1)
    trouble.over()
    trouble.over()
    assert [record.getMessage() for record in caplog.records] == [
        "the engine: no answer (for 0 s)",
        "the engine: no answer (for 10 s)",
        "the engine: no answer (for 20 s)",
        "the engine: works again after 25.0 s",
    ]
    assert "Traceback" not in caplog.text


def test_what_nobody_expected_shows_where_it_came_from_once(caplog):
    clock = SteppedClock()
    trouble = Trouble("the loop", logger, clock)
    for _ in range(2):
        try:
            raise KeyError
        except KeyError as error:
            trouble.say(error)
        clock.advance(10)
    assert [record.getMessage() for record in caplog.records] == [
        "the loop: KeyError (for 0 s)",
        "the loop: KeyError (for 10 s)",
    ]
    assert caplog.text.count("Traceback") == 1
