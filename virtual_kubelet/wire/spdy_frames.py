"""SPDY/3.1 frames as values: what one frame says, and its bytes.

A control frame is a bit, a 15-bit version (3), a 16-bit type, 8 bits of flags and a 24-bit length; a data
frame is a zero bit, a 31-bit stream id, flags and a length (SPDY/3 draft, 2.2). All numbers are big-endian.
Header blocks stay compressed here, because their compression has a state and a frame has none.

Kubernetes speaks a subset of SPDY without flow control: neither side sends WINDOW_UPDATE or waits for one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import ClassVar, Final, TypeAlias

from virtual_kubelet.wire.protocol_errors import RemoteProtocolError

__all__ = [
    "FRAMES",
    "MAX_LENGTH",
    "VERSION",
    "ControlFrame",
    "Data",
    "Frame",
    "GoAway",
    "HeadersFrame",
    "Ping",
    "ResetStream",
    "Status",
    "SynReply",
    "SynStream",
]

VERSION: Final = 3
MAX_LENGTH: Final = 2**24 - 1
FLAG_FIN: Final = 0x01
FLAG_UNIDIRECTIONAL: Final = 0x02
ID_MASK: Final = 0x7FFF_FFFF  # the bit above is reserved and to be ignored

HEAD = Struct(">II")
ONE = Struct(">I")
TWO = Struct(">II")
SYN_STREAM = Struct(">IIBB")


class Status(IntEnum):
    """Why a stream was reset (SPDY/3 draft, 2.6.3); 0 and 1 also serve GOAWAY (2.6.6)."""

    OK = 0
    PROTOCOL_ERROR = 1
    INVALID_STREAM = 2
    REFUSED_STREAM = 3
    UNSUPPORTED_VERSION = 4
    CANCEL = 5
    INTERNAL_ERROR = 6
    FLOW_CONTROL_ERROR = 7
    STREAM_IN_USE = 8
    STREAM_ALREADY_CLOSED = 9
    FRAME_TOO_LARGE = 11


def status_name(status: int) -> str:
    """Return the name of a status, or its number where it has none."""
    try:
        return Status(status).name
    except ValueError:
        return str(status)


def _control(frame_type: int, flags: int, payload: bytes) -> bytes:
    return HEAD.pack(0x8000_0000 | VERSION << 16 | frame_type, flags << 24 | len(payload)) + payload


def _exactly(length: int, payload: bytes, name: str) -> None:
    if len(payload) != length:
        raise RemoteProtocolError(f"{name} has {len(payload)} bytes instead of {length}")


def _at_least(length: int, payload: bytes, name: str) -> None:
    if len(payload) < length:
        raise RemoteProtocolError(f"{name} has {len(payload)} bytes; at least {length} are needed")


@dataclass(frozen=True, slots=True)
class Data:
    """Some of a stream's bytes. A reader may give one frame in several of these, `fin` on the last."""

    stream_id: int
    data: bytes
    fin: bool = False

    def serialize(self) -> bytes:
        """Return the frame's bytes."""
        return data_head(self.stream_id, len(self.data), fin=self.fin) + self.data

    def __str__(self) -> str:
        return f"DATA stream={self.stream_id} bytes={len(self.data)}{' FIN' if self.fin else ''}"


def data_head(stream_id: int, length: int, *, fin: bool) -> bytes:
    """Return the eight bytes in front of a data frame's payload."""
    return HEAD.pack(stream_id, (FLAG_FIN if fin else 0) << 24 | length)


@dataclass(frozen=True, slots=True)
class SynStream:
    """A new stream."""

    TYPE: ClassVar[int] = 1

    stream_id: int
    block: bytes  # compressed headers
    fin: bool = False
    unidirectional: bool = False
    associated_id: int = 0
    priority: int = 0  # 0 is the highest, 7 the lowest

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> SynStream:
        """Read the frame from what follows its head."""
        _at_least(SYN_STREAM.size, payload, "SYN_STREAM")
        stream_id, associated_id, priority, _slot = SYN_STREAM.unpack_from(payload)
        return cls(
            stream_id & ID_MASK,
            payload[SYN_STREAM.size :],
            bool(flags & FLAG_FIN),
            bool(flags & FLAG_UNIDIRECTIONAL),
            associated_id & ID_MASK,
            priority >> 5,
        )

    def serialize(self) -> bytes:
        """Return the frame's bytes."""
        flags = (FLAG_FIN if self.fin else 0) | (FLAG_UNIDIRECTIONAL if self.unidirectional else 0)
        head = SYN_STREAM.pack(self.stream_id, self.associated_id, self.priority << 5, 0)
        return _control(self.TYPE, flags, head + self.block)

    def __str__(self) -> str:
        return f"SYN_STREAM stream={self.stream_id} block={len(self.block)}{' FIN' if self.fin else ''}"


@dataclass(frozen=True, slots=True)
class SynReply:
    """The acceptance of a stream; the opener waits for it."""

    TYPE: ClassVar[int] = 2

    stream_id: int
    block: bytes
    fin: bool = False

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> SynReply:
        """Read the frame from what follows its head."""
        _at_least(ONE.size, payload, "SYN_REPLY")
        (stream_id,) = ONE.unpack_from(payload)
        return cls(stream_id & ID_MASK, payload[ONE.size :], bool(flags & FLAG_FIN))

    def serialize(self) -> bytes:
        """Return the frame's bytes."""
        flags = FLAG_FIN if self.fin else 0
        return _control(self.TYPE, flags, ONE.pack(self.stream_id) + self.block)

    def __str__(self) -> str:
        return f"SYN_REPLY stream={self.stream_id} block={len(self.block)}{' FIN' if self.fin else ''}"


@dataclass(frozen=True, slots=True)
class ResetStream:
    """The abrupt end of a stream, both ways."""

    TYPE: ClassVar[int] = 3

    stream_id: int
    status: int

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> ResetStream:
        """Read the frame from what follows its head."""
        _no_flags(flags, "RST_STREAM")
        _exactly(TWO.size, payload, "RST_STREAM")
        stream_id, status = TWO.unpack(payload)
        return cls(stream_id & ID_MASK, status)

    def serialize(self) -> bytes:
        """Return the frame's bytes."""
        return _control(self.TYPE, 0, TWO.pack(self.stream_id, self.status))

    def __str__(self) -> str:
        return f"RST_STREAM stream={self.stream_id} status={status_name(self.status)}"


@dataclass(frozen=True, slots=True)
class Ping:
    """A sign of life, to be sent back unchanged. Ids of the client's pings are odd, of the server's even."""

    TYPE: ClassVar[int] = 6

    ping_id: int

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> Ping:
        """Read the frame from what follows its head."""
        _no_flags(flags, "PING")
        _exactly(ONE.size, payload, "PING")
        (ping_id,) = ONE.unpack(payload)
        return cls(ping_id)

    def serialize(self) -> bytes:
        """Return the frame's bytes."""
        return _control(self.TYPE, 0, ONE.pack(self.ping_id))

    def __str__(self) -> str:
        return f"PING id={self.ping_id}"


@dataclass(frozen=True, slots=True)
class GoAway:
    """The sender takes no new streams; those up to `last_stream_id` go on."""

    TYPE: ClassVar[int] = 7

    last_stream_id: int
    status: int = Status.OK

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> GoAway:
        """Read the frame from what follows its head."""
        _no_flags(flags, "GOAWAY")
        _exactly(TWO.size, payload, "GOAWAY")
        last_stream_id, status = TWO.unpack(payload)
        return cls(last_stream_id & ID_MASK, status)

    def serialize(self) -> bytes:
        """Return the frame's bytes."""
        return _control(self.TYPE, 0, TWO.pack(self.last_stream_id, self.status))

    def __str__(self) -> str:
        return f"GOAWAY last={self.last_stream_id} status={status_name(self.status)}"


@dataclass(frozen=True, slots=True)
class HeadersFrame:
    """More headers for a stream. Kubernetes sends none, but their compression is part of the state."""

    TYPE: ClassVar[int] = 8

    stream_id: int
    block: bytes
    fin: bool = False

    @classmethod
    def parse(cls, flags: int, payload: bytes) -> HeadersFrame:
        """Read the frame from what follows its head."""
        _at_least(ONE.size, payload, "HEADERS")
        (stream_id,) = ONE.unpack_from(payload)
        return cls(stream_id & ID_MASK, payload[ONE.size :], bool(flags & FLAG_FIN))

    def serialize(self) -> bytes:
        """Return the frame's bytes."""
        flags = FLAG_FIN if self.fin else 0
        return _control(self.TYPE, flags, ONE.pack(self.stream_id) + self.block)

    def __str__(self) -> str:
        return f"HEADERS stream={self.stream_id} block={len(self.block)}{' FIN' if self.fin else ''}"


def _no_flags(flags: int, name: str) -> None:
    if flags:
        raise RemoteProtocolError(f"{name} has flags {flags:#04x}; none are defined")


ControlFrame: TypeAlias = SynStream | SynReply | ResetStream | Ping | GoAway | HeadersFrame
Frame: TypeAlias = Data | ControlFrame

FRAMES: Final[dict[int, type[ControlFrame]]] = {
    SynStream.TYPE: SynStream,
    SynReply.TYPE: SynReply,
    ResetStream.TYPE: ResetStream,
    Ping.TYPE: Ping,
    GoAway.TYPE: GoAway,
    HeadersFrame.TYPE: HeadersFrame,
}
"""Control frames by type. All others (SETTINGS, WINDOW_UPDATE, CREDENTIAL, unknown) are skipped unread."""
