"""A SPDY connection with threads: streams that block, on a session that does not.

The server's side gets streams by `on_stream`, on the reader's thread; it accepts or resets each one there.
The client's side (tests, and whoever has to reach a kubelet) opens them. SPDY as Kubernetes speaks it has no
flow control: see `pipes` for what that means for slow consumers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from functools import partial

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import StopSignal
from virtual_kubelet.web.duplex import Duplex
from virtual_kubelet.web.outbox import Carrier
from virtual_kubelet.web.pipes import Budget, Pipe
from virtual_kubelet.wire import spdy_events as events
from virtual_kubelet.wire.protocol_errors import LocalProtocolError
from virtual_kubelet.wire.spdy_frames import Status
from virtual_kubelet.wire.spdy_headers import Headers
from virtual_kubelet.wire.spdy_session import Role, Session, SessionLimits

__all__ = ["SpdyConnection", "SpdyStream"]

DEFAULT_BUFFER = 1 << 20
CLOSING_CHECK = 1.0  # seconds between two looks for the end of a connection that the peer wants to end
WRITE_SIZE = 131072  # bytes queued at once: several frames a lock, and still little memory a writer


class SpdyStream:
    """One stream. Any thread may call anything; one reads and one writes at a time."""

    def __init__(self, connection: SpdyConnection, stream_id: int, headers: Headers, budget: Budget) -> None:
        self.id = stream_id
        self.headers = headers
        self._connection = connection
        self._pipe = Pipe(budget)
        self._gone = StopSignal()

    def accept(self) -> None:
        """Answer the peer that the stream is taken; on the reader's thread, in `on_stream`."""
        try:
            self._connection.duplex.post(partial(self._connection.session.reply, self.id))
        except BrokenPipeError:
            pass  # reset by the peer in the same breath, or gone

    def refuse(self, status: int = Status.REFUSED_STREAM) -> None:
        """Answer the peer that the stream is not taken; on the reader's thread, in `on_stream`."""
        try:
            self._connection.duplex.post(partial(self._connection.session.reset, self.id, status))
        except BrokenPipeError:
            pass
        self._connection.drop(self)
        self.discard()  # or bytes that nobody takes would count against the connection for ever
        self.abandon()

    def post_last(self, data: bytes) -> None:
        """Send a few last bytes and close our side; on the reader's thread, in a callback."""
        session = self._connection.session
        try:
            self._connection.duplex.post(partial(session.send_data, self.id, data, fin=True))
        except BrokenPipeError:
            pass  # nobody listens
        self._connection.forget_closed(self)

    def read(self, size: int = 32768) -> bytes:
        """Wait for bytes; b"" when the peer has ended its side, reset the stream, or gone."""
        return self._pipe.read(size)

    def divert(self, consumer: Callable[[bytes], None]) -> None:
        """Give what comes to `consumer` instead of to `read`; see `Pipe.divert`."""
        self._pipe.divert(consumer)

    def write(self, data: bytes, *, end: bool = False) -> None:
        """Send bytes, and with `end` close our side; waits while the peer is slow.

        Raises:
            BrokenPipeError: the stream is closed or the peer has gone.
        """
        session = self._connection.session
        for start in range(0, len(data) or 1, WRITE_SIZE):
            piece = data[start : start + WRITE_SIZE]
            last = end and start + WRITE_SIZE >= len(data)
            if piece or last:
                self._connection.duplex.send(partial(session.send_data, self.id, piece, fin=last))
        if end:
            self._connection.forget_closed(self)

    def close_write(self) -> None:
        """End our side; the peer may go on. Nothing happens where that is done already or the peer has gone."""
        try:
            self.write(b"", end=True)
        except BrokenPipeError:
            pass

    def reset(self, status: int = Status.CANCEL) -> None:
        """End the stream both ways at once."""
        try:
            self._connection.duplex.send(partial(self._connection.session.reset, self.id, status))
        except BrokenPipeError:
            pass  # so it is over anyhow
        self._connection.drop(self)
        self.discard()  # or bytes that nobody takes would count against the connection for ever
        self.abandon()

    @property
    def ended(self) -> bool:
        """Whether the reader has told the end of the peer's side."""
        return self._pipe.ended

    @property
    def closed(self) -> bool:
        """Whether the peer has reset the stream, or gone."""
        return self._gone.is_set()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the peer resets the stream or goes, or at once if it has."""
        self._gone.on_set(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Take back what was given to `on_close`."""
        self._gone.forget(callback)

    def discard(self) -> None:
        """Read no more: what is buffered and what may still come is dropped."""
        self._pipe.close()

    def abandon(self) -> None:
        """Let readers, writers and callbacks know that the stream is over."""
        self._pipe.cut()
        self._gone.set()

    def feed(self, data: bytes) -> None:
        """Take bytes from the connection's reader."""
        self._pipe.feed(data)

    def end(self) -> None:
        """Take the end of the peer's side from the connection's reader."""
        self._pipe.end()


class SpdyConnection:
    """A connection with its streams. Call `run` on a thread of its own; it returns when the connection ended.

    Args:
        transport: what carries it; closed at the end.
        on_stream: called for each stream that the peer opens; has to `accept` or `reset` it. May not wait.
        on_round: see `duplex.Tasks`.
        role: which side we are.
        limits: of the protocol.
        buffer: bytes that are held for slow consumers, all streams together.
        idle_timeout: seconds without a byte either way.
        clock: for the idle time.
    """

    def __init__(
        self,
        transport: Carrier,
        *,
        on_stream: Callable[[SpdyStream], None],
        on_round: Callable[[float], float | None] = lambda _: None,
        role: Role = Role.SERVER,
        limits: SessionLimits | None = None,
        buffer: int = DEFAULT_BUFFER,
        idle_timeout: float,
        clock: Clock = SYSTEM,
    ) -> None:
        self.session = Session(role, limits)
        self._on_round = on_round
        self._on_stream = on_stream
        self._budget = Budget(buffer, clock=clock)
        self._lock = threading.Lock()
        self._streams: dict[int, SpdyStream] = {}  # under the lock: those that are open
        self._waiting: dict[int, threading.Event] = {}  # under the lock: ours that wait for an answer
        self._gone = StopSignal()
        self.duplex: Duplex[events.Event] = Duplex(
            transport, self.session, self, budget=self._budget, idle_timeout=idle_timeout, clock=clock
        )

    def run(self) -> None:
        """Read until the connection ends."""
        self.duplex.run()

    def close(self) -> None:
        """End the connection at once; from any thread."""
        self.duplex.close()

    @property
    def closed(self) -> bool:
        """Whether the connection has ended."""
        return self._gone.is_set()

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the connection has ended, or at once if it has."""
        self._gone.on_set(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Take back what was given to `on_close`."""
        self._gone.forget(callback)

    def go_away(self) -> None:
        """Tell the peer that no new streams are taken, as far as it still listens."""
        try:
            self.duplex.send(self.session.go_away)
        except BrokenPipeError:
            pass

    def finish(self, last: Iterable[tuple[SpdyStream, bytes]]) -> None:
        """Send each stream's last bytes and its end, and GOAWAY, at one go, as far as the peer still listens."""
        try:
            self.duplex.send(partial(self._queue_end, last))
        except BrokenPipeError:
            pass  # it has gone

    def finish_at_once(self, last: Iterable[tuple[SpdyStream, bytes]], patience: float) -> None:
        """Do as `finish`, from any thread; what the peer does not take now it never gets. See `Duplex.last_words`."""
        self.duplex.last_words(partial(self._queue_end, last), patience)

    def _queue_end(self, last: Iterable[tuple[SpdyStream, bytes]]) -> None:
        for stream, data in last:
            try:
                self.session.send_data(stream.id, data, fin=True)
            except LocalProtocolError:
                pass  # ended already, or reset by the peer
        self.session.go_away()

    def open_stream(self, headers: Iterable[tuple[str, str]], *, timeout: float = 30) -> SpdyStream:
        """Open a stream and wait until the peer accepts it.

        Raises:
            TimeoutError: it does not within `timeout` seconds.
            BrokenPipeError: it refuses, or has gone.
        """
        pairs = tuple(headers)
        answered = threading.Event()
        opened: list[SpdyStream] = []

        def queue() -> None:
            stream_id = self.session.open_stream(pairs)
            opened.append(SpdyStream(self, stream_id, pairs, self._budget))
            with self._lock:
                self._streams[stream_id] = opened[0]
                self._waiting[stream_id] = answered

        self.duplex.send(queue)
        stream = opened[0]
        stream.on_close(answered.set)
        if self._gone.is_set():
            stream.abandon()
        in_time = answered.wait(timeout)
        with self._lock:
            refused = self._waiting.pop(stream.id, None) is not None
        if not in_time:
            stream.reset()
            raise TimeoutError(f"the peer did not accept a stream within {timeout:g} s")
        if refused:
            raise BrokenPipeError("the peer refused a stream")
        return stream

    def forget_closed(self, stream: SpdyStream) -> None:
        """Take a stream off the list if it is closed both ways and the reader has told all that came."""
        if stream.ended and not self.duplex.look(lambda: self.session.is_open(stream.id)):
            self.drop(stream)

    def drop(self, stream: SpdyStream) -> None:
        """Take a stream off the list: whatever else comes for it is not told."""
        with self._lock:
            self._streams.pop(stream.id, None)

    # --------------------------------------------------------------------------- on the reader's thread

    def on_event(self, event: events.Event) -> None:
        """See `duplex.Tasks`."""
        if isinstance(event, events.StreamOpened):
            stream = SpdyStream(self, event.stream_id, event.headers, self._budget)
            with self._lock:
                self._streams[event.stream_id] = stream
            self._on_stream(stream)
            return
        if isinstance(event, (events.PongReceived, events.GoAwayReceived, events.HeadersReceived)):
            return
        with self._lock:
            known = self._streams.get(event.stream_id)
        if known is not None:
            self._on_stream_event(known, event)

    def _on_stream_event(
        self,
        stream: SpdyStream,
        event: events.StreamReplied | events.DataReceived | events.StreamEnded | events.StreamReset,
    ) -> None:
        if isinstance(event, events.DataReceived):
            stream.feed(event.data)
        elif isinstance(event, events.StreamEnded):
            stream.end()
            self.forget_closed(stream)
        elif isinstance(event, events.StreamReset):
            self.drop(stream)
            stream.discard()
            stream.abandon()
        else:
            with self._lock:
                answered = self._waiting.pop(stream.id, None)
            if answered is not None:
                answered.set()

    def on_round(self, now: float) -> float | None:
        """See `duplex.Tasks`."""
        due = self._on_round(now)
        if not self.session.going_away:
            return due
        # It may become `done` by our own last bytes going out, which is no event.
        soon = now + CLOSING_CHECK
        return soon if due is None else min(due, soon)

    @property
    def done(self) -> bool:
        """See `duplex.Tasks`: a peer that said GOAWAY and has no stream left wants nothing more."""
        over = self.session.going_away and self.duplex.look(lambda: not self.session.open_streams)
        # In this order: the last bytes of the last stream may be on their way.
        return over and self.duplex.idle

    def on_silence(self) -> None:
        """See `duplex.Tasks`: a ping of ours shows the peer, and every box between, that we live."""
        try:
            self.duplex.post(self.session.ping)
        except BrokenPipeError:
            pass

    def on_end(self) -> None:
        """See `duplex.Tasks`."""
        with self._lock:
            streams = list(self._streams.values())
            self._streams.clear()
        self._gone.set()
        for stream in streams:
            stream.abandon()
