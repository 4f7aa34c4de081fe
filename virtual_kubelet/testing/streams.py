"""The client's ends of exec, attach and port-forward: input from a queue, output into buffers.

`ScriptedIO` is an `ExecIO`, `ScriptedForward` a `ForwardStream`: what the agent hands to a provider, without an agent
and a network.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.testing.waiting import eventually

__all__ = ["ScriptedForward", "ScriptedIO"]


class _Client:
    """Someone who types, and may go away."""

    def __init__(self) -> None:
        self._input: queue.Queue[bytes] = queue.Queue()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []  # under the lock
        self.closed = False  # set under the lock
        self.out = bytearray()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the client goes, or now if it has."""
        with self._lock:
            if not self.closed:
                self._callbacks.append(callback)
                return
        callback()

    def end_input(self) -> None:
        """Close this side."""
        self._input.put(b"")

    def close(self) -> None:
        """Go away; also what ends a session that is over."""
        with self._lock:
            self.closed = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
        self.end_input()

    def saw(self, text: bytes, timeout: float = 30.0) -> None:
        """Wait until `text` has come."""
        eventually(
            lambda: text in bytes(self.out),
            timeout,
            lambda: f"{text!r} never came, but {bytes(self.out[-500:])!r}",
        )

    def _refuse_when_gone(self) -> None:
        if self.closed:
            raise BrokenPipeError("the client has gone")


class ScriptedIO(_Client):
    """An `ExecIO`. Clear `hold` for a client that is slow: it takes no more standard output until it is set."""

    def __init__(
        self, *, stdin: bool = False, stdout: bool = True, stderr: bool = True, tty: bool = False
    ) -> None:
        super().__init__()
        self.stdin, self.stdout, self.stderr, self.tty = stdin, stdout, stderr and not tty, tty
        self.err = bytearray()
        self.hold = threading.Event()
        self.hold.set()
        self._sizes: queue.Queue[TerminalSize | None] = queue.Queue()

    def type(self, data: bytes) -> None:
        """Send input to the container."""
        self._input.put(data)

    def read_stdin(self, size: int = 32768) -> bytes:
        """Wait for what was typed."""
        return self._input.get()

    def write_stdout(self, data: bytes) -> None:
        """Keep output."""
        self.hold.wait()
        self._refuse_when_gone()
        self.out += data

    def write_stderr(self, data: bytes) -> None:
        """Keep error output."""
        self._refuse_when_gone()
        self.err += data

    def resizes(self) -> Iterator[TerminalSize]:
        """Yield the sizes that `resize` was given."""
        while (size := self._sizes.get()) is not None:
            yield size

    def resize(self, size: TerminalSize) -> None:
        """Change the size of the client's terminal."""
        self._sizes.put(size)

    def close(self) -> None:
        """Go away."""
        super().close()
        self._sizes.put(None)
        self.hold.set()


class ScriptedForward(_Client):
    """A `ForwardStream`."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = threading.Event()  # the pod's side has said that no more will come

    def send(self, data: bytes) -> None:
        """Send bytes to the pod."""
        self._input.put(data)

    def read(self, size: int = 32768) -> bytes:
        """Wait for what was sent."""
        return self._input.get()

    def write(self, data: bytes) -> None:
        """Keep what the pod sent."""
        self._refuse_when_gone()
        self.out += data

    def close_write(self) -> None:
        """Note the end."""
        self.ended.set()
