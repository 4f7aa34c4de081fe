"""An upgrade passed through: the backend is asked first, and its answer is the client's.

When the backend switches protocols, so do we, and from then on bytes go both ways unread. That is what an
API server of 1.36 does for nodes that declare ExtendWebSocketsToKubelet, and every one for SPDY.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from dataclasses import dataclass

import h11

from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.messages import Request, Response, Upgrade
from virtual_kubelet.web.transport import Transport

__all__ = ["Backend", "pass_upgrade"]

HEAD_TIME = 30.0  # seconds to connect, and again for each piece of the answer's head
ENDING = 10.0  # seconds for the second direction to end after the first
PIECE = 65536
MAX_REFUSAL = 65536  # bytes of a refusal's body that are passed on

# What belongs to the client's connection or is for us alone. Connection and Upgrade are passed on as they are.
OURS = frozenset(
    {
        *("host", "authorization", "content-length", "transfer-encoding", "expect", "keep-alive", "te"),
        *("trailer", "proxy-authorization", "proxy-connection"),
    }
)
HOP_BY_HOP = frozenset({"connection", "upgrade", "transfer-encoding", "content-length", "keep-alive", "date"})


@dataclass(frozen=True)
class Backend:
    """Where to pass an upgrade to; without a context in plain text."""

    host: str
    port: int
    context: ssl.SSLContext | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def connect(self) -> socket.socket:
        """Return a connected socket with a timeout; `OSError` when there is none."""
        sock = socket.create_connection((self.host, self.port), timeout=HEAD_TIME)
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is None:
                return sock
            return self.context.wrap_socket(sock, server_hostname=self.host)
        except BaseException:
            sock.close()
            raise


def pass_upgrade(request: Request, backend: Backend, target: str) -> Response | Upgrade:
    """Ask `backend` for `target` as `request` asked us, and answer as it does.

    Raises:
        OSError: it cannot be reached, or its answer is no HTTP.
    """
    sock = backend.connect()
    try:
        answer, rest = _ask(sock, request, backend, target)
        if not isinstance(answer, h11.InformationalResponse):
            response = _refusal(answer, rest)
            sock.close()
            return response
    except h11.ProtocolError as error:
        sock.close()
        raise ConnectionAbortedError(f"the answer is no HTTP: {error}") from error
    except BaseException:
        sock.close()
        raise
    transport = Transport(sock, received=rest)
    protocol = next((value for name, value in answer.headers if name == b"upgrade"), b"").decode("latin-1")
    return Upgrade(
        protocol,
        lambda client: _splice(client, transport, str(backend)),
        _without(answer.headers, HOP_BY_HOP),
        refused=transport.close,
    )


def _ask(
    sock: socket.socket, request: Request, backend: Backend, target: str
) -> tuple[h11.InformationalResponse | h11.Response, bytes]:
    """Send the request; return the answer's head, and what follows a 101 or the whole body of a refusal."""
    http = h11.Connection(h11.CLIENT)
    headers = [(name, value) for name, value in request.headers if name.lower() not in OURS]
    head = h11.Request(
        method=request.method, target=target, headers=[("Host", str(backend)), *headers, *_no_body(request)]
    )
    sock.sendall((http.send(head) or b"") + (http.send(h11.EndOfMessage()) or b""))
    answer: h11.InformationalResponse | h11.Response | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(sock.recv(PIECE))
        elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
            return event, http.trailing_data[0]
        elif isinstance(event, h11.Response):
            answer = event
        elif isinstance(event, h11.Data):
            body += event.data
        if answer is not None and (isinstance(event, h11.EndOfMessage) or len(body) >= MAX_REFUSAL):
            return answer, body[:MAX_REFUSAL]


def _no_body(request: Request) -> list[tuple[str, str]]:
    return [] if request.method == "GET" else [("Content-Length", "0")]


def _refusal(answer: h11.Response, body: bytes) -> Response:
    content_type = next((value for name, value in answer.headers if name == b"content-type"), b"text/plain")
    return Response(
        answer.status_code,
        body,
        content_type.decode("latin-1"),
        _without(answer.headers, HOP_BY_HOP | {"content-type"}),
    )


def _without(headers: Iterable[tuple[bytes, bytes]], left_out: frozenset[str]) -> list[tuple[str, str]]:
    pairs = ((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers)
    return [(name, value) for name, value in pairs if name not in left_out]


def _splice(client: Transport, backend: Transport, name: str) -> None:
    """Copy both ways until either side ends."""
    downlink = spawn(_copy, backend, client, name=f"splice from {name}")
    try:
        _copy(client, backend)
    finally:
        backend.close()
        client.close()
        join_all([downlink], Deadline(ENDING))


def _copy(source: Transport, sink: Transport) -> None:
    try:
        while data := source.recv(PIECE):
            sink.send(data)
    except OSError:
        pass  # the sink has gone
    finally:
        # Both: neither protocol that is passed here goes on with one direction alone.
        sink.close()
        source.close()
