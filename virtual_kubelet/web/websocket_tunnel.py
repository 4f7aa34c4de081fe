"""A transport inside a transport: binary WebSocket messages as one stream of bytes.

For the subprotocol `SPDY/3.1+portforward.k8s.io`, whose messages are pieces of a SPDY connection; where they
are cut means nothing. Whoever reads the tunnel drives it, so it needs no thread of its own.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from functools import partial

from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.web.outbox import Carrier, Outbox
from virtual_kubelet.wire.protocol_errors import LocalProtocolError
from virtual_kubelet.wire.websocket import MessagePiece, Role, WebSocket

__all__ = ["WebSocketTunnel"]

RECEIVE_SIZE = 65536
ANSWER_TIME = 60.0  # seconds for a peer to take a byte of a pong


class WebSocketTunnel:
    """What `Transport` offers to a streaming connection, carried by a WebSocket."""

    def __init__(self, transport: Carrier, *, role: Role = Role.SERVER) -> None:
        self._carrier = transport
        self._lock = threading.Lock()  # guards the core, for moments only
        self._socket = WebSocket(role)
        self._outbox = Outbox(self._socket, self._lock, transport)
        self._received = b""  # only the reading thread uses it
        self.on_frame: Callable[[], None] = lambda: None
        """Called, on the reading thread, for each arrival: a ping is a sign of life and no byte of ours."""

    def recv(self, size: int = RECEIVE_SIZE, timeout: float | None = None) -> bytes:
        """Wait for bytes and return at most `size`; b"" when the peer has ended or either side has closed.

        Raises `TimeoutError` after `timeout` seconds (None: never).
        """
        deadline = None if timeout is None else Deadline(timeout)
        while not self._received:
            data = self._carrier.recv(RECEIVE_SIZE, None if deadline is None else deadline.remaining())
            with self._lock:
                events = self._socket.receive_data(data) if data else []
                over = not data or self._socket.closed or self._socket.error is not None
            self._received = b"".join(_payload(event) for event in events if isinstance(event, MessagePiece))
            self.on_frame()
            self._answer()
            if over:
                break
        data, self._received = self._received[:size], self._received[size:]
        return data

    def send(self, data: bytes | bytearray | memoryview, timeout: float | None = None) -> None:
        """Send `data` as one message; see `Transport.send`."""
        with self._lock:
            try:
                self._outbox.claim(partial(self._socket.send_message, bytes(data)))
            except LocalProtocolError as error:
                raise BrokenPipeError("the connection is closed") from error
        self._outbox.flush(timeout)

    def hung_up(self) -> bool:
        """Tell whether the connection has ended; see `Transport.hung_up`."""
        return self._carrier.hung_up()

    def close(self) -> None:
        """Say goodbye if that goes without waiting, and end the connection; from any thread."""
        with self._lock:
            self._socket.close()
        with contextlib.suppress(OSError):
            self._outbox.hurry(0)
        self._carrier.close()

    def _answer(self) -> None:
        try:
            self._outbox.answer(ANSWER_TIME)
        except OSError:
            self._carrier.close()  # half a frame may be out; the next recv ends the connection


def _payload(piece: MessagePiece) -> bytes:
    return piece.data.encode() if isinstance(piece.data, str) else piece.data
