"""The queue between those who notice and those who work: keys, deduplicated, in order, each with its own time.

What users may rely on:

- a key is never handed to two workers at once; added while in hand, it comes back after `done`;
- a key added several times before it is taken is taken once, at the earliest of the times asked for;
- keys come in the order of their times; nothing delays a first attempt but its place in the line;
- `retry` waits by the key's own count of failures, for ever longer up to the back-off's maximum, and never
  gives up; no other key is slowed by it;
- after `shut_down`, `get` gives None at once to everybody, and what was not taken stays undone.

Not promised: that every `add` is followed by a look of its own (they merge), or fairness by anything but time.

The decisions are `pure.queue_state`'s; this is the lock, the waiting and the counting round it.
"""

from __future__ import annotations

import threading

from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.pure.queue_state import QueueState
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics

__all__ = ["WorkQueue"]


class WorkQueue:
    """A work queue of string keys for many producers and many workers."""

    def __init__(
        self,
        name: str,
        *,
        clock: Clock = SYSTEM,
        backoff: Backoff | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._backoff = backoff or Backoff()
        self._lock = threading.Lock()
        # Everything below is under the lock. Of the workers that wait, one (the timer) sleeps until the
        # next delayed key is due, the others (the idle) until they are told: a due key wakes one thread.
        self._idle_condition = threading.Condition(self._lock)
        self._timer_condition = threading.Condition(self._lock)
        self._idle = 0
        self._timer_due: float | None = None  # None: nobody has the timer
        self._state = QueueState()
        self._failures: dict[str, int] = {}
        self._retried: set[str] = set()  # keys in hand for which `retry` was called
        self._began: dict[str, float] = {}  # keys in hand -> when they were taken
        self._closed = False
        self._metrics = (metrics or Metrics()).workqueue(name)
        self._metrics.depth.set_function(lambda: float(self.ready()))
        self._metrics.unfinished.set_function(lambda: sum(self._ages()))
        self._metrics.longest.set_function(lambda: max(self._ages(), default=0.0))

    def __len__(self) -> int:
        """Return how many keys wait, due or not; those in hand are not among them."""
        with self._lock:
            return len(self._state)

    def ready(self) -> int:
        """Return how many keys are due and wait for a worker."""
        with self._lock:
            return self._state.ready(self._clock.monotonic())

    def in_hand(self) -> int:
        """Return how many keys workers have."""
        with self._lock:
            return self._state.in_hand

    def add(self, key: str) -> None:
        """Ask for `key` to be looked at as soon as possible."""
        self.add_after(key, 0.0)

    def add_after(self, key: str, delay: float) -> None:
        """Ask for `key` to be looked at in `delay` seconds, unless it comes earlier for other reasons."""
        with self._lock:
            if self._closed:
                return
            now = self._clock.monotonic()
            self._state.add(key, now + delay, now)
            self._wake(now)
        self._metrics.adds.inc()

    def retry(self, key: str, *, at_least: float = 0.0) -> float:
        """Ask for `key` again after a failure; return the delay in seconds.

        The delay grows with each `retry` of this key until `forget`, or a `done` without a `retry`; it is
        never below `at_least` (for a server that said when to come back).
        """
        with self._lock:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            if key in self._began:
                self._retried.add(key)
        delay = max(at_least, self._backoff.delay(failures))
        self.add_after(key, delay)
        self._metrics.retries.inc()
        return delay

    def failures(self, key: str) -> int:
        """Return how often in a row `retry` was called for `key`."""
        with self._lock:
            return self._failures.get(key, 0)

    def forget(self, key: str) -> None:
        """Forget the failures of `key`: its next `retry` waits as after the first. It stays queued."""
        with self._lock:
            self._failures.pop(key, None)

    def discard(self, key: str) -> None:
        """Take `key` out of the queue, with its failures; one in hand does not come back."""
        with self._lock:
            self._state.discard(key)
            self._failures.pop(key, None)

    def get(self) -> str | None:
        """Wait for the next key and take it in hand; None: shut down. Each key needs its `done`."""
        with self._lock:
            while not self._closed:
                now = self._clock.monotonic()
                taken = self._state.take(now)
                if taken is not None:
                    self._began[taken.key] = now
                    self._wake(now)
                    break
                self._wait(now)
            else:
                return None
        self._metrics.waited.observe(max(0.0, now - taken.since))
        return taken.key

    def done(self, key: str) -> None:
        """Give `key` back, whatever became of it. Raises `KeyError` when nobody has it in hand."""
        with self._lock:
            now = self._clock.monotonic()
            self._state.done(key, now)
            began = self._began.pop(key)
            if key in self._retried:
                self._retried.remove(key)
            else:
                self._failures.pop(key, None)
            self._wake(now)
        self._metrics.worked.observe(max(0.0, now - began))

    def shut_down(self) -> None:
        """Let every `get` return None; later `add`s are ignored. Keys in hand are finished by their workers."""
        with self._lock:
            self._closed = True
            self._idle_condition.notify_all()
            self._timer_condition.notify_all()

    def _wait(self, now: float) -> None:
        due = self._state.next_due()
        if due is None or self._timer_due is not None:
            self._idle += 1
            try:
                self._clock.wait(self._idle_condition, None)
            finally:
                self._idle -= 1
            return
        self._timer_due = due
        try:
            self._clock.wait(self._timer_condition, due - now)
        finally:
            self._timer_due = None

    def _wake(self, now: float) -> None:
        """Wake one waiting worker if there is something for it: a key, or the timer.

        Called after each change and by each worker that leaves with a key, so the chain does not break:
        a notification that meets nobody is made good by the worker that was on its way.
        """
        if self._closed:
            return
        if self._state.ready(now):
            (self._idle_condition if self._idle else self._timer_condition).notify()
            return
        due = self._state.next_due()
        if due is None:
            return
        if self._timer_due is None:
            self._idle_condition.notify()
        elif due < self._timer_due:
            self._timer_condition.notify()

    def _ages(self) -> list[float]:
        with self._lock:
            now = self._clock.monotonic()
            return [now - began for began in self._began.values()]
