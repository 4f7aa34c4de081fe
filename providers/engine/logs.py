"""A container's log as `LogStream`: frames taken apart, times where they belong, cut at the limit."""

from __future__ import annotations

import threading

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.provider import LogOptions, LogStream
from virtual_kubelet.providers.engine.client import Client, Query, quoted
from virtual_kubelet.providers.engine.streams import Stream
from virtual_kubelet.runtime.clock import SYSTEM
from virtual_kubelet.wire.engine_stream import FrameDecoder, LogLines
from virtual_kubelet.wire.protocol_errors import ProtocolError

__all__ = ["open_log"]

SILENCE = 300.0  # seconds without a byte after which an engine that has the whole log is gone
PATIENCE, MOST_PATIENCE = 1.0, 8.0  # seconds for which an answer may not begin: at first, and at the most


def open_log(client: Client, container_id: str, options: LogOptions, *, tty: bool) -> LogStream:
    """Open a log; raise `NotFound`."""
    if options.tail == 0 and not options.follow:
        return _Nothing()
    query: Query = {
        "stdout": options.stream in {"All", "Stdout"},
        "stderr": options.stream in {"All", "Stderr"},
        "follow": options.follow,
        "timestamps": options.timestamps,
        "tail": "all" if options.tail is None else options.tail,
        "since": None if options.since is None else _since(client, options.since),
    }
    path = f"/containers/{quoted(container_id)}/logs"
    if options.follow:
        return _EngineLog(_Followed(client, path, query), options, framed=not tty)
    return _EngineLog(client.stream("GET", path, query=query, timeout=SILENCE), options, framed=not tty)


def _since(client: Client, seconds: float) -> str:
    """Return a time as the API has it: whole seconds with 1.23, later parts of them too."""
    return f"{seconds:.9f}" if client.engine().speaks((1, 24)) else str(int(seconds))


class _Nothing:
    """The log of somebody who asked for no line."""

    def read(self) -> bytes:
        """Return the end."""
        return b""

    def close(self) -> None:
        """Let go."""


class _Followed:
    """The answer of an engine that may not begin it before there is a line: Podman does so.

    A request that waits for that could not be ended when the client goes. So it is given up after `PATIENCE` seconds, and
    made again with more of it, for an engine that looks for the first line in a long log; nothing is missed, for an
    answer that has not begun had no line. One thread reads, any may close.
    """

    def __init__(self, client: Client, path: str, query: Query) -> None:
        self._client, self._path, self._query = client, path, query
        self._lock = threading.Lock()
        self._stream: Stream | None = None  # under the lock, as is the next
        self._closed = False
        self._patience = PATIENCE  # the reader's alone
        self._ask()

    def _ask(self) -> None:
        asked = SYSTEM.now()
        try:
            stream = self._client.stream("GET", self._path, query=self._query, begin=self._patience)
        except TimeoutError:
            self._patience = min(2 * self._patience, MOST_PATIENCE)
            if self._query["tail"] == 0:  # what is written from now on is no old line
                self._query = {**self._query, "tail": "all", "since": _since(self._client, asked)}
            return
        with self._lock:
            self._stream = stream
            if self._closed:
                stream.close()

    def read(self) -> bytes:
        """Return some bytes; b"" at the end."""
        while True:
            with self._lock:
                stream, closed = self._stream, self._closed
            if stream is not None:
                return stream.read()
            if closed:
                return b""
            self._ask()

    def close(self) -> None:
        """Let go; wakes `read`, within `MOST_PATIENCE` seconds where the answer has not begun."""
        with self._lock:
            self._closed = True
            stream = self._stream
        if stream is not None:
            stream.close()


class _EngineLog:
    """The bytes of a log."""

    def __init__(self, stream: Stream | _Followed, options: LogOptions, *, framed: bool) -> None:
        self._stream = stream
        self._rest = options.limit_bytes
        self._frames = FrameDecoder(whole=True) if framed else None
        self._lines = LogLines() if options.timestamps else None

    def read(self) -> bytes:
        """Return some bytes; b"" at the end."""
        while self._rest is None or self._rest > 0:
            data = self._stream.read()
            if not data:
                return b""
            piece = self._decode(data)
            if self._rest is not None:
                piece = piece[: self._rest]
                self._rest -= len(piece)
            if piece:
                return piece
        return b""

    def _decode(self, data: bytes) -> bytes:
        if self._frames is None:
            return data
        try:
            frames = self._frames.feed(data)
        except ProtocolError as error:
            raise Unavailable(f"the log cannot be read: {error}") from error
        if self._lines is None:
            return b"".join(payload for _, payload in frames)
        return b"".join(self._lines.feed(stream, payload) for stream, payload in frames)

    def close(self) -> None:
        """Let go; wakes `read`."""
        self._stream.close()
