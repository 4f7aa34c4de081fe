"""Servers of ours on loopback, and clients that say exactly what a test tells them to."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl

from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.web.messages import Response
from virtual_kubelet.web.self_signed import self_signed
from virtual_kubelet.web.server import Server
from virtual_kubelet.web.tls import Fixed, ServerTls

_PAIR = None


def server_tls(client_ca=None):
    """A `ServerTls` with a self-signed certificate; `client_ca`: PEM bytes."""
    global _PAIR  # noqa: PLW0603 - one key pair for all tests
    _PAIR = _PAIR or self_signed(["localhost", "127.0.0.1"])
    return ServerTls(Fixed(_PAIR), (lambda: client_ca) if client_ca else None)


def client_tls(issued=None, directory=None):
    """A context for a client that trusts anybody; `issued`: what it shows of itself."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without the system's CAs, which take 0.1 s to load
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if issued is not None:
        context.load_cert_chain(*issued.write(directory, "client"))
    return context


@contextlib.contextmanager
def serving(handler, *, deadline=5.0, **options):
    server = Server(handler, address="127.0.0.1", port=0, **{"name": "test", **options})
    server.start()
    try:
        yield server
    finally:
        server.stop(Deadline(deadline))


@contextlib.contextmanager
def connected(port, context=None, timeout=10.0):
    """A socket to a server of ours."""
    plain = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    sock = plain if context is None else context.wrap_socket(plain)
    try:
        yield sock
    finally:
        sock.close()


@contextlib.contextmanager
def http_client(port, context=None, timeout=10.0):
    if context is None:
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    else:
        client = http.client.HTTPSConnection("127.0.0.1", port, timeout=timeout, context=context)
    try:
        yield client
    finally:
        client.close()


def ask(port, method, path, *, context=None, body=None, headers=None):
    """One request on a connection of its own; returns status, headers, body."""
    with http_client(port, context) as client:
        client.request(method, path, body=body, headers=headers or {})
        response = client.getresponse()
        return response.status, response.headers, response.read()


def read_all(sock):
    """Everything until the server ends the connection."""
    pieces = []
    while True:
        try:
            data = sock.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        if not data:
            return b"".join(pieces)
        pieces.append(data)


def read_until(sock, marker):
    data = b""
    while marker not in data:
        piece = sock.recv(65536)
        assert piece, f"ended after {data!r}"
        data += piece
    return data


def read_response(sock):
    """Status and body of one response with a Content-Length, and what came behind it."""
    data = read_until(sock, b"\r\n\r\n")
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    fields = {name.lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines[1:])}
    length = int(fields.get(b"content-length", b"0"))
    while len(rest) < length:
        piece = sock.recv(65536)
        assert piece, "ended inside a body"
        rest += piece
    return int(lines[0].split()[1]), rest[:length], rest[length:]


def echo(request):
    """A handler: says what it got."""
    body = request.read()
    return Response(200, f"{request.method} {request.path} ".encode() + body, "text/plain")
