"""The streams of the Docker Engine API as bytes: framed output, and lines of JSON.

Output of a container or an exec without a terminal comes in frames: one byte that says which stream, three of
zero, the length of the payload (4 bytes, big-endian), the payload. With a terminal there are no frames. Source: the
Engine API reference, "Attach to a container", stream format.
"""

from __future__ import annotations

import json
import re
from typing import Any

from virtual_kubelet.wire.protocol_errors import RemoteProtocolError

__all__ = ["STDERR", "STDIN", "STDOUT", "FrameDecoder", "JsonDecoder", "LogLines"]

STDIN, STDOUT, STDERR = 0, 1, 2
SYSTEM_ERROR = 3  # a text about the daemon's own trouble

HEADER = 8
MAX_FRAME = 64 * 1024 * 1024  # more is not a frame, but bytes that were taken for one
MAX_LINE = 16 * 1024 * 1024

_TIME = re.compile(rb"\A(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?((?:Z|[+-]\d\d:\d\d) )")


class FrameDecoder:
    """Takes bytes as they arrive, gives (stream, payload): whole frames, or each byte as soon as it is there."""

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._buffer = bytearray()
        self._stream = STDOUT
        self._rest = 0  # bytes of the current frame that are still to come

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Return what is complete, and parts of frames; raise `RemoteProtocolError` for what is no frame."""
        self._buffer += data
        pieces: list[tuple[int, bytes]] = []
        while True:
            if self._rest == 0 and not self._head():
                return pieces
            piece = bytes(self._buffer[: self._rest])
            if self._rest and (not piece or (self._whole and len(piece) < self._rest)):
                return pieces
            del self._buffer[: len(piece)]
            self._rest -= len(piece)
            if piece:
                pieces.append((self._stream, piece))

    def _head(self) -> bool:
        if len(self._buffer) < HEADER:
            return False
        stream, length = self._buffer[0], int.from_bytes(self._buffer[4:HEADER], "big")
        if stream > SYSTEM_ERROR or any(self._buffer[1:4]) or length > MAX_FRAME:
            raise RemoteProtocolError("the engine's output has bytes that are no header of a frame")
        del self._buffer[:HEADER]
        self._stream, self._rest = stream, length
        return True

    @property
    def inside(self) -> bool:
        """Tell whether an end now would cut a frame."""
        return bool(self._buffer) or self._rest > 0


class LogLines:
    """Takes the times out of the middle of lines, and gives those before them the form that the kubelet's have.

    Engines stamp every entry, and a long line (or one written in parts) is several entries: a reader wants one
    time at the beginning of each line and none inside it. Docker's have nine digits after the second, Podman's none.
    """

    def __init__(self) -> None:
        self._inside: set[int] = set()  # streams whose last entry was not the end of a line

    def feed(self, stream: int, entry: bytes) -> bytes:
        """Return a whole entry of `stream` without a time that stands inside a line."""
        lines = entry.splitlines(keepends=True)
        if lines:
            time = b"" if stream in self._inside else _with_nanoseconds
            lines[0] = _TIME.sub(time, lines[0], count=1)
        if lines:
            if lines[-1].endswith(b"\n"):
                self._inside.discard(stream)
            else:
                self._inside.add(stream)
        return b"".join(lines)


def _with_nanoseconds(time: re.Match[bytes]) -> bytes:
    seconds, fraction, zone = time.groups()
    return bytes(seconds + b"." + (fraction or b"").ljust(9, b"0") + zone)


class JsonDecoder:
    """Takes bytes as they arrive, gives JSON objects: one a line, or one after the other without any space."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """Return the objects whose line has ended; raise `RemoteProtocolError` for lines that are none."""
        self._buffer += data
        *lines, rest = bytes(self._buffer).split(b"\n")
        self._buffer = bytearray(rest)
        if len(rest) > MAX_LINE:
            raise RemoteProtocolError("a line of JSON has no end")
        return [item for line in lines for item in _objects(line)]

    def end(self) -> list[dict[str, Any]]:
        """Return what the last line holds, which may have no end of line."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return _objects(rest)


def _objects(line: bytes) -> list[dict[str, Any]]:
    text = line.decode("utf-8", "replace").strip()
    found: list[dict[str, Any]] = []
    decoder = json.JSONDecoder()
    while text:
        try:
            value, end = decoder.raw_decode(text)
        except ValueError as error:
            raise RemoteProtocolError("a line of the engine's stream is not JSON") from error
        if not isinstance(value, dict):
            raise RemoteProtocolError("a line of the engine's stream is not a JSON object")
        found.append(value)
        text = text[end:].lstrip()
    return found
