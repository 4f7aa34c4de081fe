"""One thread for everything that waits: timers, and the connections of probes and hooks.

Callbacks run on the loop's thread and must not block.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import selectors
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn

__all__ = ["Loop", "Timer"]

logger = logging.getLogger(__name__)


@dataclass(order=True)
class Timer:
    """Something to be called at a time; `cancel` takes it back."""

    due: float  # monotonic
    number: int
    callback: Callable[[], None] | None = field(compare=False)

    def cancel(self) -> None:
        """See to it that it is not called, unless it is being called already."""
        self.callback = None


class Loop:
    """Timers and sockets; a service. What still waits when it is stopped is dropped."""

    def __init__(self, name: str, clock: Clock = SYSTEM) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._timers: list[Timer] = []  # under the lock
        self._calls: list[Callable[[], None]] = []  # under the lock
        self._stopped = False  # under the lock
        self._thread: Thread | None = None  # under the lock
        self._numbers = itertools.count()
        self._selector: selectors.BaseSelector | None = None  # the loop thread's, once it runs
        self._watched: set[int] = set()  # the loop thread's
        self._wake: socket.socket | None = None  # under the lock

    def start(self) -> None:
        """Start the thread."""
        with self._lock:
            if self._stopped or self._thread is not None:
                return
            reader, self._wake = socket.socketpair()
            reader.setblocking(False)
            self._wake.setblocking(False)
            self._selector = selectors.DefaultSelector()
            self._thread = spawn(self._run, reader, name=self._name)

    def stop(self, deadline: Deadline) -> None:
        """End the thread."""
        with self._lock:
            self._stopped = True
            self._calls.clear()
            self._timers.clear()
            thread = self._thread
            self._poke()
        if thread is not None:
            join_all([thread], deadline)

    def call(self, callback: Callable[[], None]) -> None:
        """Run `callback` on the loop's thread soon."""
        with self._lock:
            if not self._stopped:
                self._calls.append(callback)
                self._poke()

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Run `callback` on the loop's thread after a time."""
        timer = Timer(self._clock.monotonic() + seconds, next(self._numbers), callback)
        with self._lock:
            if not self._stopped:
                heapq.heappush(self._timers, timer)
                if self._timers[0] is timer and threading.current_thread() is not self._thread:
                    self._poke()
        return timer

    def _poke(self) -> None:
        if self._wake is not None:
            with contextlib.suppress(BlockingIOError, OSError):
                self._wake.send(b".")

    # -- for callbacks on the loop's thread -----------------------------------------------------------

    def watch(self, sock: socket.socket, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` when the socket is ready."""
        assert self._selector is not None
        # Asked for, not tried: the selector's KeyError costs more than the rest, it prints the socket.
        if sock.fileno() in self._watched:
            self._selector.modify(sock, events, callback)
        else:
            self._watched.add(sock.fileno())
            self._selector.register(sock, events, callback)

    def forget(self, sock: socket.socket) -> None:
        """Stop watching; before the socket is closed."""
        assert self._selector is not None
        if sock.fileno() in self._watched:
            self._watched.remove(sock.fileno())
            self._selector.unregister(sock)

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self, reader: socket.socket) -> None:
        assert self._selector is not None
        self._selector.register(reader, selectors.EVENT_READ, None)
        try:
            while True:
                now = self._clock.monotonic()
                timeout, stopped = self._next(now)
                if stopped:
                    return
                for key, events in self._selector.select(timeout):
                    if key.data is None:
                        _empty(reader)
                    else:
                        self._guard(lambda key=key, events=events: key.data(events))  # type: ignore[misc]
                # After the sockets, and only what was due before they were looked at: where this thread stood still,
                # an answer that came in time must not lose to its probe's timer.
                for callback in self._due(now):
                    self._guard(callback)
        finally:
            self._close(reader)

    def _next(self, now: float) -> tuple[float | None, bool]:
        """Return how long to wait for sockets, None for ever, and whether the loop has been stopped."""
        with self._lock:
            while self._timers and self._timers[0].callback is None:
                heapq.heappop(self._timers)
            timeout = self._timers[0].due - now if self._timers else None
            return 0.0 if self._calls else timeout, self._stopped

    def _due(self, now: float) -> list[Callable[[], None]]:
        """Take out what is to be called: what was asked for, and the timers that were due at `now`."""
        with self._lock:
            due, self._calls = self._calls, []
            while self._timers and self._timers[0].due <= now:
                callback = heapq.heappop(self._timers).callback
                if callback is not None:
                    due.append(callback)
            return due

    def _guard(self, callback: Callable[[], None]) -> None:
        try:
            callback()
        except Exception:
            logger.exception("%s: a callback failed", self._name)

    def _close(self, reader: socket.socket) -> None:
        assert self._selector is not None
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        reader.close()
        with self._lock:
            if self._wake is not None:
                self._wake.close()
                self._wake = None


def _empty(reader: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while reader.recv(4096):
            pass
