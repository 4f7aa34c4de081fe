"""A client's ends of an exec or attach session, in memory."""

from __future__ import annotations

import queue
import threading


class FakeIO:
    def __init__(self, *, stdin=False, tty=False, size=None):
        self.stdin, self.stdout, self.stderr, self.tty = stdin, True, not tty, tty
        self.output = b""
        self.broken = False  # the client does not take output
        self._input = queue.Queue()
        self._closed = threading.Event()
        self._callbacks = []
        self._sizes = queue.Queue()
        if size:
            self._sizes.put(size)

    def type(self, *pieces):
        """Type; None is the end of the input."""
        for piece in pieces:
            self._input.put(piece or b"")

    def hang_up(self):
        self._closed.set()
        self._input.put(b"")
        self._sizes.put(None)
        for callback in self._callbacks:
            callback()

    @property
    def closed(self):
        return self._closed.is_set()

    def on_close(self, callback):
        self._callbacks.append(callback)

    def read_stdin(self, size=32768):
        return self._input.get()

    def write_stdout(self, data):
        if self.broken:
            raise BrokenPipeError
        self.output += data

    def write_stderr(self, data):
        raise AssertionError("Azure has no standard error of its own")

    def resizes(self):
        while (size := self._sizes.get()) is not None:
            yield size
