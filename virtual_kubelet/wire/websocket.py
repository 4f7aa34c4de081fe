"""One WebSocket connection as a value, on `wsproto`'s frames: bytes in, events out, bytes to send.

It begins after the HTTP upgrade; `accept_token` makes the only computed field of the 101. Extensions are
never negotiated: the API server's streams are already compressed or not worth it. Messages are given in
pieces as they arrive, so that a peer's endless message costs no memory.

Pings are answered here. The pongs wait in `data_to_send` with everything else, in order.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from wsproto.connection import Connection, ConnectionState, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.utilities import generate_accept_token

from virtual_kubelet.wire.protocol_errors import LocalProtocolError, RemoteProtocolError

__all__ = [
    "Closed",
    "Event",
    "MessagePiece",
    "PongReceived",
    "Role",
    "WebSocket",
    "accept_token",
]

NORMAL = 1000
PROTOCOL_ERROR = 1002
NO_STATUS = 1005  # stands for a close without a code; never on the wire
VERSION = "13"


class Role(Enum):
    """Which side of the connection we are: the client masks what it sends."""

    CLIENT = ConnectionType.CLIENT
    SERVER = ConnectionType.SERVER


@dataclass(frozen=True, slots=True)
class MessagePiece:
    """Part of a message; `finished` on its last part, which may be empty. Text is str, binary is bytes."""

    data: bytes | str
    finished: bool


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The peer lives."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer has closed the connection, with a status code of RFC 6455, 7.4."""

    code: int
    reason: str


Event: TypeAlias = MessagePiece | PongReceived | Closed


def accept_token(key: str, version: str) -> str:
    """Return Sec-WebSocket-Accept for Sec-WebSocket-Key and Sec-WebSocket-Version (RFC 6455, 4.2).

    Raises:
        RemoteProtocolError: the request is no WebSocket handshake of version 13.
    """
    if version.strip() != VERSION:
        raise RemoteProtocolError(f"Sec-WebSocket-Version has to be {VERSION}")
    try:
        nonce = base64.b64decode(key.strip().encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise RemoteProtocolError("Sec-WebSocket-Key is not base64") from error
    if len(nonce) != 16:
        raise RemoteProtocolError("Sec-WebSocket-Key has to be 16 bytes in base64")
    return generate_accept_token(key.strip().encode("ascii")).decode("ascii")


class WebSocket:
    """The state of one connection. `error` holds why it can be read no further, None while it can."""

    def __init__(self, role: Role) -> None:
        self.error: RemoteProtocolError | None = None
        self.closed = False  # the peer's close has arrived: it sends nothing more
        self._connection = Connection(role.value)
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0

    # ------------------------------------------------------------------------------------------- sending

    def send_message(self, data: bytes | str) -> None:
        """Queue one message: bytes as binary, str as text."""
        message = TextMessage(data=data) if isinstance(data, str) else BytesMessage(data=data)
        self._send(message)

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._send(Ping())

    def pong(self) -> None:
        """Give an unasked sign of life: a one-way heartbeat (RFC 6455, 5.5.3)."""
        self._send(Pong())

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Queue a close, or the answer to the peer's; does nothing where we have sent one."""
        if self._connection.state in {ConnectionState.OPEN, ConnectionState.REMOTE_CLOSING}:
            self._send(CloseConnection(code=code, reason=reason or None))

    @property
    def pending(self) -> int:
        """How many bytes wait in `data_to_send`: a peer that does not read can make this grow."""
        return self._outgoing_size

    def data_to_send(self) -> bytes:
        """Take what is to be sent, in order."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        self._outgoing_size = 0
        return data

    def _send(self, event: TextMessage | BytesMessage | Ping | Pong | CloseConnection) -> None:
        if self._connection.state is not ConnectionState.OPEN and not isinstance(event, CloseConnection):
            raise LocalProtocolError("the WebSocket is closing")
        data = self._connection.send(event)
        self._outgoing.append(data)
        self._outgoing_size += len(data)

    # ----------------------------------------------------------------------------------------- receiving

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the peer and return what they say; look at `error` afterwards."""
        if self.error is not None or self.closed:
            return []
        self._connection.receive_data(data)
        return list(self._happened())

    def receive_eof(self) -> None:
        """Say that the connection has ended; without a close from the peer that is an `error`."""
        if self.error is None and not self.closed:
            self.error = RemoteProtocolError("the connection ended without a WebSocket close")

    def _happened(self) -> Iterator[Event]:
        for event in self._connection.events():
            if isinstance(event, (BytesMessage, TextMessage)):
                data = event.data if isinstance(event.data, str) else bytes(event.data)
                yield MessagePiece(data, event.message_finished)
            elif isinstance(event, Ping):
                if self._connection.state is ConnectionState.OPEN:  # after our close nobody waits for it
                    self._send(event.response())
            elif isinstance(event, Pong):
                yield PongReceived()
            else:
                assert isinstance(event, CloseConnection)  # the only one that is left
                yield from self._on_close(event)

    def _on_close(self, event: CloseConnection) -> Iterator[Event]:
        # wsproto reports bytes that are no WebSocket by this event too; only the state tells them apart.
        if self._connection.state in {ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING}:
            self.error = RemoteProtocolError(event.reason or "not a WebSocket frame", code=int(event.code))
            self.close(int(event.code))
            return
        self.closed = True
        self.close(NORMAL if event.code == NO_STATUS else int(event.code))
        yield Closed(int(event.code), event.reason or "")
