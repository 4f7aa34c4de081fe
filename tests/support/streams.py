"""Both ends of a connection, and peers that speak the streaming protocols to it."""

from __future__ import annotations

import contextlib
import socket

from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.transport import Transport


@contextlib.contextmanager
def transports(buffer=None):
    """Two connected transports; `buffer`: the size of the kernel's buffers between them."""
    ends = socket.socketpair()
    if buffer is not None:
        for end in ends:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    left, right = (Transport(end) for end in ends)
    try:
        yield left, right
    finally:
        left.close()
        right.close()


@contextlib.contextmanager
def running(*connections):
    """Run connections, each on a thread; close them at the end and see that the threads end."""
    threads = [spawn(connection.run, name=f"reader-{i}") for i, connection in enumerate(connections)]
    try:
        yield
    finally:
        for connection in connections:
            connection.close()
        assert join_all(threads, Deadline(30)) == []


def read_all(stream):
    """Everything until the stream's end."""
    pieces = []
    while data := stream.read(65536):
        pieces.append(data)
    return b"".join(pieces)
