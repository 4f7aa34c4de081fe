"""Threads on demand, up to a limit, for work that is short; work that turns out to be long leaves the count.

A server cannot know beforehand which request becomes a watch that is held for hours. So each request starts
on a thread of the pool, and when its answer turns out to be a stream the thread is detached: another may be
started in its place. What bounds the number of streams is the server's business.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable

from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn

__all__ = ["Pool"]

logger = logging.getLogger(__name__)


class Pool:
    """At most `limit` threads, named NAME-1 and so on; one that had nothing to do for `idle` seconds ends."""

    def __init__(self, name: str, limit: int, *, idle: float = 10.0) -> None:
        self._name = name
        self._limit = limit
        self._idle_seconds = idle
        self._changed = threading.Condition()
        # All under the lock of _changed.
        self._tasks: deque[Callable[[], None]] = deque()
        self._threads: set[Thread] = set()
        self._detached: set[Thread] = set()
        self._counted = 0  # threads within the limit, those being started included
        self._starting = 0
        self._waiting = 0
        self._made = 0
        self._stopped = False

    def submit(self, task: Callable[[], None]) -> bool:
        """Run `task` on a thread as soon as one is free; False when the pool has stopped."""
        with self._changed:
            if self._stopped:
                return False
            self._tasks.append(task)
            if self._waiting >= len(self._tasks):
                self._changed.notify()
                return True
            if self._counted >= self._limit:
                return True
            name = self._count_one()
        self._start(name)
        return True

    def detach(self) -> None:
        """Say, from a task, that it will take long: its thread no longer counts."""
        with self._changed:
            thread = threading.current_thread()
            if thread not in self._threads or thread in self._detached:
                return
            self._detached.add(thread)
            self._counted -= 1
            if not self._tasks or self._stopped:
                return
            name = self._count_one()
        self._start(name)

    @property
    def crowded(self) -> bool:
        """Whether work waits for a thread, or soon might: half of the threads are at work."""
        with self._changed:
            return bool(self._tasks) or (self._counted - self._waiting) * 2 > self._limit

    def __len__(self) -> int:
        with self._changed:
            return len(self._threads)

    def stop(self) -> None:
        """Take no more tasks, drop those that wait, let idle threads end; returns at once."""
        with self._changed:
            self._stopped = True
            self._tasks.clear()
            self._changed.notify_all()

    def join(self, deadline: Deadline) -> list[str]:
        """After `stop`: wait for all threads; return the names of the late."""
        with self._changed:
            self._changed.wait_for(lambda: not self._starting, deadline.remaining())
            threads = list(self._threads)
        return join_all(threads, deadline)

    # ------------------------------------------------------------------------------------------------------

    def _count_one(self) -> str:
        self._counted += 1
        self._made += 1
        self._starting += 1
        return f"{self._name}-{self._made}"

    def _start(self, name: str) -> None:
        try:
            spawn(self._run, name=name)
        except RuntimeError:  # the process or the machine is out of threads
            logger.exception("no thread for %s; its work waits for those that run", self._name)
            with self._changed:
                self._counted -= 1
                self._starting -= 1

    def _run(self) -> None:
        thread = threading.current_thread()
        with self._changed:
            self._threads.add(thread)
            self._starting -= 1
            if self._stopped:
                self._changed.notify_all()  # join wants to know it
        try:
            while (task := self._next(thread)) is not None:
                try:
                    task()
                except Exception:
                    logger.exception("a task of %s failed", self._name)
        finally:
            with self._changed:
                self._threads.discard(thread)

    def _next(self, thread: Thread) -> Callable[[], None] | None:
        """Return the next task, or None when this thread, which then no longer counts, has to end."""
        with self._changed:
            if thread in self._detached:
                self._detached.discard(thread)
                if self._counted >= self._limit:
                    return None
                self._counted += 1
            while not self._tasks:
                if self._stopped or not self._wait():
                    self._counted -= 1
                    return None
            return self._tasks.popleft()

    def _wait(self) -> bool:
        self._waiting += 1
        try:
            # With a task there although the time is over, the loop above takes it.
            return self._changed.wait(self._idle_seconds) or bool(self._tasks)
        finally:
            self._waiting -= 1
