"""A request whose connection becomes a container's streams: attach, and the start of an exec.

`requests` cannot give its socket away, so this one request is written and its answer's head read with h11. Engines
answer 101 when asked to upgrade, older ones 200, Hyper 201 to an exec; either way what follows the head belongs to the container.
"""

from __future__ import annotations

import socket

import h11
import requests

from virtual_kubelet.errors import ProviderError, Unavailable
from virtual_kubelet.providers.engine import failures
from virtual_kubelet.providers.engine.endpoint import Endpoint
from virtual_kubelet.web.transport import Transport

__all__ = ["open_stream"]

TIMEOUT = 30.0
MAX_HEAD = 64 * 1024
MAX_BODY = 64 * 1024
OWN = {"host", "connection", "upgrade", "content-length"}


def open_stream(endpoint: Endpoint, prepared: requests.PreparedRequest, target: str) -> Transport:
    """Send the request; return the connection. Raises `OSError` and `ProviderError`."""
    sock = endpoint.connect(TIMEOUT)
    try:
        sock.settimeout(TIMEOUT)
        sock.sendall(_request(endpoint, prepared, target))
        head, rest = _read_head(sock)
        connection = h11.Connection(h11.CLIENT)
        answer = _answer(connection, head)
        status = answer.status_code
        if status != 101 and not 200 <= status < 300:
            problem = failures.failure(status, _body(sock, answer, rest), f"POST {target}")
            raise problem  # noqa: TRY301 - the socket is closed below, whatever is raised
        if status != 101 and _is_measured(answer):
            return _Measured(sock, connection, rest)
    except h11.RemoteProtocolError as error:
        sock.close()
        raise ProviderError(f"POST {target}: the engine's answer is not HTTP: {error}") from error
    except BaseException:
        sock.close()
        raise
    return Transport(sock, received=rest)


class _Measured(Transport):
    """A connection that was not handed over after all: what comes is one answer's body, and ends with it."""

    def __init__(self, sock: socket.socket, connection: h11.Connection, rest: bytes) -> None:
        super().__init__(sock)
        self._http = connection  # the reader's own
        if rest:
            connection.receive_data(rest)

    def recv(self, size: int = MAX_BODY, timeout: float | None = None) -> bytes:
        """Return bytes of the body, b"" at its end."""
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                self._http.receive_data(super().recv(size, timeout))
        except h11.RemoteProtocolError:
            return b""  # it broke off
        return bytes(event.data) if isinstance(event, h11.Data) else b""


def _is_measured(answer: h11.Response | h11.InformationalResponse) -> bool:
    names = {bytes(name).lower() for name, _ in answer.headers}
    return bool(names & {b"content-length", b"transfer-encoding"})


def _request(endpoint: Endpoint, prepared: requests.PreparedRequest, target: str) -> bytes:
    body = prepared.body or b""
    data = body.encode() if isinstance(body, str) else bytes(body)
    given = prepared.headers.get("Host")
    host = given or ("engine" if endpoint.path else f"{endpoint.host}:{endpoint.port}")
    headers = [
        ("Host", host),
        ("Connection", "Upgrade"),
        ("Upgrade", "tcp"),
        ("Content-Length", str(len(data))),
    ]
    headers += [(name, str(value)) for name, value in prepared.headers.items() if name.lower() not in OWN]
    connection = h11.Connection(h11.CLIENT)
    request = h11.Request(method="POST", target=target, headers=headers)
    parts = (
        connection.send(request),
        connection.send(h11.Data(data=data)),
        connection.send(h11.EndOfMessage()),
    )
    return b"".join(part or b"" for part in parts)


def _read_head(sock: socket.socket) -> tuple[bytes, bytes]:
    """Return the head of the answer, and what came behind it."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = sock.recv(4096)
        if not piece:
            raise Unavailable("the engine ended the connection without an answer")
        data += piece
        if len(data) > MAX_HEAD:
            raise ProviderError("the head of the engine's answer has no end")
    head, end, rest = data.partition(b"\r\n\r\n")
    return head + end, rest


def _answer(connection: h11.Connection, head: bytes) -> h11.Response | h11.InformationalResponse:
    # h11 wants to have sent the request whose answer it reads.
    connection.send(h11.Request(method="POST", target="/", headers=[("Host", "engine"), ("Upgrade", "tcp")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(head)
    event = connection.next_event()
    if not isinstance(event, (h11.Response, h11.InformationalResponse)):
        raise ProviderError("the engine's answer has no head")
    return event


def _body(sock: socket.socket, answer: h11.Response | h11.InformationalResponse, data: bytes) -> bytes:
    """Return what a failure says: as long as it says, else until the end or a short wait's."""
    headers = {bytes(name).lower(): bytes(value) for name, value in answer.headers}
    length = min(int(headers.get(b"content-length") or MAX_BODY), MAX_BODY)
    sock.settimeout(2.0)
    try:
        while len(data) < length and (piece := sock.recv(4096)):
            data += piece
    except OSError:
        pass  # what there is has to do
    if headers.get(b"transfer-encoding") == b"chunked":
        data = b"".join(data.split(b"\r\n")[1::2])
    return data
