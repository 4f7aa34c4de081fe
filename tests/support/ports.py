"""Ports of loopback that nobody else is given meanwhile."""

from __future__ import annotations

import contextlib
import socket


@contextlib.contextmanager
def held_port():
    """Yield a port that refuses connections until somebody listens on it by its number, once or again and again.

    It is bound, so no one who asks for any free port gets it; with SO_REUSEADDR, as servers set it too, a socket that
    only is bound is in no listener's way.
    """
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]
