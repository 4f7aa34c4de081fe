"""What carries an exec or attach session: streams of a SPDY connection, or channels of a WebSocket.

Both offer the same: `run` reads the connection, `wait_ready` waits for the client's streams, then `io` is
what the provider gets, and `finish` sends how it ended.
"""

from __future__ import annotations

import threading

from virtual_kubelet.kubelet.session_io import SessionIO, TerminalSizes
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.web.spdy_connection import SpdyConnection, SpdyStream
from virtual_kubelet.web.transport import Transport
from virtual_kubelet.web.websocket_connection import Channel, WebSocketConnection
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.remotecommand import (
    CHANNELS,
    ERROR,
    RESIZE,
    SPDY_VERSIONS,
    STDERR,
    STDIN,
    STDOUT,
    Streams,
)
from virtual_kubelet.wire.spdy_frames import Status
from virtual_kubelet.wire.spdy_headers import first_value

__all__ = ["RemoteStreams", "SpdyStreams", "WebSocketStreams"]


class SpdyStreams:
    """A session over SPDY: the client opens one stream for each name."""

    def __init__(self, transport: Transport, protocol: str, asked: Streams, streaming: Streaming) -> None:
        self.version = SPDY_VERSIONS[protocol]
        self._asked = asked
        self._expected = asked.names(self.version)
        self._sizes = TerminalSizes()
        self._streams: dict[str, SpdyStream] = {}  # only the reader changes it, until _complete
        self._complete = threading.Event()
        self._connection = SpdyConnection(
            transport,
            on_stream=self._on_stream,
            buffer=streaming.buffer,
            idle_timeout=streaming.idle_timeout,
        )
        self._connection.on_close(self._complete.set)

    def run(self) -> None:
        """Read the connection until it ends."""
        self._connection.run()

    def close(self) -> None:
        """End the connection at once."""
        self._connection.close()

    def wait_ready(self, timeout: float) -> bool:
        """Wait for the client to open its streams; False when it has not, or has gone."""
        self._complete.wait(timeout)
        return self._streams.keys() == self._expected and not self._connection.closed

    def io(self) -> SessionIO:
        """Return the provider's view."""
        streams = self._streams
        return SessionIO(
            self._asked,
            self._connection,
            stdin=streams.get(STDIN),
            stdout=streams.get(STDOUT),
            stderr=streams.get(STDERR),
            sizes=self._sizes,
        )

    def finish(self, status: bytes, quiet: float) -> None:
        """Send `status` and the end of every stream, then wait for the client to end the connection.

        Output ends before the error stream: clients read the latter to its end only when the former have.
        """
        stdin = self._streams.get(STDIN)
        if stdin is not None:
            stdin.discard()  # or unread input would keep the reader from seeing the client's end
        self._connection.finish(self._last(status))
        self._connection.duplex.wait_ended(quiet)

    def abandon(self, status: bytes, patience: float) -> None:
        """Send `status` within `patience` seconds: the connection is about to be closed. From any thread."""
        if self._complete.is_set():
            self._connection.finish_at_once(self._last(status), patience)

    def _last(self, status: bytes) -> list[tuple[SpdyStream, bytes]]:
        order = (STDOUT, STDERR, ERROR, STDIN, RESIZE)
        held = [(name, self._streams[name]) for name in order if name in self._streams]
        return [(stream, status if name == ERROR else b"") for name, stream in held]

    def _on_stream(self, stream: SpdyStream) -> None:
        name = first_value(stream.headers, "streamtype")
        if name not in self._expected or name in self._streams:
            stream.refuse(Status.PROTOCOL_ERROR)
            return
        if name == RESIZE:
            stream.divert(self._sizes.feed)
        elif name != STDIN:
            stream.divert(_drop)
        if name == ERROR:
            # A client that resets this one (Go's does with all of them when it leaves) cannot be told of
            # any result: it has gone, even if its connection lingers.
            stream.on_close(self._connection.close)
        self._streams[name] = stream
        stream.accept()
        if self._streams.keys() == self._expected:
            self._complete.set()


class WebSocketStreams:
    """A session over a WebSocket: the channels are there from the beginning."""

    def __init__(self, transport: Transport, protocol: str, asked: Streams, streaming: Streaming) -> None:
        kind = CHANNEL_PROTOCOLS[protocol]
        self.version = kind.version
        self._asked = asked
        self._sizes = TerminalSizes()
        readable = [CHANNELS[name] for name, wanted in ((STDIN, asked.stdin), (RESIZE, asked.tty)) if wanted]
        self._connection = WebSocketConnection(
            transport,
            kind,
            readable=readable,
            buffer=streaming.buffer,
            idle_timeout=streaming.idle_timeout,
        )
        self._channel(RESIZE).divert(self._sizes.feed)

    def run(self) -> None:
        """Read the connection until it ends."""
        self._connection.run()

    def close(self) -> None:
        """End the connection at once."""
        self._connection.close()

    def wait_ready(self, timeout: float) -> bool:
        """Tell the client, without waiting, that it may begin: an empty message on the first channel that it reads."""
        first = next((name for name in (STDOUT, STDERR) if name in self._asked.names(self.version)), ERROR)
        try:
            self._channel(first).write(b"")
        except BrokenPipeError:
            return False
        return True

    def io(self) -> SessionIO:
        """Return the provider's view."""
        names = self._asked.names(self.version)
        return SessionIO(
            self._asked,
            self._connection,
            stdin=self._channel(STDIN) if STDIN in names else None,
            stdout=self._channel(STDOUT) if STDOUT in names else None,
            stderr=self._channel(STDERR) if STDERR in names else None,
            sizes=self._sizes,
        )

    def finish(self, status: bytes, quiet: float) -> None:
        """Send `status` and the close, then wait for the client's."""
        self._channel(STDIN).discard()
        self._connection.finish(CHANNELS[ERROR], status)
        self._connection.duplex.wait_ended(quiet)

    def abandon(self, status: bytes, patience: float) -> None:
        """Send `status` within `patience` seconds: the connection is about to be closed. From any thread."""
        self._connection.finish_at_once(CHANNELS[ERROR], status, patience)

    def _channel(self, name: str) -> Channel:
        return self._connection.channel(CHANNELS[name])


RemoteStreams = SpdyStreams | WebSocketStreams


def _drop(_: bytes) -> None:
    """Ignore what a client writes to a stream that is ours to write."""
