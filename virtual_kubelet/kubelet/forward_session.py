"""A port-forward session over SPDY: many connections, each a pair of streams, each on its own.

The connection's thread reads and pairs; every pair gets a thread. A port that cannot be reached ends its own
pair and no other.
"""

from __future__ import annotations

import logging
import threading
from functools import partial

from virtual_kubelet.kubelet.forwards import Forwards, Target
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.web.outbox import Carrier
from virtual_kubelet.web.spdy_connection import SpdyConnection, SpdyStream
from virtual_kubelet.wire.portforward import ERROR, Pair, Pairing, StreamHeaders, error_text
from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.spdy_frames import Status
from virtual_kubelet.wire.spdy_session import SessionLimits

__all__ = ["ForwardSession"]

logger = logging.getLogger(__name__)


class ForwardSession:
    """One client's connection. `run` returns when it has ended."""

    def __init__(
        self, transport: Carrier, target: Target, streaming: Streaming, *, clock: Clock = SYSTEM
    ) -> None:
        self._target = target
        self._clock = clock
        self._forwards = Forwards(target, streaming.forwards)
        self._lock = threading.Lock()
        self._pairing = Pairing(streaming.creation_timeout)  # under the lock
        self._streams: dict[int, SpdyStream] = {}  # under the lock: until their pair is done
        self._connection = SpdyConnection(
            transport,
            on_stream=self._on_stream,
            on_round=self._on_round,
            # Twice the pairs that may be at work, and as many that still wait for their end.
            limits=SessionLimits(max_streams=4 * streaming.forwards),
            buffer=streaming.buffer,
            idle_timeout=streaming.idle_timeout,
            clock=clock,
        )

    def touch(self) -> None:
        """Take note of a sign of life that the SPDY connection cannot see."""
        self._connection.duplex.touch()

    def run(self) -> None:
        """Serve the client until its connection ends, then see that every forwarded one ends too."""
        try:
            self._connection.run()
        finally:
            with self._lock:
                streams = list(self._streams.values())
            for stream in streams:
                stream.abandon()
            self._forwards.join()

    # --------------------------------------------------------------------------- on the reader's thread

    def _on_stream(self, stream: SpdyStream) -> None:
        try:
            headers = StreamHeaders.parse(stream.id, stream.headers)
            pair = self._take(stream, headers)
        except RemoteProtocolError as error:
            logger.debug("port-forward to %s: a stream is refused: %s", self._target.pod, error)
            stream.refuse(Status.PROTOCOL_ERROR)
            return
        if headers.kind == ERROR:
            stream.divert(_drop)
        stream.on_close(partial(self._on_stream_closed, stream.id))
        stream.accept()
        if pair is not None:
            self._start(pair)

    def _take(self, stream: SpdyStream, headers: StreamHeaders) -> Pair | None:
        with self._lock:
            pair = self._pairing.add(stream.id, headers, self._clock.monotonic())
            self._streams[stream.id] = stream
        return pair

    def _on_stream_closed(self, stream_id: int) -> None:
        """Forget a stream; on the reader's thread, or on that of a forwarded connection that ends it."""
        with self._lock:
            self._pairing.forget(stream_id)
            self._streams.pop(stream_id, None)

    def _start(self, pair: Pair) -> None:
        with self._lock:
            data, error = self._streams[pair.data_id], self._streams[pair.error_id]
        if self._forwards.full:
            self._fail(pair.port, data, error, "too many connections are forwarded in this session")
            return
        try:
            self._forwards.start(pair.port, data, partial(self._finish, data, error))
        except RuntimeError as reason:  # the process or the machine is out of threads
            self._fail(pair.port, data, error, str(reason))

    def _fail(self, port: int, data: SpdyStream, error: SpdyStream, reason: str) -> None:
        """Refuse a pair without waiting for the client."""
        logger.warning("port-forward to %s port %d: %s", self._target.pod, port, reason)
        error.post_last(error_text(port, self._target.pod, self._target.uid, reason))
        data.refuse()
        self._forget(data, error)

    def _on_round(self, now: float) -> float | None:
        with self._lock:
            late = [self._streams[stream_id] for stream_id in self._pairing.expired(now)]
            due = self._pairing.next_expiry()
        for stream in late:
            logger.info("port-forward to %s: a stream waited in vain for its other half", self._target.pod)
            headers = StreamHeaders.parse(stream.id, stream.headers)
            if headers.kind == ERROR:
                reason = "the client did not open the data stream in time"
                stream.post_last(error_text(headers.port, self._target.pod, self._target.uid, reason))
            else:
                stream.refuse(Status.CANCEL)
            self._forget(stream)
        return due

    # ------------------------------------------------------------------- on a forwarded connection's thread

    def _finish(self, data: SpdyStream, error: SpdyStream, text: bytes) -> None:
        """End a pair: output before the error stream, as the client reads them."""
        if text:
            _write_last(error, text)
            data.reset()
        else:
            data.close_write()
            error.close_write()
        self._forget(data, error)

    def _forget(self, *streams: SpdyStream) -> None:
        with self._lock:
            for stream in streams:
                self._streams.pop(stream.id, None)


def _write_last(stream: SpdyStream, text: bytes) -> None:
    try:
        stream.write(text, end=True)
    except BrokenPipeError:
        pass  # nobody listens


def _drop(_: bytes) -> None:
    """Ignore what a client writes to an error stream, which is ours to write."""
