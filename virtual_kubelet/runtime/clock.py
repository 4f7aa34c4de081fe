"""Time as an argument: the system's clock, and one that tests step.

Everything in this package that reads a time or waits for one is given a `Clock`. A wait is always a wait on a
`threading.Condition`, so that the same wait ends by a notification, by its time, or by a stop.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Protocol

__all__ = ["SYSTEM", "Clock", "SteppedClock", "SystemClock"]


class Clock(Protocol):
    """Where time comes from."""

    def now(self) -> float:
        """Return seconds since the epoch; may jump."""

    def monotonic(self) -> float:
        """Return seconds since some moment; never goes back."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on `condition`, which the caller holds, for `timeout` seconds (None: for ever).

        Returns False when the time is over. True says only that something happened: look again, as after
        any wait on a condition.
        """


class SystemClock:
    """The clock on the wall."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return the system's monotonic time in seconds."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on `condition`; see `Clock.wait`."""
        if timeout is None:
            return condition.wait()
        return condition.wait(min(max(timeout, 0.0), threading.TIMEOUT_MAX))


SYSTEM = SystemClock()


@dataclass(eq=False)
class _Waiter:
    """One thread inside `SteppedClock.wait`; deadline None: it waits for a notification only."""

    condition: threading.Condition
    deadline: float | None


class SteppedClock:
    """A clock that stands still until a test moves it.

    A thread that waits through it sleeps until it is notified or until `advance` has moved the time past its
    deadline. A thread computes its timeout *before* it waits, so a test first makes sure that the thread
    is waiting (`block_until`), then advances: an advance in between would be lost on it.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._epoch = start
        self._elapsed = 0.0
        self._waiters: set[_Waiter] = set()

    def now(self) -> float:
        """Return the stepped time in seconds since the epoch."""
        with self._lock:
            return self._epoch + self._elapsed

    def monotonic(self) -> float:
        """Return the seconds that the clock has been advanced."""
        with self._lock:
            return self._elapsed

    def wait(self, condition: threading.Condition, timeout: float | None) -> bool:
        """Wait on `condition`; see `Clock.wait`. A timeout of 0 or less returns at once."""
        if timeout is not None and timeout <= 0:
            return False
        with self._lock:
            waiter = _Waiter(condition, None if timeout is None else self._elapsed + timeout)
            self._waiters.add(waiter)
            self._changed.notify_all()
        try:
            condition.wait()
        finally:
            with self._lock:
                self._waiters.discard(waiter)
                self._changed.notify_all()
                over = waiter.deadline is not None and waiter.deadline <= self._elapsed
        return not over

    def advance(self, seconds: float) -> None:
        """Move the time and wake every thread whose wait is over. Call it with no lock held."""
        with self._lock:
            self._elapsed += seconds
            due = [w for w in self._waiters if w.deadline is not None and w.deadline <= self._elapsed]
            # They wait no longer, though they have yet to wake: the next `block_until` means their next wait.
            self._waiters.difference_update(due)
        for waiter in due:
            # The waiter holds its condition from before it registered until it sleeps: whoever is on
            # the list has either gone to sleep by the time we get the lock, or has left again.
            with waiter.condition:
                waiter.condition.notify_all()

    def block_until(self, waiters: int, *, timed: bool = True, timeout: float = 30.0) -> None:
        """Wait, in real time, until `waiters` threads wait for this clock (with timed=False: wait at all).

        Raises `TimeoutError` after `timeout` real seconds.
        """

        def enough() -> bool:
            return sum(1 for w in self._waiters if not timed or w.deadline is not None) >= waiters

        with self._changed:
            if not self._changed.wait_for(enough, timeout):
                raise TimeoutError(f"fewer than {waiters} threads wait for the clock after {timeout} s")

    def next_deadline(self) -> float | None:
        """Return the monotonic time at which the first waiting thread is due, or None."""
        with self._lock:
            return min((w.deadline for w in self._waiters if w.deadline is not None), default=None)
