from __future__ import annotations

import threading

import pytest
from support.waiting import eventually

from virtual_kubelet.kubelet.review_cache import ReviewCache
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import spawn


class Asked:
    def __init__(self, *answers):
        self.answers, self.count = list(answers), 0

    def __call__(self):
        self.count += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_each_verdict_lives_as_long_as_it_says():
    clock = SteppedClock()
    cache = ReviewCache(10, lambda allowed: 300 if allowed else 30, clock)
    yes, no = Asked(True, False), Asked(False, True)
    assert (cache.get("yes", yes), cache.get("no", no)) == (True, False)
    clock.advance(29)
    assert (cache.get("yes", yes), cache.get("no", no)) == (True, False)
    clock.advance(1)
    assert (cache.get("yes", yes), cache.get("no", no)) == (True, True)
    clock.advance(270)
    assert cache.get("yes", yes) is False
    assert (yes.count, no.count) == (2, 2)


def test_a_failure_is_not_remembered():
    cache, asked = ReviewCache(10, lambda _: 60, SteppedClock()), Asked(ValueError("away"), True)
    with pytest.raises(ValueError, match="away"):
        cache.get("k", asked)
    assert cache.get("k", asked) is True


def test_it_is_bounded():
    cache = ReviewCache(3, lambda _: 60, SteppedClock())
    for n in range(100):
        cache.get(n, lambda: True)
    assert len(cache._known) == 3


@pytest.mark.parametrize("answer", [True, ValueError("away")])
def test_one_question_at_a_time(answer):
    cache, go, asked, got = ReviewCache(10, lambda _: 60, SteppedClock()), threading.Event(), [], []

    def ask():
        asked.append(1)
        go.wait(30)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def client():
        try:
            got.append(cache.get("k", ask))
        except ValueError as error:
            got.append(error)

    threads = [spawn(client, name="client") for _ in range(8)]
    eventually(lambda: asked)
    assert cache.get("other", lambda: "other") == "other"  # others do not wait
    go.set()
    for thread in threads:
        thread.join()
    assert got == [answer] * 8
    # One that came late, after a failure, may have asked again.
    assert len(asked) == 1 or isinstance(answer, Exception)
    assert not cache._asking
