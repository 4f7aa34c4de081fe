"""Copies between a forwarded connection and a socket, both ways, until both sides have ended."""

from __future__ import annotations

import contextlib
import socket

from virtual_kubelet.provider import ForwardStream
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn

__all__ = ["forward"]

LINGER = 5.0  # seconds for the other direction once the client has gone


def forward(sock: socket.socket, stream: ForwardStream) -> None:
    """Copy until both sides have ended; closes `sock`. Uses the calling thread and one more."""
    sock.settimeout(None)
    # Closing does not wake a thread that is blocked in recv; shutting down does.
    stream.on_close(lambda: _shut_down(sock, socket.SHUT_RDWR))
    try:
        upstream = spawn(_to_socket, sock, stream, name="port-forward-in")
        try:
            _to_client(sock, stream)
        finally:
            # The pod's side has ended, or the client has gone. A client that may still send keeps its half open.
            if stream.closed:
                _shut_down(sock, socket.SHUT_RDWR)
        if stream.closed:
            join_all([upstream], Deadline(LINGER))
        else:
            upstream.join()  # ends with the client: its read returns then
    finally:
        sock.close()


def _to_client(sock: socket.socket, stream: ForwardStream) -> None:
    with contextlib.suppress(OSError):
        while data := sock.recv(32768):
            stream.write(data)
    with contextlib.suppress(OSError):
        stream.close_write()


def _to_socket(sock: socket.socket, stream: ForwardStream) -> None:
    with contextlib.suppress(OSError):
        while data := stream.read():
            sock.sendall(data)
    _shut_down(sock, socket.SHUT_WR)


def _shut_down(sock: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(how)
