"""Copies between a client (`ExecIO`) and the descriptors of a process: what exec and attach are made of.

Output is complete when the process has ended and its pipe is empty; what a daemon that it left behind still
writes is not waited for. Threads that read from the client end with the client, which may be after the call.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import termios
import threading
from collections.abc import Callable

from virtual_kubelet.provider import ExecIO

__all__ = ["End", "copy_in", "copy_out", "copy_sizes"]

CHUNK = 65536
AFTER_THE_END = 4 * 1024 * 1024  # bytes: more than any pipe holds


class End:
    """The end of a session, which can be waited for together with descriptors. Shared: the last user closes it."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._lock = threading.Lock()
        self._users = 1  # under the lock
        self._set = False  # the same

    def set(self) -> None:
        """End the session."""
        with self._lock:
            if self._users and not self._set:
                self._set = True
                os.write(self._writer, b".")

    def is_set(self) -> bool:
        """Tell whether it has been set."""
        with self._lock:
            return self._set

    def share(self) -> End:
        """Count one more user, and return the end."""
        with self._lock:
            self._users += 1
        return self

    def release(self) -> None:
        """Count one user less."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                os.close(self._reader)
                os.close(self._writer)

    def wait(self, fd: int, events: int) -> bool:
        """Wait until `fd` is ready or the session ends; tell whether `fd` is ready."""
        poll = select.poll()
        poll.register(fd, events)
        poll.register(self._reader, select.POLLIN)
        return any(ready == fd for ready, _ in poll.poll())


def copy_out(fd: int, write: Callable[[bytes], None], end: End) -> None:
    """Copy what comes from `fd` to the client, until its end or the session's; closes `fd`."""
    rest = AFTER_THE_END
    try:
        while end.wait(fd, select.POLLIN) and rest > 0:
            data = os.read(fd, CHUNK)
            if not data:
                return
            write(data)
            rest = rest - len(data) if end.is_set() else AFTER_THE_END
    except OSError:
        return  # EIO: the terminal has no other side any more; EPIPE: the client has gone
    finally:
        os.close(fd)
        end.release()


def copy_in(io: ExecIO, fd: int, end: End, at_eof: Callable[[], None] | None = None) -> None:
    """Copy the client's input to `fd`, which is closed when the client says that there is no more."""
    os.set_blocking(fd, False)
    try:
        while data := io.read_stdin():
            if not _write_all(fd, data, end):
                return
        if at_eof is not None:
            at_eof()
    except OSError:
        return
    finally:
        os.close(fd)
        end.release()


def _write_all(fd: int, data: bytes, end: End) -> bool:
    view = memoryview(data)
    while view:
        if not end.wait(fd, select.POLLOUT):
            return False
        with contextlib.suppress(BlockingIOError):
            view = view[os.write(fd, view) :]
    return True


def copy_sizes(io: ExecIO, fd: int, end: End) -> None:
    """Give the terminal `fd` each size that the client's takes; closes `fd`."""
    try:
        for size in io.resizes():
            packed = struct.pack("HHHH", size.height & 0xFFFF, size.width & 0xFFFF, 0, 0)
            with contextlib.suppress(OSError):
                fcntl.ioctl(fd, termios.TIOCSWINSZ, packed)
    finally:
        os.close(fd)
        end.release()
