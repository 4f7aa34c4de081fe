"""The head of an answer, read without the machinery for mail.

`http.client` has `email` parse every head; with small answers, as those to our patches and deletes are, that is a
quarter of what a request costs. Servers write plain lines: those are read here, anything else is left to `email`.
"""

from __future__ import annotations

import io
from http.client import (
    BadStatusLine,
    HTTPException,
    HTTPMessage,
    HTTPResponse,
    LineTooLong,
    RemoteDisconnected,
    parse_headers,
)
from typing import BinaryIO

__all__ = ["PlainResponse"]

MAX_LINE = 65536  # bytes, and
MAX_LINES = 100  # headers, as in http.client
BODILESS = {204, 304}
MAX_LENGTH_DIGITS = 18  # of a Content-Length: more is nonsense


class PlainResponse(HTTPResponse):
    """An answer of HTTP/1.x to anything but HEAD."""

    def begin(self) -> None:
        """Read status line and headers; raise `HTTPException` for what is no answer."""
        assert self.fp is not None
        status = 100
        while status < 200 and status != 101:  # "continue", "early hints": the answer is still to come
            self.version, status, self.reason = _read_status(self.fp)
            headers = _read_headers(self.fp)
        self.code = self.status = status
        self.headers = self.msg = headers
        self.chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        self.chunk_left = None
        self.length = 0 if status in BODILESS or status < 200 else _length(headers, chunked=self.chunked)
        self.will_close = (
            self.version == 10
            or "close" in headers.get("connection", "").lower()
            or (self.length is None and not self.chunked)
        )


def _read_status(stream: BinaryIO) -> tuple[int, int, str]:
    """Return version (10 or 11), status and reason."""
    line = _read_line(stream)
    if not line:
        raise RemoteDisconnected("Remote end closed connection without response")
    version, _, rest = line.decode("iso-8859-1").strip().partition(" ")
    status, _, reason = rest.strip().partition(" ")
    if not (version.startswith("HTTP/1.") and len(status) == 3 and status.isdecimal() and status >= "100"):
        raise BadStatusLine(repr(line))
    return (10 if version == "HTTP/1.0" else 11), int(status), reason.strip()


def _read_headers(stream: BinaryIO) -> HTTPMessage:
    lines: list[bytes] = []
    while (line := _read_line(stream)) not in {b"\r\n", b"\n", b""}:
        lines.append(line)
        if len(lines) > MAX_LINES:
            raise HTTPException(f"got more than {MAX_LINES} headers")
    headers = HTTPMessage()
    for line in lines:
        name, colon, value = line.decode("iso-8859-1").partition(":")
        if not colon or not name or name.strip() != name or "\r" in value.rstrip("\r\n"):
            return parse_headers(io.BytesIO(b"".join(lines) + b"\r\n"))  # a folded line, or nonsense
        headers[name] = value.strip()
    return headers


def _read_line(stream: BinaryIO) -> bytes:
    line = stream.readline(MAX_LINE + 1)
    if len(line) > MAX_LINE:
        raise LineTooLong("header line")
    return line


def _length(headers: HTTPMessage, *, chunked: bool) -> int | None:
    """Return how long the body is; None: as long as it comes."""
    text = headers.get("content-length", "").strip()
    if chunked or not (text.isascii() and text.isdecimal()) or len(text) > MAX_LENGTH_DIGITS:
        return None
    return int(text)
