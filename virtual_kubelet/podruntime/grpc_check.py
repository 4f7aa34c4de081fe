"""The question of the gRPC health protocol, `grpc.health.v1.Health/Check`, as bytes in and bytes out.

HTTP/2 is the `h2` package's, an extra that only nodes with gRPC probes need. The two messages are so small that
their protobuf is written here: a request is field 1, the service's name; an answer is field 1, its status.
"""

from __future__ import annotations

import struct
from typing import Any

from virtual_kubelet.version import __version__

__all__ = ["MISSING", "GrpcHealth"]

MISSING = "grpc probes need the h2 package: pip install 'virtual-kubelet[grpc]'"
STATUSES = {0: "UNKNOWN", 1: "SERVING", 2: "NOT_SERVING", 3: "SERVICE_UNKNOWN"}
UNIMPLEMENTED = "12"


class GrpcHealth:
    """One question on one connection. Raises `ImportError` where h2 is not installed."""

    def __init__(self, authority: str, service: str) -> None:
        from h2.connection import H2Connection

        self._connection = H2Connection()
        self._connection.initiate_connection()
        headers = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/grpc.health.v1.Health/Check"),
            (":authority", authority),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
            ("user-agent", f"kube-probe/{__version__}"),
        ]
        self._connection.send_headers(1, headers)
        self._connection.send_data(1, _request(service), end_stream=True)
        self._body = b""
        self._headers: dict[str, str] = {}
        self.outcome: tuple[bool, str] | None = None
        """Whether the service is well, and the words for it; None: not known yet."""

    def to_send(self) -> bytes:
        """Return what is to be sent now."""
        return bytes(self._connection.data_to_send())

    def receive(self, data: bytes) -> None:
        """Take what came; b"" is the end of the connection."""
        from h2 import events
        from h2.exceptions import ProtocolError

        if not data:
            self._end("error reading server preface: EOF")
            return
        try:
            received = self._connection.receive_data(data)
        except ProtocolError as error:
            self._end(f"the server does not speak HTTP/2: {error}")
            return
        for event in received:
            if isinstance(event, events.ResponseReceived | events.TrailersReceived):
                self._headers |= _texts(event.headers)
            elif isinstance(event, events.DataReceived):
                self._body += event.data or b""
                self._connection.acknowledge_received_data(event.flow_controlled_length, 1)
            elif isinstance(event, events.StreamEnded):
                self._answered()
            elif isinstance(event, events.StreamReset | events.ConnectionTerminated):
                self._end("the server ended the stream")

    def _end(self, text: str) -> None:
        self.outcome = self.outcome or (False, text)

    def _answered(self) -> None:
        code = self._headers.get("grpc-status", "")
        if code == UNIMPLEMENTED:
            self._end('service unhealthy (responded with "UNIMPLEMENTED"): no health service')
        elif code != "0":
            self._end(f"rpc error: code = {code or 'none'} desc = {self._headers.get('grpc-message', '')}")
        else:
            status = STATUSES.get(_status(self._body), "UNKNOWN")
            ok = status == "SERVING"
            self.outcome = (ok, "service healthy" if ok else f'service unhealthy (responded with "{status}")')


def _texts(headers: Any) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in headers}


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _request(service: str) -> bytes:
    name = service.encode()
    message = b"\x0a" + _varint(len(name)) + name if name else b""
    return struct.pack(">BI", 0, len(message)) + message


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _status(body: bytes) -> int:
    """Return field 1 of the answer's message; 0 where it has none."""
    message = body[5:]
    if message[:1] != b"\x08":
        return 0
    number = shift = 0
    for byte in message[1:6]:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            break
    return number
