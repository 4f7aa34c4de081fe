"""Run as a program: connects to a port from inside another process's network namespace, hands the socket over.

    python namespace_dial.py PID PORT TIMEOUT     with a unix socket as standard input

A connected socket keeps the namespace that it was made in, so the agent itself never leaves its own. Standard
library only: it runs isolated, and quickly.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from pathlib import Path

LOCALHOST = ("127.0.0.1", "::1")


def enter(pid: str) -> None:
    """Join the network namespace of `pid`, by way of its user namespace where that is another one."""
    libc = ctypes.CDLL(None, use_errno=True)
    for kind in ("user", "net"):
        path = f"/proc/{pid}/ns/{kind}"
        if Path(path).samefile(f"/proc/self/ns/{kind}"):
            continue
        fd = os.open(path, os.O_RDONLY)
        if libc.setns(fd, 0) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        os.close(fd)


def dial(port: int, timeout: float) -> socket.socket:
    """Return a connection to localhost; raise the first problem."""
    problem = OSError("no address")
    for number, host in enumerate(LOCALHOST):
        try:
            return socket.create_connection((host, port), timeout)
        except OSError as error:
            problem = error if number == 0 else problem
    raise problem


def main() -> None:
    """Connect and hand over: `ok` with the socket, or why not."""
    channel = socket.socket(fileno=os.dup(0))
    pid, port, timeout = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    try:
        enter(pid)
    except OSError as error:
        channel.sendall(f"enter {error.strerror or error}".encode())
        return
    try:
        connection = dial(port, timeout)
    except OSError as error:
        channel.sendall(f"dial {error.strerror or error}".encode())
        return
    connection.setblocking(True)
    socket.send_fds(channel, [b"ok"], [connection.fileno()])


if __name__ == "__main__":
    main()
