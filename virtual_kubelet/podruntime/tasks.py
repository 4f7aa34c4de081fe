"""A few threads for what may take long: image pulls, tokens, a backend that thinks. They come and go with the work."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn

__all__ = ["Tasks"]

logger = logging.getLogger(__name__)

IDLE_SECONDS = 0.2


class Tasks:
    """Runs callables in at most `limit` threads, in the order in which they came.

    What waits when it is stopped is dropped: whoever asked looks again after the next start.
    """

    def __init__(self, limit: int, name: str, clock: Clock = SYSTEM) -> None:
        self._limit = limit
        self._name = name
        self._clock = clock
        self._condition = threading.Condition()
        # All under the condition:
        self._waiting: deque[Callable[[], None]] = deque()
        self._threads: set[Thread] = set()
        self._idle = 0
        self._count = 0
        self._stopped = False

    def submit(self, task: Callable[[], None]) -> None:
        """Run `task` as soon as a thread is free; it handles its own errors."""
        with self._condition:
            if self._stopped:
                return
            self._waiting.append(task)
            if self._idle >= len(self._waiting):
                self._condition.notify()
            elif len(self._threads) < self._limit:
                self._count += 1
                # Started under the lock: it must be in the set before anybody can ask who is there.
                self._threads.add(spawn(self._work, name=f"{self._name}-{self._count}"))

    def stop(self, deadline: Deadline) -> None:
        """Drop what waits and wait for what runs."""
        with self._condition:
            self._stopped = True
            self._waiting.clear()
            self._condition.notify_all()
            threads = list(self._threads)
        join_all(threads, deadline)

    def _work(self) -> None:
        while True:
            task = self._next()
            if task is None:
                return
            try:
                task()
            except Exception:
                logger.exception("%s: a task failed", self._name)

    def _next(self) -> Callable[[], None] | None:
        with self._condition:
            end = self._clock.monotonic() + IDLE_SECONDS
            while not self._waiting and not self._stopped:
                rest = end - self._clock.monotonic()
                if rest <= 0:
                    break
                self._idle += 1
                try:
                    self._clock.wait(self._condition, rest)
                finally:
                    self._idle -= 1
            if self._waiting and not self._stopped:
                return self._waiting.popleft()
            self._threads.discard(threading.current_thread())
            return None
