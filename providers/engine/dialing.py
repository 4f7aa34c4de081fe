"""Connects to a port of a pod as its own localhost, for port-forward.

With an engine of this machine: from inside the pod's network namespace, which also works where a rootless engine's
addresses cannot be reached. With another one: to the pod's address, which has to be routed here.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from virtual_kubelet.errors import Unavailable

__all__ = ["dial_address", "dial_namespace"]

HELPER = Path(__file__).with_name("namespace_dial.py")
EXTRA = 5.0  # seconds for the helper to start and to enter


def dial_address(host: str, port: int, timeout: float) -> socket.socket:
    """Return a connection; raise `Unavailable`."""
    try:
        return socket.create_connection((host, port), timeout)
    except OSError as error:
        raise Unavailable(
            f"dial tcp {host}:{port}: connect: {(error.strerror or str(error)).lower()}"
        ) from error


def dial_namespace(pid: int, port: int, timeout: float) -> socket.socket | None:
    """Return a connection to localhost of a process's network; None where that cannot be entered."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            command = [sys.executable, "-I", "-S", str(HELPER), str(pid), str(port), f"{timeout:g}"]
            try:
                helper = subprocess.Popen(
                    command,
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={},
                )
            except OSError:
                return None
        try:
            return _receive(ours, port, timeout)
        finally:
            try:
                helper.wait(EXTRA)
            except subprocess.TimeoutExpired:
                helper.kill()
                helper.wait()


def _receive(channel: socket.socket, port: int, timeout: float) -> socket.socket | None:
    channel.settimeout(2 * timeout + EXTRA)
    try:
        data, fds, _, _ = socket.recv_fds(channel, 4096, 1)
    except TimeoutError as error:
        raise Unavailable(f"dial tcp 127.0.0.1:{port}: connect: connection timed out") from error
    if fds:
        return socket.socket(fileno=fds[0])
    verdict, _, reason = data.decode("utf-8", "replace").partition(" ")
    if verdict == "dial":
        raise Unavailable(f"dial tcp 127.0.0.1:{port}: connect: {reason.lower()}")
    return None
