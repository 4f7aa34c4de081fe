"""Bytes of an answer that come over time."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import requests

from virtual_kubelet.providers.engine import failures

__all__ = ["Stream"]

PIECE = 65536


class Stream:
    """An answer's body. One thread reads; any may close, which wakes the reader."""

    def __init__(self, answer: requests.Response, where: str) -> None:
        self._answer = answer
        self._where = where
        self.content_type = answer.headers.get("Content-Type", "")
        self._lock = threading.Lock()
        self._closed = False  # under the lock
        self._reading = False  # the same
        self._ended = False  # the reader's own

    def read(self) -> bytes:
        """Return some bytes as soon as there are any; b"" at the end. Raises `Unavailable` for a broken one."""
        with self._lock:
            if self._closed or self._ended:
                return b""
            self._reading = True
        try:
            raw: Any = self._answer.raw
            data: bytes = raw.read1(PIECE) if not raw.closed else b""
            self._ended = not data
        except (*failures.BROKEN, ValueError, AttributeError) as error:
            # The last two: what http.client makes of a connection that is closed under its feet.
            if self.closed:
                return b""
            raise failures.unreachable(error, self._where) from error
        finally:
            with self._lock:
                self._reading = False
            if self.closed:
                self._answer.close()
        return data

    @property
    def closed(self) -> bool:
        """Tell whether it was closed here."""
        with self._lock:
            return self._closed

    def close(self) -> None:
        """Let go."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            reading = self._reading
        # A connection in the middle of an answer is of no more use: shut down first, or a reader would stay blocked.
        with contextlib.suppress(Exception):
            self._answer.raw.shutdown()
        if not reading:
            self._answer.close()
