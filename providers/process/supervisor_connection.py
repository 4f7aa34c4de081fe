"""One connection to the supervisor: requests out, answers to whoever asked, events to whoever listens."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, NotSupported, ProviderError, Unavailable
from virtual_kubelet.providers.process.supervisor.protocol import (
    FrameReader,
    Message,
    ProtocolError,
    encode,
    receive,
)

__all__ = ["Answer", "Connection", "close_all"]

logger = logging.getLogger(__name__)

ERRORS: dict[str, type[ProviderError]] = {
    "not_found": NotFound,
    "not_running": NotFound,
    "invalid": InvalidInput,
    "running": Conflict,
    "unknown_operation": NotSupported,
}

Answer = Callable[[Message | None, ProviderError | None], None]
"""Takes a result or an error; called from the connection's thread, and never blocks."""


class Connection:
    """One connection: requests out, answers to whoever asked."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.hello: Message = {}
        self._send_lock = threading.Lock()  # frames must not mix
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Answer] = {}  # under the lock
        self._ended: dict[int, Answer] = {}  # execs, by the id of their request; under the lock
        self._broken = False  # under the lock

    def ask(self, request: Message, fds: Sequence[int], answer: Answer, ended: Answer | None = None) -> int:
        """Send a request; `answer` comes from the reading thread. Returns the request's number."""
        with self._lock:
            number = next(self._numbers)
            broken = self._broken
            if not broken:
                self._waiting[number] = answer
                if ended is not None:
                    self._ended[number] = ended
        if broken:
            answer(None, Unavailable("the supervisor is not connected"))
            return number
        message = {**request, "id": number}
        if fds:
            message["fds"] = len(fds)
        try:
            self._send(encode(message), fds)
        except OSError:
            self.break_off()
        return number

    def _send(self, data: bytes, fds: Sequence[int]) -> None:
        with self._send_lock:
            sent = socket.send_fds(self.sock, [data], list(fds)) if fds else self.sock.send(data)
            if sent < len(data):
                self.sock.sendall(data[sent:])

    def read(self, on_event: Callable[[Message], None]) -> None:
        """Hand out what arrives, until the connection ends."""
        reader = FrameReader()
        try:
            while True:
                data, fds = receive(self.sock)
                if not data:
                    return
                for message in reader.feed(data, fds):
                    self._take(message, on_event)
        except (OSError, ProtocolError) as error:
            logger.debug("the connection to the supervisor ended: %s", error)
        finally:
            reader.close()
            self.break_off()

    def _take(self, message: Message, on_event: Callable[[Message], None]) -> None:
        event = message.get("event")
        if event == "exec":
            with self._lock:
                ended = self._ended.pop(int(message["exec"]), None)
            if ended is not None:
                ended(message, None)
            return
        if event is not None:
            on_event(message)
            return
        number = int(message["id"])
        with self._lock:
            answer = self._waiting.pop(number, None)
            if "error" in message:
                self._ended.pop(number, None)
        if answer is None:
            close_all(message["fds"])
            return
        if "error" in message:
            answer(None, _error(message["error"]))
        else:
            answer({**message["result"], "fds": message["fds"]}, None)

    def break_off(self) -> None:
        """End the connection; whoever waits is told."""
        with self._lock:
            self._broken = True
            answers = [*self._waiting.values(), *self._ended.values()]
            self._waiting.clear()
            self._ended.clear()
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes the reading thread, which closes it
        for answer in answers:
            answer(None, Unavailable("the connection to the supervisor broke"))


def _error(values: Any) -> ProviderError:
    kind = ERRORS.get(str(values.get("code")), ProviderError)
    return kind(str(values.get("message")))


def close_all(fds: Sequence[int]) -> None:
    """Close descriptors that came with a message which nobody takes."""
    for fd in fds:
        os.close(fd)
