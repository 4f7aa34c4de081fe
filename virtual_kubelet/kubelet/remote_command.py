"""What exec and attach have in common: their parameters, their handshake, and one session from end to end.

connection's thread   handshake -> streams complete -> provider works -> status, ends -> client closes
reader's thread       client's bytes -> stdin, sizes, pings; its end -> io.closed, callbacks
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from virtual_kubelet.errors import ProviderError, RequestError, Unauthorized
from virtual_kubelet.kubelet import upgrades
from virtual_kubelet.kubelet.remote_streams import RemoteStreams, SpdyStreams, WebSocketStreams
from virtual_kubelet.kubelet.session_io import SessionIO
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.provider import ExecIO
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.messages import Request, Upgrade
from virtual_kubelet.web.transport import Transport
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.remotecommand import SPDY_VERSIONS, Streams, failure, outcome

__all__ = ["Work", "asked_streams", "explain", "upgrade"]

logger = logging.getLogger(__name__)

READER_END = 10.0  # seconds for a reader to end once its connection is closed

Work = Callable[[ExecIO], int]
"""Does what the client wants, and returns the exit code."""


def asked_streams(request: Request) -> Streams:
    """Return which streams the query asks for, as the kubelet reads it: "1" is yes, all else is no.

    Raises:
        RequestError: 400 when it asks for none.
    """
    stdin, stdout, stderr, tty = (request.first(name) == "1" for name in ("input", "output", "error", "tty"))
    asked = Streams(stdin=stdin, stdout=stdout, stderr=stderr and not tty, tty=tty)
    if not (asked.stdin or asked.stdout or asked.stderr):
        raise RequestError(400, "you must specify at least 1 of stdin, stdout, stderr")
    return asked


def upgrade(
    request: Request, asked: Streams, streaming: Streaming, work: Work, *, label: str, doing: str
) -> Upgrade:
    """Answer the handshake of whichever kind the client wants; `work` begins when its streams are there.

    Args:
        request: the client's.
        asked: the streams.
        streaming: limits.
        work: what to do.
        label: names the threads, for example "exec default/web/nginx".
        doing: what is said of a failure, for example "executing command in container".
    """
    begun: list[RemoteStreams] = []  # one, once the handshake is over

    def serve(streams: RemoteStreams) -> None:
        begun.append(streams)
        _serve(streams, streaming, work, label, doing)

    def stopping(patience: float) -> None:
        # A client that is cut off without a word takes it for success: kubectl over SPDY ends with 0.
        for streams in begun:
            text = f"error {doing}: the agent of this node is stopping"
            streams.abandon(failure(text, streams.version), patience)

    def over_spdy(transport: Transport, protocol: str) -> None:
        serve(SpdyStreams(transport, protocol, asked, streaming))

    def over_websocket(transport: Transport, protocol: str) -> None:
        serve(WebSocketStreams(transport, protocol, asked, streaming))

    if upgrades.wants_websocket(request):
        return upgrades.websocket(request, CHANNEL_PROTOCOLS, over_websocket, stopping)
    return upgrades.spdy(request, SPDY_VERSIONS, over_spdy, stopping)


def _serve(streams: RemoteStreams, streaming: Streaming, work: Work, label: str, doing: str) -> None:
    reader = spawn(streams.run, name=f"{label} reader")
    try:
        if not streams.wait_ready(streaming.creation_timeout):
            logger.info("%s: the client did not open its streams in time, or has gone", label)
            return
        io = streams.io()
        try:
            status = _outcome(work, io, streams.version, label, doing)
        finally:
            io.finish()
        streams.finish(status, streaming.quiet)
    finally:
        streams.close()
        join_all([reader], Deadline(READER_END))


def _outcome(work: Work, io: SessionIO, version: int, label: str, doing: str) -> bytes:
    """Do the work and return what the error stream says of it."""
    try:
        return outcome(work(io), version)
    except Exception as error:  # noqa: BLE001 - the client is told, whatever a provider raises
        if isinstance(error, BrokenPipeError) and io.closed:
            return b""  # nobody listens
        return failure(f"error {doing}: {explain(error, label)}", version)


def explain(error: Exception, label: str) -> str:
    """Return what a client may know of a provider's failure; what nobody expected goes to the log instead."""
    if isinstance(error, Unauthorized):
        return f"the backend refuses the provider's credentials: {error}"
    if isinstance(error, (ProviderError, OSError)):
        return str(error) or type(error).__name__
    logger.error("%s failed", label, exc_info=error)
    return "internal error, see the log of the node's agent"
