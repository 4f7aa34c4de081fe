from __future__ import annotations

from virtual_kubelet.pure.problems import Problem


def test_the_status_says_what_the_event_says_unless_there_is_more_to_say():
    assert Problem("R", "event", True).text == "event"
    assert Problem("R", "event", True, error="status").text == "status"
