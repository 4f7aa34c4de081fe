"""A container's log as `LogStream`: frames taken apart, times where they belong, cut at the limit."""

from __future__ import annotations

from typing import Any

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.provider import LogOptions, LogStream
from virtual_kubelet.providers.engine.client import Client, quoted
from virtual_kubelet.providers.engine.streams import Stream
from virtual_kubelet.wire.engine_stream import FrameDecoder, LogLines
from virtual_kubelet.wire.protocol_errors import ProtocolError

__all__ = ["open_log"]


def open_log(client: Client, container_id: str, options: LogOptions, *, tty: bool) -> LogStream:
    """Open a log; raise `NotFound`."""
    if options.tail == 0 and not options.follow:
        return _Nothing()
    query: dict[str, Any] = {
        "stdout": options.stream in {"All", "Stdout"},
        "stderr": options.stream in {"All", "Stderr"},
        "follow": options.follow,
        "timestamps": options.timestamps,
        "tail": "all" if options.tail is None else options.tail,
        "since": None if options.since is None else _since(client, options.since),
    }
    stream = client.stream("GET", f"/containers/{quoted(container_id)}/logs", query=query)
    return _EngineLog(stream, options, framed=not tty)


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


class _EngineLog:
    """The bytes of a log."""

    def __init__(self, stream: Stream, options: LogOptions, *, framed: bool) -> None:
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
