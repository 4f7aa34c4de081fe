"""What a SPDY session tells its owner: one class for each thing that a peer can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from virtual_kubelet.wire.spdy_headers import Headers

__all__ = [
    "DataReceived",
    "Event",
    "GoAwayReceived",
    "HeadersReceived",
    "PongReceived",
    "StreamEnded",
    "StreamOpened",
    "StreamReplied",
    "StreamReset",
]


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The peer opened a stream: answer with `reply` or `reset`."""

    stream_id: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class StreamReplied:
    """The peer accepted our stream."""

    stream_id: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    """The peer added headers to a stream."""

    stream_id: int
    headers: Headers


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Some bytes of a stream, never none."""

    stream_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The peer sends no more on this stream; we still may."""

    stream_id: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The stream is over both ways: the peer reset it, or broke a rule of it and was told so."""

    stream_id: int
    status: int
    by_peer: bool


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The answer to our ping."""

    ping_id: int


@dataclass(frozen=True, slots=True)
class GoAwayReceived:
    """The peer takes no new streams; ours above `last_stream_id` were not looked at."""

    last_stream_id: int
    status: int


Event: TypeAlias = (
    StreamOpened
    | StreamReplied
    | HeadersReceived
    | DataReceived
    | StreamEnded
    | StreamReset
    | PongReceived
    | GoAwayReceived
)
