from __future__ import annotations

import threading

import pytest

from virtual_kubelet.runtime.clock import SYSTEM, SteppedClock
from virtual_kubelet.runtime.threads import spawn


class Sleeper:
    """A thread that waits once, and what its wait returned."""

    def __init__(self, clock, timeout):
        self.condition = threading.Condition()
        self.result = None
        self.thread = spawn(self._run, clock, timeout, name="sleeper")

    def _run(self, clock, timeout):
        with self.condition:
            self.result = clock.wait(self.condition, timeout)

    def join(self):
        self.thread.join(30)
        assert not self.thread.is_alive()
        return self.result


def test_advance_wakes_those_whose_time_has_come():
    clock = SteppedClock()
    short, long = Sleeper(clock, 5), Sleeper(clock, 10)
    clock.block_until(2)
    assert clock.next_deadline() == 5
    clock.advance(5)
    assert short.join() is False
    assert long.thread.is_alive()
    clock.advance(5)
    assert long.join() is False


def test_a_notification_ends_a_wait_early():
    clock = SteppedClock()
    sleeper = Sleeper(clock, None)
    clock.block_until(1, timed=False)
    with pytest.raises(TimeoutError):
        clock.block_until(1, timeout=0.01)
    with sleeper.condition:
        sleeper.condition.notify_all()
    assert sleeper.join() is True


def test_both_times_move_together():
    clock = SteppedClock(start=100.0)
    clock.advance(2.5)
    assert (clock.now(), clock.monotonic()) == (102.5, 2.5)


@pytest.mark.parametrize("clock", [SYSTEM, SteppedClock()])
def test_no_time_is_no_wait(clock):
    condition = threading.Condition()
    with condition:
        assert clock.wait(condition, 0) is False
        assert clock.wait(condition, -1) is False


def test_the_system_clock_waits_for_notifications():
    sleeper = Sleeper(SYSTEM, 1e12)  # more than the platform can count
    while sleeper.result is None:
        with sleeper.condition:
            sleeper.condition.notify_all()
    assert sleeper.join() is True
