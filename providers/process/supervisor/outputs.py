"""What a container prints, on its way: into its log, and to whoever is attached.

A client that reads slowly slows the container (its pipe fills up), as a terminal would; one that does not
read at all for a while is let go.
"""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Attachment", "Busy", "Follower", "Loop"]

HIGH_WATER = 1024 * 1024
LOW_WATER = 256 * 1024
PATIENCE = 30.0


class Busy(Protocol):
    """Something that time will ask something of."""

    @property
    def busy(self) -> bool:
        """Tell whether there is still something."""

    def tick(self, now: float) -> None:
        """Do what is due at `now` (monotonic seconds); called a few times a second."""


class Loop:
    """The selector, with callbacks; what the parts of the supervisor share."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.busy: set[Busy] = set()  # those that `tick` is called for
        self._watched: set[int] = set()

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` when `fd` is ready."""
        if fd in self._watched:
            self.selector.modify(fd, events, callback)
        else:
            self._watched.add(fd)
            self.selector.register(fd, events, callback)

    def forget(self, fd: int) -> None:
        """Stop watching."""
        if fd in self._watched:
            self._watched.remove(fd)
            self.selector.unregister(fd)

    def callback(self, fd: int) -> Callable[[int], None] | None:
        """Return who is to be called for `fd`; None when it is not watched any more."""
        return self.selector.get_key(fd).data if fd in self._watched else None


class Attachment:
    """A client's ends of a container's output: descriptors that it gave us to write to."""

    def __init__(self, loop: Loop, fds: dict[str, int], on_end: Callable[[Attachment], None]) -> None:
        self._loop = loop
        self._fds = fds
        self._on_end = on_end
        self._waiting: dict[str, bytearray] = {stream: bytearray() for stream in fds}
        self._progress = time.monotonic()
        self._finishing = False
        for fd in fds.values():
            os.set_blocking(fd, False)

    def write(self, stream: str, data: bytes) -> None:
        """Pass on what a stream gave."""
        waiting = self._waiting.get(stream)
        if waiting is None:
            return
        if not waiting:
            self._progress = time.monotonic()
        waiting += data
        self._send(stream)

    @property
    def full(self) -> bool:
        """Tell whether more would be too much."""
        return any(len(waiting) > HIGH_WATER for waiting in self._waiting.values())

    @property
    def relieved(self) -> bool:
        """Tell whether there is room again."""
        return all(len(waiting) < LOW_WATER for waiting in self._waiting.values())

    def stalled(self) -> bool:
        """Tell whether the client has stopped reading for good."""
        return any(self._waiting.values()) and time.monotonic() - self._progress > PATIENCE

    def _send(self, stream: str) -> None:
        waiting, fd = self._waiting[stream], self._fds[stream]
        while waiting:
            try:
                sent = os.write(fd, bytes(waiting[:65536]))
            except BlockingIOError:
                self._loop.watch(fd, selectors.EVENT_WRITE, lambda _events: self._send(stream))
                return
            except OSError:
                self.close()
                return
            self._progress = time.monotonic()
            del waiting[:sent]
        self._loop.forget(fd)
        if self._finishing and not any(self._waiting.values()):
            self.close()

    def finish(self) -> None:
        """Close as soon as what still waits has been sent: the container has ended."""
        self._finishing = True
        if not any(self._waiting.values()):
            self.close()

    def close(self) -> None:
        """Let the client go."""
        fds, self._fds = self._fds, {}
        self._waiting.clear()
        for fd in fds.values():
            self._loop.forget(fd)
            os.close(fd)
        if fds:
            self._on_end(self)


class Follower:
    """Somebody who reads the log file and wants a byte in a pipe when it grew."""

    def __init__(self, loop: Loop, fd: int, on_end: Callable[[Follower], None]) -> None:
        self._loop = loop
        self._fd = fd
        self._on_end = on_end
        os.set_blocking(fd, False)
        # The end that is written to becomes readable, to find an error, when nobody listens any longer.
        loop.watch(fd, selectors.EVENT_READ, lambda _events: self.close())

    def notify(self) -> None:
        """Say that there is more."""
        try:
            os.write(self._fd, b".")
        except BlockingIOError:
            return  # it has not read the last ones yet
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the pipe: the container has ended, or nobody listens."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            self._loop.forget(fd)
            os.close(fd)
            self._on_end(self)
