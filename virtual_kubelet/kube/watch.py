"""Answers that come piece by piece: the bytes of a log, and the JSON lines of a watch."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from virtual_kubelet import codec
from virtual_kubelet.errors import ApiUnavailable
from virtual_kubelet.kube.failures import NONSENSE, broken
from virtual_kubelet.objects import JsonObject

__all__ = ["ByteStream", "LineSplitter", "Watch"]

READ_SIZE = 65536
MAX_LINE = 32 * 1024 * 1024  # bytes; the API server's own limit for an object is about 3 MiB


class LineSplitter:
    """Cuts a stream of bytes into lines; linear in the bytes, however small the pieces."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` completes, without their ends; raise `ValueError` over the limit."""
        head, newline, rest = data.partition(b"\n")
        if not newline:
            self._keep(data)
            return []
        lines = [b"".join([*self._parts, head])]
        self._parts, self._size = [], 0
        *whole, rest = rest.split(b"\n")
        lines += whole
        self._keep(rest)
        return lines

    def _keep(self, data: bytes) -> None:
        if data:
            self._parts.append(data)
            self._size += len(data)
        if self._size > self._limit:
            raise ValueError(f"a line of more than {self._limit} bytes")


class ByteStream:
    """The body of an answer that comes piece by piece; iterate in one thread, `close` from any.

    Iteration ends at the end of the body, or by `close`. It raises `ApiUnavailable` when the connection breaks
    or stays silent longer than the read timeout.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, host: str) -> None:
        self._response = response
        self._host = host
        self._lock = threading.Lock()
        self._closed = False  # under the lock
        self._reading = False  # under the lock

    @property
    def closed(self) -> bool:
        """Tell whether it was closed or has come to its end."""
        with self._lock:
            return self._closed

    def close(self) -> None:
        """End it; the thread that iterates leaves its wait at once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            reading = self._reading
        if not reading:
            self._response.close()
            return
        # ValueError, RuntimeError: the stream came to its own end in this moment.
        with contextlib.suppress(ValueError, RuntimeError, OSError):
            self._response.shutdown()

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces()

    def pieces(self) -> Generator[bytes, None, None]:
        """Yield the bytes as they come; closing the generator closes the stream."""
        with self._lock:
            if self._closed:
                return
            self._reading = True
        try:
            for data in self._chunks():
                if self.closed:  # what follows a shutdown may be noise
                    return
                yield data
        except (HTTPError, OSError) as error:
            if not self.closed:
                raise broken(error, self._host) from error
        finally:
            with self._lock:
                self._reading = False
                self._closed = True
            self._response.close()

    def _chunks(self) -> Iterator[bytes]:
        if self._response.chunked:
            yield from self._response.stream(READ_SIZE)
            return
        # Without chunks `stream` waits until it has all it was asked for: an event would be late.
        while data := self._response.read1(READ_SIZE):
            yield data


class Watch:
    """The events of a watch, as `(type, object)`; iterate in one thread, `close` from any.

    Iteration ends when the server ends the watch, or by `close`. It raises `ApiUnavailable` when the connection
    breaks, stays silent longer than the read timeout, or carries something that is no watch event.
    """

    def __init__(self, response: urllib3.BaseHTTPResponse, host: str) -> None:
        self._bytes = ByteStream(response, host)
        self._host = host

    @property
    def closed(self) -> bool:
        """Tell whether it was closed or has come to its end."""
        return self._bytes.closed

    def close(self) -> None:
        """End the watch; the thread that iterates leaves its wait at once."""
        self._bytes.close()

    def __iter__(self) -> Iterator[tuple[str, JsonObject]]:
        splitter = LineSplitter()
        with contextlib.closing(self._bytes.pieces()) as pieces:
            for data in pieces:
                try:
                    events = [_event(line) for line in splitter.feed(data) if line.strip()]
                except ValueError as error:
                    raise ApiUnavailable(
                        f"a watch of {self._host} carries no watch events: {error}", reason=NONSENSE
                    ) from error
                for event in events:
                    if self.closed:
                        return
                    yield event


def _event(line: bytes) -> tuple[str, JsonObject]:
    event: Any = codec.loads(line)
    if isinstance(event, dict):
        kind, subject = event.get("type"), event.get("object")
        if isinstance(kind, str) and isinstance(subject, dict):
            return kind, subject
    raise ValueError("a line is no JSON object with type and object")
