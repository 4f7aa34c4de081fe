"""One agent's connection: bytes in and out without ever blocking, messages to and from the server."""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import struct
from collections import deque
from collections.abc import Callable

from virtual_kubelet.providers.process.supervisor.outputs import Loop
from virtual_kubelet.providers.process.supervisor.protocol import (
    FrameReader,
    Message,
    ProtocolError,
    encode,
    receive,
)

__all__ = ["Connection", "peer_uid"]

MAX_WAITING = 64 * 1024 * 1024  # bytes of answers that an agent has not read: then it is let go


def peer_uid(connection: socket.socket) -> int:
    """Return the user at the other end, from the kernel."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _pid, uid, _gid = struct.unpack("3i", data)
    return int(uid)


class Connection:
    """A connection; `on_message(connection, message)`, and once `on_close(connection)`."""

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        on_message: Callable[[Connection, Message], None],
        on_close: Callable[[Connection], None],
    ) -> None:
        self.wants_events = False
        self.closed = False
        self._sock = sock
        self._loop = loop
        self._on_message = on_message
        self._on_close = on_close
        self._reader = FrameReader()
        self._waiting: deque[tuple[bytes, list[int]]] = deque()
        self._waiting_bytes = 0
        sock.setblocking(False)
        loop.watch(sock.fileno(), selectors.EVENT_READ, self._ready)

    def send(self, message: Message, fds: list[int] | None = None) -> None:
        """Send a message; `fds` become ours to close."""
        fds = fds or []
        if self.closed:
            _close_all(fds)
            return
        if fds:
            message = {**message, "fds": len(fds)}
        data = encode(message)
        self._waiting.append((data, fds))
        self._waiting_bytes += len(data)
        if self._waiting_bytes > MAX_WAITING:
            self.close()
            return
        self._flush()

    def _ready(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush()
        if events & selectors.EVENT_READ and not self.closed:
            self._receive()

    def _receive(self) -> None:
        try:
            data, fds = receive(self._sock)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not data:
            _close_all(fds)
            self.close()
            return
        try:
            for message in self._reader.feed(data, fds):
                self._on_message(self, message)
                if self.closed:
                    return
        except ProtocolError:
            self.close()

    def _flush(self) -> None:
        try:
            while self._waiting:
                data, fds = self._waiting[0]
                sent = socket.send_fds(self._sock, [data], fds) if fds else self._sock.send(data)
                _close_all(fds)
                self._waiting_bytes -= sent
                if sent == len(data):
                    self._waiting.popleft()
                else:
                    self._waiting[0] = (data[sent:], [])
        except BlockingIOError:
            self._loop.watch(self._sock.fileno(), selectors.EVENT_READ | selectors.EVENT_WRITE, self._ready)
        except OSError:
            self.close()
        else:
            self._loop.watch(self._sock.fileno(), selectors.EVENT_READ, self._ready)

    def close(self) -> None:
        """Let the agent go."""
        if self.closed:
            return
        self.closed = True
        self._loop.forget(self._sock.fileno())
        self._sock.close()
        self._reader.close()
        while self._waiting:
            _close_all(self._waiting.popleft()[1])
        self._on_close(self)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        with contextlib.suppress(OSError):
            os.close(fd)
