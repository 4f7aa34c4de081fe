"""The stream of one watch: JSON lines out of HTTP chunks of any size."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import urllib3
from urllib3.exceptions import HTTPError

from virtual_kubelet import codec
from virtual_kubelet.errors import ApiUnavailable
from virtual_kubelet.kube.failures import NO_ANSWER, NONSENSE, no_answer
from virtual_kubelet.objects import JsonObject

__all__ = ["LineSplitter", "Watch"]

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


class Watch:
    """The events of a watch, as `(type, object)`; iterate in one thread, `close` from any.

    Iteration ends when the server ends the watch, or by `close`. It raises `ApiUnavailable` when the connection
    breaks, stays silent longer than the read timeout, or carries something that is no watch event.
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
        """End the watch; the thread that iterates leaves its wait at once."""
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

    def __iter__(self) -> Iterator[tuple[str, JsonObject]]:
        with self._lock:
            if self._closed:
                return
            self._reading = True
        splitter = LineSplitter()
        try:
            for data in self._chunks():
                for line in splitter.feed(data):
                    if self.closed:  # what follows a shutdown may be noise
                        return
                    if line.strip():
                        yield _event(line)
        except (HTTPError, OSError) as error:
            if not self.closed:
                raise _broken(error, self._host) from error
        except ValueError as error:
            if not self.closed:
                raise ApiUnavailable(
                    f"a watch of {self._host} carries no watch events: {error}", reason=NONSENSE
                ) from error
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


def _broken(error: Exception, host: str) -> ApiUnavailable:
    if isinstance(error, HTTPError):
        return no_answer(error, host)
    return ApiUnavailable(f"the connection to the API server {host} broke: {error}", reason=NO_ANSWER)


def _event(line: bytes) -> tuple[str, JsonObject]:
    event: Any = codec.loads(line)
    if isinstance(event, dict):
        kind, subject = event.get("type"), event.get("object")
        if isinstance(kind, str) and isinstance(subject, dict):
            return kind, subject
    raise ValueError("a line is no JSON object with type and object")
