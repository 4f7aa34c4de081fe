"""The provider's view of an exec or attach session, whatever carries it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.remotecommand import ResizeDecoder, Streams

__all__ = ["Client", "Readable", "SessionIO", "TerminalSizes", "Writable"]

logger = logging.getLogger(__name__)


class Readable(Protocol):
    """A stream that the client writes to."""

    def read(self, size: int) -> bytes:
        """Wait for bytes; b"" at the end."""


class Writable(Protocol):
    """A stream that the client reads."""

    def write(self, data: bytes) -> None:
        """Send bytes; waits while the client is slow."""


class Client(Protocol):
    """The connection to the client."""

    @property
    def closed(self) -> bool:
        """Whether it has ended."""

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when it has ended, or at once if it has."""

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back."""


class TerminalSizes:
    """The newest size of a terminal: one that nobody has looked at yet is replaced by the next."""

    def __init__(self) -> None:
        self._decoder: ResizeDecoder | None = ResizeDecoder()  # only the connection's reader uses it
        self._changed = threading.Condition()
        self._size: TerminalSize | None = None  # under the lock of _changed
        self._ended = False  # under the lock of _changed

    def feed(self, data: bytes) -> None:
        """Take bytes from the client; never waits."""
        if self._decoder is None:
            return
        try:
            sizes = self._decoder.feed(data)
        except RemoteProtocolError as error:
            # As the kubelet does: the session goes on without resizes.
            logger.debug("a client's terminal sizes are ignored from now on: %s", error)
            self._decoder = None
            return
        if sizes:
            with self._changed:
                self._size = TerminalSize(*sizes[-1])
                self._changed.notify_all()

    def end(self) -> None:
        """Say that no more sizes will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[TerminalSize]:
        while (size := self._next()) is not None:
            yield size

    def _next(self) -> TerminalSize | None:
        with self._changed:
            while self._size is None and not self._ended:
                self._changed.wait()
            size, self._size = self._size, None
            return size


class SessionIO:
    """`provider.ExecIO` for one session. Output that the client has not asked for is dropped.

    Args:
        asked: what the client asked for.
        client: its connection.
        stdin, stdout, stderr: the streams, None for those that it has not.
        sizes: of its terminal.
    """

    def __init__(
        self,
        asked: Streams,
        client: Client,
        *,
        stdin: Readable | None,
        stdout: Writable | None,
        stderr: Writable | None,
        sizes: TerminalSizes,
    ) -> None:
        self.tty = asked.tty
        self.stdin = stdin is not None
        self.stdout = stdout is not None
        self.stderr = stderr is not None
        self._client = client
        self._stdin, self._stdout, self._stderr = stdin, stdout, stderr
        self._sizes = sizes
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []  # under the lock
        self._finished = False  # under the lock
        client.on_close(sizes.end)

    @property
    def closed(self) -> bool:
        """See `ExecIO`."""
        return self._client.closed

    def on_close(self, callback: Callable[[], None]) -> None:
        """See `ExecIO`."""
        with self._lock:
            if self._finished:
                return
            self._callbacks.append(callback)
        self._client.on_close(callback)

    def read_stdin(self, size: int = 32768) -> bytes:
        """See `ExecIO`."""
        return self._stdin.read(size) if self._stdin is not None else b""

    def write_stdout(self, data: bytes) -> None:
        """See `ExecIO`."""
        self._write(self._stdout, data)

    def write_stderr(self, data: bytes) -> None:
        """See `ExecIO`."""
        self._write(self._stderr, data)

    def resizes(self) -> Iterator[TerminalSize]:
        """See `ExecIO`."""
        return iter(self._sizes)

    def finish(self) -> None:
        """End what the provider may still hold: its callbacks must not run for what has ended by itself."""
        with self._lock:
            self._finished = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._client.forget(callback)
        self._sizes.end()

    def _write(self, stream: Writable | None, data: bytes) -> None:
        if self._client.closed:
            raise BrokenPipeError("the client has gone")
        if data and stream is not None:
            stream.write(data)
