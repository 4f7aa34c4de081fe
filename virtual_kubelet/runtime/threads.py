"""Threads with a name, an owner and a bounded end; the only module that makes them.

Whoever calls `spawn` keeps the thread and ends it: by a `StopSignal`, by closing what it blocks on, and then
by `join_all` under a `Deadline`. "Stuck on exit" is one log line with the thread's name.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Deadline", "StopSignal", "Thread", "join_all", "spawn"]

logger = logging.getLogger(__name__)

Thread = threading.Thread  # for annotations elsewhere; `spawn` makes them


def spawn(target: Callable[..., Any], *args: Any, name: str, daemon: bool = False) -> Thread:
    """Start `target(*args)` in a thread called `name`; an exception that leaves it is logged.

    A daemon thread is for foreign calls that cannot be interrupted: it does not keep the process alive.
    """
    thread = Thread(target=_run, args=(target, args), name=name, daemon=daemon)
    thread.start()
    return thread


def _run(target: Callable[..., Any], args: tuple[Any, ...]) -> None:
    try:
        target(*args)
    except Exception:
        logger.exception("thread %s ended by an error", threading.current_thread().name)


class Deadline:
    """A moment by which something has to be over: computed once, the rest handed down."""

    def __init__(self, seconds: float, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._end = clock.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds that are left; 0 when it has passed."""
        return max(0.0, self._end - self._clock.monotonic())

    @property
    def expired(self) -> bool:
        """Tell whether it has passed."""
        return self.remaining() <= 0.0


def join_all(threads: Iterable[Thread], deadline: Deadline) -> list[str]:
    """Wait for `threads` to end; return the names of those that did not, which are also logged.

    The calling thread is skipped: a service may be stopped from one of its own threads.
    """
    late = []
    for thread in threads:
        if thread is threading.current_thread():
            continue
        thread.join(deadline.remaining())
        if thread.is_alive():
            late.append(thread.name)
    if late:
        logger.warning("threads that did not end in time: %s", ", ".join(late))
    return late


class StopSignal:
    """Set once, for good; wakes those who wait for it and runs callbacks that free blocked calls."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._condition = threading.Condition()
        self._is_set = False
        self._callbacks: list[Callable[[], None]] = []

    def set(self) -> None:
        """Set the signal and run the callbacks, each at most once, in the calling thread."""
        with self._condition:
            self._is_set = True
            callbacks, self._callbacks = self._callbacks, []
            self._condition.notify_all()
        for callback in callbacks:
            _call(callback)

    def is_set(self) -> bool:
        """Tell whether `set` was called."""
        return self._is_set  # written once, under the lock; a stale False is seen True by the next look

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for the signal or for `timeout` seconds; tell whether it is set."""
        with self._condition:
            end = None if timeout is None else self._clock.monotonic() + timeout
            while not self._is_set:
                rest = None if end is None else end - self._clock.monotonic()
                if rest is not None and rest <= 0:
                    break
                self._clock.wait(self._condition, rest)
            return self._is_set

    def on_set(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the signal is set, or at once if it is already. It must not block."""
        with self._condition:
            if not self._is_set:
                self._callbacks.append(callback)
                return
        _call(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back; nothing happens if it has run or was never there."""
        with self._condition:
            if callback in self._callbacks:
                self._callbacks.remove(callback)


def _call(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:
        logger.exception("a stop callback failed")
