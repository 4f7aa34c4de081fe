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


def test_what_comes_and_goes_is_not_said_each_time(caplog):
    caplog.set_level(logging.INFO)
    clock = SteppedClock()
    trouble = Trouble("the loop", logger, clock)
    for _ in range(12):
        trouble.say(KeyError("x"))
        clock.advance(1)
        trouble.over()
        clock.advance(1)
    assert [record.getMessage() for record in caplog.records] == [
        "the loop: 'x' (for 0 s)",
        "the loop: works again after 1.0 s",
    ] * 3
    assert [bool(record.exc_info) for record in caplog.records] == [True, False] * 3


def test_an_episode_that_lasts_is_said_though_it_began_in_silence(caplog):
    caplog.set_level(logging.INFO)
    clock = SteppedClock()
    trouble = Trouble("the engine", logger, clock)
    trouble.say(Unavailable("no answer"))
    trouble.over()
    clock.advance(4)
    for _ in range(8):
        trouble.say(Unavailable("no answer"))
        clock.advance(1)
    trouble.over()
    assert [record.getMessage() for record in caplog.records][2:] == [
        "the engine: no answer (for 6 s)",
        "the engine: works again after 8.0 s",
    ]
