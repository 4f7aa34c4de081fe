"""Kubernetes' channels in a WebSocket: several byte streams under the names `*.channel.k8s.io`.

A message is a channel number and the channel's data. In the binary protocols the number is one byte, in the
base64 protocols it is an ASCII digit and the data is base64, in text messages. From v5 on a message of
exactly two bytes, 255 and a channel, ends the sender's side of that channel (KEP-4006).

Some clients send text messages in a binary protocol (the Python client does, for str): the text's UTF-8 is
taken. What is sent is always of the protocol's own kind.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Final, TypeAlias

from virtual_kubelet.wire import websocket
from virtual_kubelet.wire.protocol_errors import LocalProtocolError, RemoteProtocolError
from virtual_kubelet.wire.websocket import Closed, MessagePiece, PongReceived, WebSocket

__all__ = [
    "CHANNEL_PROTOCOLS",
    "ChannelData",
    "ChannelEnded",
    "ChannelProtocol",
    "ChannelSession",
    "Event",
]

CLOSE_CHANNEL = 255
UNSUPPORTED_DATA = 1003  # WebSocket close code
TOO_BIG = 1009  # WebSocket close code
MAX_BASE64_MESSAGE = 1 << 20  # characters; base64 is decoded by whole messages


@dataclass(frozen=True)
class ChannelProtocol:
    """What a subprotocol can do."""

    name: str  # as in Sec-WebSocket-Protocol
    version: int  # of remotecommand: 1, 4 or 5
    base64: bool = False

    @property
    def half_close(self) -> bool:
        """Whether one side can end its part of a channel."""
        return self.version >= 5


CHANNEL_PROTOCOLS: Final = {
    protocol.name: protocol
    for protocol in (
        ChannelProtocol("v5.channel.k8s.io", 5),
        ChannelProtocol("v4.channel.k8s.io", 4),
        ChannelProtocol("v4.base64.channel.k8s.io", 4, base64=True),
        ChannelProtocol("channel.k8s.io", 1),
        ChannelProtocol("base64.channel.k8s.io", 1, base64=True),
        ChannelProtocol("", 1),  # a client that asked for no subprotocol
    )
}


@dataclass(frozen=True, slots=True)
class ChannelData:
    """Some bytes of a channel, never none."""

    channel: int
    data: bytes


@dataclass(frozen=True, slots=True)
class ChannelEnded:
    """The peer sends no more on this channel."""

    channel: int


Event: TypeAlias = ChannelData | ChannelEnded | PongReceived | Closed


class ChannelSession:
    """A WebSocket whose messages are channels; the same doors as `websocket.WebSocket`."""

    def __init__(self, role: websocket.Role, protocol: ChannelProtocol) -> None:
        self.protocol = protocol
        self._socket = WebSocket(role)
        self._error: RemoteProtocolError | None = None
        self._channel: int | None = None  # of the message that we are inside of
        self._ending = b""  # what a message on channel 255 has said so far
        self._text: list[str] = []  # the base64 message so far
        self._text_size = 0

    @property
    def error(self) -> RemoteProtocolError | None:
        """Why the session can be read no further; None while it can."""
        return self._error or self._socket.error

    @property
    def closed(self) -> bool:
        """Whether the peer has closed: it sends nothing more."""
        return self._socket.closed

    # ------------------------------------------------------------------------------------------- sending

    def send_data(self, channel: int, data: bytes) -> None:
        """Queue a message; empty data is sent too, as the sign that the server is ready."""
        if not 0 <= channel < (10 if self.protocol.base64 else CLOSE_CHANNEL):
            raise LocalProtocolError(f"{self.protocol.name} has no channel {channel}")
        if self.protocol.base64:
            self._socket.send_message(f"{channel}{base64.b64encode(data).decode('ascii')}")
        else:
            self._socket.send_message(bytes((channel,)) + data)

    def end_channel(self, channel: int) -> None:
        """Queue the end of our side of a channel."""
        if not self.protocol.half_close:
            raise LocalProtocolError(f"{self.protocol.name} cannot end a channel")
        self._socket.send_message(bytes((CLOSE_CHANNEL, channel)))

    def pong(self) -> None:
        """Queue an unasked sign of life."""
        self._socket.pong()

    def close(self, code: int = websocket.NORMAL, reason: str = "") -> None:
        """Queue the close of the whole connection."""
        self._socket.close(code, reason)

    @property
    def pending(self) -> int:
        """How many bytes wait in `data_to_send`."""
        return self._socket.pending

    def data_to_send(self) -> bytes:
        """Take what is to be sent, in order."""
        return self._socket.data_to_send()

    # ----------------------------------------------------------------------------------------- receiving

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the peer and return what they say; look at `error` afterwards."""
        happened: list[Event] = []
        if self._error is not None:
            return happened
        try:
            for event in self._socket.receive_data(data):
                if isinstance(event, MessagePiece):
                    self._on_piece(event, happened)
                else:
                    happened.append(event)
        except RemoteProtocolError as error:
            self._error = error
            self._socket.close(error.code or websocket.PROTOCOL_ERROR)
        return happened

    def receive_eof(self) -> None:
        """Say that the connection has ended."""
        self._socket.receive_eof()

    def _on_piece(self, piece: MessagePiece, happened: list[Event]) -> None:
        if self.protocol.base64:
            self._on_base64(piece, happened)
            return
        data = piece.data.encode() if isinstance(piece.data, str) else piece.data
        if self._channel is None and data:
            self._channel, data = data[0], data[1:]
        if self._channel == CLOSE_CHANNEL and self.protocol.half_close:
            self._on_ending(data, happened, finished=piece.finished)
        elif data and self._channel is not None:
            happened.append(ChannelData(self._channel, data))
        if piece.finished:
            self._channel = None

    def _on_ending(self, data: bytes, happened: list[Event], *, finished: bool) -> None:
        self._ending += data
        if len(self._ending) > 1 or (finished and not self._ending):
            raise RemoteProtocolError("a close message has to name exactly one channel")
        if finished:
            happened.append(ChannelEnded(self._ending[0]))
            self._ending = b""

    def _on_base64(self, piece: MessagePiece, happened: list[Event]) -> None:
        text = piece.data if isinstance(piece.data, str) else piece.data.decode("latin-1")
        self._text_size += len(text)
        if self._text_size > MAX_BASE64_MESSAGE:
            raise RemoteProtocolError(
                f"base64 message of more than {MAX_BASE64_MESSAGE} characters", code=TOO_BIG
            )
        self._text.append(text)
        if not piece.finished:
            return
        message = "".join(self._text)
        self._text, self._text_size = [], 0
        if not message:
            return
        if message[0] not in "0123456789":
            raise RemoteProtocolError("base64 message does not begin with a channel", code=UNSUPPORTED_DATA)
        try:
            data = base64.b64decode(message[1:].encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise RemoteProtocolError("message is not base64", code=UNSUPPORTED_DATA) from error
        if data:
            happened.append(ChannelData(int(message[0]), data))
