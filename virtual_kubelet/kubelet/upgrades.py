"""The handshakes of the streaming routes: which protocol a client is served, or why it is refused.

SPDY/3.1 is what every API server speaks to a kubelet; a WebSocket is what clients use that it lets through:
old ones, and from 1.36 on all, where the node declares the feature ExtendWebSocketsToKubelet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn

from virtual_kubelet.errors import RequestError
from virtual_kubelet.web.messages import Request, Upgrade
from virtual_kubelet.web.transport import Transport
from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.remotecommand import negotiate
from virtual_kubelet.wire.websocket import VERSION, accept_token

__all__ = ["Streaming", "spdy", "wants_websocket", "websocket"]

SPDY = "SPDY/3.1"
PROTOCOL_HEADER = "X-Stream-Protocol-Version"
ACCEPTED_HEADER = "X-Accepted-Stream-Protocol-Versions"

Run = Callable[[Transport, str], None]
"""`run(transport, protocol)`: serves the connection after the 101."""

Stopping = Callable[[float], None]
"""See `web.messages.Upgrade.stopping`."""


def _nothing(_patience: float) -> None:
    pass


@dataclass(frozen=True)
class Streaming:
    """What streaming connections are allowed. Times are seconds, sizes bytes."""

    idle_timeout: float = 4 * 3600
    """Without a byte either way; clients ping every few seconds, so this is for those that vanished."""
    creation_timeout: float = 30
    """For a client to open the streams that it has announced."""
    buffer: int = 1 << 20
    """What one connection holds for consumers that are slower than it; see `web.pipes`."""
    forwards: int = 256
    """Forwarded connections at a time in one port-forward session, each with a thread."""
    quiet: float = 10
    """How long a client may be silent, after all was sent, before it is no longer waited for."""


def wants_websocket(request: Request) -> bool:
    """Tell which of the two kinds of upgrade is asked for; `RequestError` 400 when neither is."""
    if request.wants_upgrade("websocket"):
        return True
    if request.wants_upgrade(SPDY):
        return False
    raise RequestError(
        400, f"unable to upgrade: the request has no Connection: Upgrade with Upgrade: {SPDY} or websocket"
    )


def spdy(request: Request, supported: Iterable[str], run: Run, stopping: Stopping = _nothing) -> Upgrade:
    """Answer a SPDY handshake; `RequestError` 400 or 403 when there is no common protocol."""
    offered = request.headers.tokens(PROTOCOL_HEADER)
    if not offered:
        raise RequestError(400, f"unable to upgrade: the request has no {PROTOCOL_HEADER}")
    supported = tuple(supported)
    protocol = negotiate(offered, supported)
    if protocol is None:
        _refuse(offered, supported)
    answer = ((PROTOCOL_HEADER, protocol),)
    return Upgrade(SPDY, lambda transport: run(transport, protocol), answer, stopping=stopping)


def websocket(request: Request, supported: Iterable[str], run: Run, stopping: Stopping = _nothing) -> Upgrade:
    """Answer a WebSocket handshake; a client that offers no protocol is served the one called ""."""
    if request.method != "GET":
        raise RequestError(405, "a WebSocket begins with GET", headers=(("Allow", "GET"),))
    headers = request.headers
    try:
        token = accept_token(headers.get("Sec-WebSocket-Key"), headers.get("Sec-WebSocket-Version"))
    except RemoteProtocolError as error:
        raise RequestError(
            400, f"unable to upgrade: {error}", headers=(("Sec-WebSocket-Version", VERSION),)
        ) from error
    supported = tuple(supported)
    offered = headers.tokens("Sec-WebSocket-Protocol")
    protocol = negotiate(offered or [""], supported)
    if protocol is None:
        _refuse(offered, [name for name in supported if name])
    answer = [("Sec-WebSocket-Accept", token)]
    if protocol:
        answer.append(("Sec-WebSocket-Protocol", protocol))
    return Upgrade("websocket", lambda transport: run(transport, protocol), answer, stopping=stopping)


def _refuse(offered: Iterable[str], supported: Iterable[str]) -> NoReturn:
    raise RequestError(
        403,
        f"unable to upgrade: unable to negotiate protocol: client supports {list(offered)}, "
        f"server accepts {list(supported)}",
        headers=tuple((ACCEPTED_HEADER, name) for name in supported),
    )
