"""The port-forward protocols: which streams belong together, and the preamble of the WebSocket kind.

Over SPDY (`portforward.k8s.io`) the client opens two streams for each connection it has accepted: `error`,
which it half-closes at once, and `data`. Both carry the header `port`, and `requestID` says which belong
together. Clients from before `requestID` (Kubernetes 1.2) count: the data stream's id is the error
stream's plus 2.

Over a WebSocket (`v4.channel.k8s.io`, from before SPDY could be tunnelled) the ports stand in the query; the
port at index i has channel 2i for data and 2i+1 for errors, each of which the server begins with the port
as two bytes, little-endian. There is one connection for each port, for the life of the WebSocket.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.spdy_headers import Headers, first_value

__all__ = [
    "SPDY_PROTOCOL",
    "TUNNEL_PROTOCOL",
    "WEBSOCKET_PROTOCOLS",
    "Pair",
    "Pairing",
    "StreamHeaders",
    "error_text",
    "parse_ports",
    "preamble",
]

SPDY_PROTOCOL: Final = "portforward.k8s.io"
TUNNEL_PROTOCOL: Final = "SPDY/3.1+portforward.k8s.io"
"""The WebSocket subprotocol whose binary messages are the bytes of a SPDY connection (KEP-4006)."""
WEBSOCKET_PROTOCOLS: Final = ("v4.channel.k8s.io", "v4.base64.channel.k8s.io")

MAX_WEBSOCKET_PORTS = 100  # channel numbers are one byte, two a port
MAX_BASE64_PORTS = 5  # there they are one digit
DATA, ERROR = "data", "error"
PORT = Struct("<H")


@dataclass(frozen=True)
class StreamHeaders:
    """What the headers of one stream say."""

    kind: str  # "data" or "error"
    port: int
    request_id: str

    @classmethod
    def parse(cls, stream_id: int, headers: Headers) -> StreamHeaders:
        """Read a stream's headers.

        Raises:
            RemoteProtocolError: they name no kind or port that there is; the stream is to be reset.
        """
        kind = first_value(headers, "streamtype")
        if kind not in {DATA, ERROR}:
            raise RemoteProtocolError('header streamType is neither "data" nor "error"')
        port = parse_port(first_value(headers, "port"))
        request_id = first_value(headers, "requestid")
        if not request_id:
            request_id = f"stream {stream_id if kind == ERROR else stream_id - 2}"
        return cls(kind, port, request_id)


def parse_port(text: str) -> int:
    """Return the number of a TCP port; `RemoteProtocolError` when it is none."""
    if text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535:
        return int(text)
    raise RemoteProtocolError("a port has to be a number from 1 to 65535")


@dataclass(frozen=True)
class Pair:
    """Two streams that are one forwarded connection."""

    port: int
    data_id: int
    error_id: int


@dataclass
class _Half:
    port: int
    since: float
    ids: dict[str, int] = field(default_factory=dict)


class Pairing:
    """Brings data and error streams together; time is a number that the caller gives.

    Args:
        timeout: seconds that one stream waits for the other.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._halves: dict[str, _Half] = {}

    def __len__(self) -> int:
        return len(self._halves)

    def add(self, stream_id: int, headers: StreamHeaders, now: float) -> Pair | None:
        """Take a new stream; return the pair that it completes.

        Raises:
            RemoteProtocolError: the pair has such a stream already, or one for another port.
        """
        half = self._halves.setdefault(headers.request_id, _Half(headers.port, now))
        if headers.kind in half.ids or headers.port != half.port:
            raise RemoteProtocolError("the streams of one request do not fit together")
        half.ids[headers.kind] = stream_id
        if len(half.ids) < 2:
            return None
        del self._halves[headers.request_id]
        return Pair(half.port, half.ids[DATA], half.ids[ERROR])

    def forget(self, stream_id: int) -> None:
        """Drop a lone stream that was reset."""
        self._halves = {key: half for key, half in self._halves.items() if stream_id not in half.ids.values()}

    def next_expiry(self) -> float | None:
        """Return the time at which the first lone stream has waited too long, or None."""
        return min((half.since + self._timeout for half in self._halves.values()), default=None)

    def expired(self, now: float) -> list[int]:
        """Take out and return the streams that have waited too long."""
        late = [key for key, half in self._halves.items() if half.since + self._timeout <= now]
        return [stream_id for key in late for stream_id in self._halves.pop(key).ids.values()]


def error_text(port: int, pod: str, uid: str, reason: str) -> bytes:
    """Return what the error stream says when a port cannot be reached, in the kubelet's words."""
    return f"error forwarding port {port} to pod {pod}, uid {uid}: {reason}".encode("utf-8", "replace")


def parse_ports(values: Iterable[str], *, base64: bool = False) -> list[int]:
    """Return the ports of `port=80&port=443` or `port=80,443`, in order.

    Raises:
        RemoteProtocolError: there is none, one is no port, or there are more than channels.
    """
    ports = [parse_port(part.strip()) for value in values for part in value.split(",")]
    limit = MAX_BASE64_PORTS if base64 else MAX_WEBSOCKET_PORTS
    if not 1 <= len(ports) <= limit:
        raise RemoteProtocolError(f'query parameter "port" has to name 1 to {limit} ports')
    return ports


def preamble(port: int) -> bytes:
    """Return the two bytes with which the server begins both channels of a port."""
    return PORT.pack(port)
