"""An `ExecIO` and a `ForwardStream` for tests: input from a queue, output into buffers."""

from __future__ import annotations

import queue
import threading

from support.waiting import eventually


class FakeIO:
    def __init__(self, *, stdin=False, stdout=True, stderr=True, tty=False):
        self.stdin, self.stdout, self.stderr, self.tty = stdin, stdout, stderr and not tty, tty
        self.out = bytearray()
        self.err = bytearray()
        self._input = queue.Queue()
        self._sizes = queue.Queue()
        self._callbacks = []
        self._lock = threading.Lock()
        self.closed = False
        self.hold = threading.Event()
        self.hold.set()

    def on_close(self, callback):
        with self._lock:
            if not self.closed:
                self._callbacks.append(callback)
                return
        callback()

    def read_stdin(self, size=32768):
        return self._input.get()

    def write_stdout(self, data):
        self.hold.wait()
        if self.closed:
            raise BrokenPipeError
        self.out += data

    def write_stderr(self, data):
        if self.closed:
            raise BrokenPipeError
        self.err += data

    def resizes(self):
        while (size := self._sizes.get()) is not None:
            yield size

    # the client's side

    def type(self, data):
        self._input.put(data)

    def end_input(self):
        self._input.put(b"")

    def resize(self, size):
        self._sizes.put(size)

    def close(self):
        """The client goes, or the session is over."""
        with self._lock:
            self.closed = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        self._input.put(b"")
        self._sizes.put(None)
        self.hold.set()

    def saw(self, text):
        eventually(lambda: text in bytes(self.out), message=f"{text} never came: {bytes(self.out)[-500:]}")


class FakeForward:
    """The client's side of a forwarded connection."""

    def __init__(self):
        self._input = queue.Queue()
        self.out = bytearray()
        self.ended = threading.Event()
        self.closed = False
        self._callbacks = []

    def read(self, size=32768):
        return self._input.get()

    def write(self, data):
        if self.closed:
            raise BrokenPipeError
        self.out += data

    def close_write(self):
        self.ended.set()

    def on_close(self, callback):
        self._callbacks.append(callback)

    def send(self, data):
        self._input.put(data)

    def close(self):
        self.closed = True
        for callback in self._callbacks:
            callback()
        self._input.put(b"")
