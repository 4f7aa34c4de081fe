"""Port-forward: a TCP connection from here to the container group's address.

ACI has no tunnel of its own, so this works where the agent reaches the group: in its virtual network, or at the
public ports of a group without one. What listens on the container's loopback only cannot be reached.
"""

from __future__ import annotations

import socket

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.provider import ForwardStream
from virtual_kubelet.runtime.threads import spawn

__all__ = ["forward"]

CONNECT_TIMEOUT = 10.0  # seconds
CHUNK = 32768


def forward(address: str, port: int, stream: ForwardStream) -> None:
    """Copy both ways between `stream` and `address`:`port` until both sides have ended.

    Raises:
        Unavailable: the port cannot be reached from here.
    """
    try:
        connection = socket.create_connection((address, port), timeout=CONNECT_TIMEOUT)
    except OSError as error:
        raise Unavailable(
            f"port {port} of container group address {address} cannot be reached from this node's agent:"
            f" {error.strerror or error}"
        ) from error
    with connection:
        connection.settimeout(None)
        stream.on_close(lambda: _shut(connection, socket.SHUT_RDWR))
        # A daemon: it may wait for a client that has nothing more to say and does not hang up.
        sender = spawn(_send, stream, connection, name="azure-forward", daemon=True)
        _receive(connection, stream)
        stream.close_write()
        sender.join()


def _send(stream: ForwardStream, connection: socket.socket) -> None:
    try:
        while data := stream.read(CHUNK):
            connection.sendall(data)
    except OSError:
        pass  # the other side has ended; the receiver sees it too
    _shut(connection, socket.SHUT_WR)


def _receive(connection: socket.socket, stream: ForwardStream) -> None:
    try:
        while data := connection.recv(CHUNK):
            stream.write(data)
    except OSError:
        _shut(connection, socket.SHUT_RDWR)  # one of the two has gone


def _shut(connection: socket.socket, how: int) -> None:
    try:
        connection.shutdown(how)
    except OSError:
        pass  # it has been closed already
