"""What one server allows its clients. Times are seconds, sizes bytes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT", "Limits"]


@dataclass(frozen=True)
class Limits:
    """The bounds that keep a server up whatever its clients do."""

    connections: int = 1024
    """Open at once. Above it the one that is idle the longest makes room for a new one."""
    pending: int = 512
    """Connections that have not yet sent their first request; above it the oldest goes. So a flood of silent
    ones pushes out its own kind, while one that comes to the point gets in."""
    workers: int = 32
    """Requests at work at once; further ones wait."""
    intake: int = 2
    """Threads for handshakes and request heads. They never wait for a peer, only compute."""
    streams: int = 512
    """Answers in pieces and upgraded connections at once, each with a thread; above it 503."""
    head: int = 1 << 20
    """The size of a request's head (431 above). Large, since `kubectl exec` puts its command into the URL."""
    anonymous_head: int = 16 << 10
    """The same for connections without a client certificate."""
    body: int = 3 << 20
    """The size of a request's body, where its handler sets no other bound (413 above)."""
    setup_time: float = 10.0
    """For the TLS handshake, and again for a request's head from its first byte."""
    idle_time: float = 180.0
    """Between two requests. Longer than the 90 s of Go's clients, so that they are the ones who close."""
    stall_time: float = 30.0
    """Between two pieces of a request's body."""
    write_time: float = 60.0
    """For an answer to make any progress. Streams may stall: a paused terminal is no error."""
    linger: float = 0.1
    """How long a thread stays with a connection whose request it served: clients that send their next one
    soon need no hand-over between threads."""


DEFAULT = Limits()
