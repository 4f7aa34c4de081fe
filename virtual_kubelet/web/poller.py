"""One thread that waits for every socket that is quiet at the moment, so that waiting costs no thread.

Each registration is for one event: it ends when the event, its time, or the poller's end comes, and
its callback is told which. Callbacks run on the poller's thread and must not block.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn

__all__ = ["Outcome", "Pollable", "Poller", "Registration"]

logger = logging.getLogger(__name__)


class Outcome(Enum):
    """How a registration ended."""

    READY = "ready"
    EXPIRED = "expired"
    STOPPED = "stopped"


class Pollable(Protocol):
    """What can be waited for: a `Transport`, or a listener."""

    def fileno(self) -> int:
        """Return the descriptor."""

    def hold(self) -> bool:
        """Keep the descriptor open; False when it is closed already."""

    def release(self) -> None:
        """Undo `hold`."""


@dataclass(eq=False)
class Registration:
    """A wait under way."""

    target: Pollable
    events: int
    callback: Callable[[Outcome], None]
    deadline: float | None  # monotonic
    done: bool = False
    cancelled: bool = False
    known: bool = False  # to the thread


class Poller:
    """A service: waits until sockets are ready."""

    def __init__(self, name: str, *, clock: Clock = SYSTEM) -> None:
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        self._incoming: deque[Registration] = deque()  # under the lock
        self._stopped = False  # under the lock
        self._thread: Thread | None = None
        self._wake_in: socket.socket | None = None
        # The thread's own.
        self._timers: list[tuple[float, int, Registration]] = []
        self._order = itertools.count()

    def start(self) -> None:
        """Start the thread."""
        receiver, self._wake_in = socket.socketpair()
        receiver.setblocking(False)
        self._wake_in.setblocking(False)
        self._thread = spawn(self._run, receiver, name=self._name)

    def wait(
        self,
        target: Pollable,
        events: int,
        callback: Callable[[Outcome], None],
        timeout: float | None = None,
    ) -> Registration:
        """Call `callback(outcome)` once, when one of `events` (of `selectors`) comes or time is over.

        With no events it is a timer. The target's descriptor is held meanwhile; a target that is closed
        already is READY at once. A target is waited for once at a time.
        """
        deadline = None if timeout is None else self._clock.monotonic() + timeout
        entry = Registration(target, events, callback, deadline)
        if not target.hold():
            entry.done = True
            self._call(entry, Outcome.READY)
            return entry
        with self._lock:
            stopped = self._stopped
            if not stopped:
                self._incoming.append(entry)
                self._wake()
        if stopped:
            self._end(entry, Outcome.STOPPED)
        return entry

    def cancel(self, entry: Registration) -> None:
        """Take a wait back: its target may be waited for again. Its callback may be running already."""
        with self._lock:
            if not self._stopped and not entry.done:
                entry.cancelled = True
                self._incoming.append(entry)
                self._wake()

    def stop(self, deadline: Deadline) -> None:
        """End every wait with STOPPED, then the thread."""
        with self._lock:
            self._stopped = True
            self._wake()
        if self._thread is not None:
            join_all([self._thread], deadline)

    def _wake(self) -> None:
        """Wake the thread; the lock is held, which keeps the socket from being closed meanwhile."""
        if self._wake_in is None:
            return
        try:
            self._wake_in.send(b"x")
        except OSError:
            pass  # so many wakes are under way that one more says nothing, or the thread is ending

    # ------------------------------------------------------------------------------------------------------
    # The thread

    def _run(self, receiver: socket.socket) -> None:
        selector = selectors.DefaultSelector()
        selector.register(receiver, selectors.EVENT_READ)
        try:
            while self._take_incoming(selector):
                for key, _ in selector.select(self._timeout()):
                    if key.data is None:
                        _drain(receiver)
                    else:
                        self._finish(selector, key.data, Outcome.READY)
                self._expire(selector)
        finally:
            waiting = [key.data for key in selector.get_map().values() if key.data is not None]
            waiting += [entry for _, _, entry in self._timers if not entry.events]
            for entry in waiting:
                self._finish(selector, entry, Outcome.STOPPED)
            selector.close()
            receiver.close()
            self._close_wake()

    def _close_wake(self) -> None:
        with self._lock:
            self._stopped = True
            late, self._incoming = self._incoming, deque()
            if self._wake_in is not None:
                self._wake_in.close()
                self._wake_in = None
        for entry in late:
            if not entry.done:
                self._end(entry, Outcome.STOPPED)

    def _take_incoming(self, selector: selectors.BaseSelector) -> bool:
        with self._lock:
            incoming, self._incoming = self._incoming, deque()
            stopped = self._stopped
        for entry in incoming:
            if entry.cancelled:
                self._withdraw(selector, entry)
                continue
            if entry.events and not self._register(selector, entry):
                continue
            entry.known = True
            if entry.deadline is not None:
                heapq.heappush(self._timers, (entry.deadline, next(self._order), entry))
        self._compact(len(selector.get_map()))
        return not stopped

    def _register(self, selector: selectors.BaseSelector, entry: Registration) -> bool:
        try:
            selector.register(entry.target, entry.events, entry)
        except (ValueError, KeyError, OSError):
            logger.exception("%s: a socket cannot be waited for", self._name)
            self._end(entry, Outcome.EXPIRED)
            return False
        return True

    def _withdraw(self, selector: selectors.BaseSelector, entry: Registration) -> None:
        """Undo a registration, perhaps before it was made: a cancelled entry may come by twice."""
        if entry.done:
            return
        entry.done = True
        if entry.known and entry.events:
            selector.unregister(entry.target)
        entry.target.release()

    def _compact(self, alive: int) -> None:
        """Drop timers of waits that ended early, once they are the most."""
        if len(self._timers) > 2 * alive + 64:
            self._timers = [timer for timer in self._timers if not timer[2].done]
            heapq.heapify(self._timers)

    def _timeout(self) -> float | None:
        while self._timers and self._timers[0][2].done:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - self._clock.monotonic())

    def _expire(self, selector: selectors.BaseSelector) -> None:
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, entry = heapq.heappop(self._timers)
            if not entry.done:
                self._finish(selector, entry, Outcome.EXPIRED)

    def _finish(self, selector: selectors.BaseSelector, entry: Registration, outcome: Outcome) -> None:
        if entry.done:
            return
        if entry.events:
            selector.unregister(entry.target)
        if entry.cancelled:
            entry.done = True
            entry.target.release()
            return
        self._end(entry, outcome)

    def _end(self, entry: Registration, outcome: Outcome) -> None:
        entry.done = True
        # First the callback: it may hand the descriptor on, which must not be closed in between.
        self._call(entry, outcome)
        entry.target.release()

    def _call(self, entry: Registration, outcome: Outcome) -> None:
        try:
            entry.callback(outcome)
        except Exception:
            logger.exception("%s: a callback failed", self._name)


def _drain(receiver: socket.socket) -> None:
    try:
        while receiver.recv(4096):
            pass
    except BlockingIOError:
        pass
