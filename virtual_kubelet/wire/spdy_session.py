"""One SPDY/3.1 connection as a value: bytes in, events out, bytes to send. No socket, thread or clock.

    session = Session(Role.SERVER)
    for event in session.receive_data(received): ...
    session.reply(1); session.send_data(1, b"hello", fin=True)
    transport.send(session.data_to_send())

The session answers by itself what needs no decision: pings, and frames that break a stream's rules. What
breaks the connection's rules ends in `error`, with a GOAWAY queued. It is not thread-safe; `data_to_send`
must reach the wire in the order in which it was taken, since header blocks are compressed as one stream.

There is no flow control in Kubernetes' SPDY: to hold a peer up, stop feeding what it sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from virtual_kubelet.wire import spdy_events as events
from virtual_kubelet.wire import spdy_frames as frames
from virtual_kubelet.wire.protocol_errors import LocalProtocolError, RemoteProtocolError
from virtual_kubelet.wire.spdy_events import Event
from virtual_kubelet.wire.spdy_frames import Status
from virtual_kubelet.wire.spdy_headers import HeaderCompressor, HeaderDecompressor, Headers
from virtual_kubelet.wire.spdy_reader import FrameReader
from virtual_kubelet.wire.spdy_streams import Action, State, StreamState

__all__ = ["Role", "Session", "SessionLimits"]


class Role(Enum):
    """Which side of the connection we are; the value is the parity of the ids that we give out."""

    CLIENT = 1
    SERVER = 0


@dataclass(frozen=True)
class SessionLimits:
    """What a peer may make us hold, and the size of what we send."""

    max_streams: int = 1000  # streams of the peer at a time; more are refused, the session lives
    max_control_frame: int = 65536  # bytes on the wire
    max_header_block: int = 65536  # bytes when decompressed
    max_headers: int = 1000  # in one block
    data_frame: int = 32768  # bytes of payload in the frames that we make


class Session:
    """The state of one connection. `error` holds why it can be read no further, None while it can."""

    def __init__(self, role: Role, limits: SessionLimits | None = None) -> None:
        self.role = role
        self.limits = limits or SessionLimits()
        self.error: RemoteProtocolError | None = None
        self.going_away = False  # the peer takes no new streams
        self._reader = FrameReader(max_control_frame=self.limits.max_control_frame)
        self._compressor: HeaderCompressor | None = None  # made when needed: an idle peer costs nothing
        self._decompressor = HeaderDecompressor(
            max_block=self.limits.max_header_block, max_headers=self.limits.max_headers
        )
        self._streams: dict[int, StreamState] = {}
        self._peer_streams = 0  # how many of them the peer opened
        self._last_peer_id = 0
        self._next_id = 1 if role is Role.CLIENT else 2
        self._next_ping_id = self._next_id
        self._left = False  # we have sent GOAWAY
        self._outgoing: list[bytes] = []
        self._outgoing_size = 0

    # ------------------------------------------------------------------------------------------- sending

    def open_stream(self, headers: Iterable[tuple[str, str]], *, fin: bool = False) -> int:
        """Open a stream and return its id; the peer accepts it with `StreamReplied`."""
        if self.going_away or self._left or self.error:
            raise LocalProtocolError("the session takes no new streams")
        stream_id, self._next_id = self._next_id, self._next_id + 2
        self._queue(frames.SynStream(stream_id, self._compress(headers), fin).serialize())
        self._streams[stream_id] = StreamState(State.HALF_CLOSED_LOCAL if fin else State.OPEN)
        return stream_id

    def reply(self, stream_id: int, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Accept a stream that the peer opened; the peer waits for it."""
        stream = self._live(stream_id)
        if stream.replied or self._is_ours(stream_id):
            raise LocalProtocolError(f"stream {stream_id} does not wait for a reply")
        stream.replied = True
        self._queue(frames.SynReply(stream_id, self._compress(headers)).serialize())

    def send_data(self, stream_id: int, data: bytes, *, fin: bool = False) -> None:
        """Queue data, cut into frames, and with `fin` the end of our side of the stream."""
        stream = self._live(stream_id)
        action = Action.SEND_FIN if fin else Action.SEND_DATA
        if not stream.allows(action):
            raise LocalProtocolError(f"we have ended stream {stream_id}")
        if not stream.replied and not self._is_ours(stream_id):
            raise LocalProtocolError(f"stream {stream_id} has not been accepted yet")
        size = self.limits.data_frame
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            last = fin and start + size >= len(data)
            self._queue(frames.data_head(stream_id, len(piece), fin=last))
            self._queue(piece)
        if fin and not data:
            self._queue(frames.data_head(stream_id, 0, fin=True))
        if stream.apply(action) is State.CLOSED:
            self._forget(stream_id)

    def reset(self, stream_id: int, status: int = Status.CANCEL) -> None:
        """End a stream both ways at once; one that is over already is left alone."""
        if stream_id in self._streams:
            self._forget(stream_id)
            self._queue(frames.ResetStream(stream_id, status).serialize())

    def ping(self) -> int:
        """Ask for a sign of life; the answer is a `PongReceived` with the id returned."""
        ping_id = self._next_ping_id
        self._next_ping_id = (ping_id + 2) & 0xFFFF_FFFF
        self._queue(frames.Ping(ping_id).serialize())
        return ping_id

    def go_away(self, status: int = Status.OK) -> None:
        """Tell the peer that we take no new streams; those that are open go on."""
        if not self._left:
            self._left = True
            self._queue(frames.GoAway(self._last_peer_id, status).serialize())

    @property
    def pending(self) -> int:
        """How many bytes wait in `data_to_send`: a peer that does not read can make this grow."""
        return self._outgoing_size

    def data_to_send(self) -> bytes:
        """Take what is to be sent, in order."""
        data = b"".join(self._outgoing)
        self._outgoing.clear()
        self._outgoing_size = 0
        return data

    # ----------------------------------------------------------------------------------------- receiving

    def receive_data(self, data: bytes) -> list[Event]:
        """Take bytes from the peer and return what they say; look at `error` afterwards."""
        happened: list[Event] = []
        if self.error is not None:
            return happened
        self._reader.feed(data)
        try:
            while (frame := self._reader.next_frame()) is not None:
                self._RECEIVERS[type(frame)](self, frame, happened)
        except RemoteProtocolError as error:
            self.error = error
            self.go_away(Status.PROTOCOL_ERROR)
        return happened

    def receive_eof(self) -> None:
        """Say that the peer has closed the connection; in the middle of a frame that is an `error`."""
        if self.error is None and self._reader.inside_frame:
            self.error = RemoteProtocolError("the connection ended inside a frame")

    @property
    def open_streams(self) -> frozenset[int]:
        """The ids of the streams that are not closed."""
        return frozenset(self._streams)

    def is_open(self, stream_id: int) -> bool:
        """Tell whether a stream is not closed, in at least one direction."""
        return stream_id in self._streams

    def _on_syn_stream(self, frame: frames.SynStream, happened: list[Event]) -> None:
        headers = self._decompressor.decompress(frame.block)  # first: every block moves the zlib stream on
        stream_id = frame.stream_id
        if stream_id == 0:
            raise RemoteProtocolError("SYN_STREAM with stream id 0")
        if self._is_ours(stream_id) or stream_id <= self._last_peer_id:
            self._refuse(stream_id, Status.PROTOCOL_ERROR, happened)
            return
        self._last_peer_id = stream_id
        if self._left:
            return  # after GOAWAY the peer knows by its id that nobody looked at this one
        if self._peer_streams >= self.limits.max_streams:
            self._queue(frames.ResetStream(stream_id, Status.REFUSED_STREAM).serialize())
            return
        state = State.HALF_CLOSED_LOCAL if frame.unidirectional else State.OPEN
        self._streams[stream_id] = StreamState(state, replied=frame.unidirectional)
        self._peer_streams += 1
        happened.append(events.StreamOpened(stream_id, headers))
        if frame.fin:
            self._ended(stream_id, happened)

    def _on_syn_reply(self, frame: frames.SynReply, happened: list[Event]) -> None:
        headers = self._decompressor.decompress(frame.block)
        stream = self._streams.get(frame.stream_id)
        if stream is None:
            return  # we have reset it meanwhile
        if stream.replied or not self._is_ours(frame.stream_id):
            self._refuse(frame.stream_id, Status.STREAM_IN_USE, happened)
            return
        stream.replied = True
        happened.append(events.StreamReplied(frame.stream_id, headers))
        if frame.fin:
            self._ended(frame.stream_id, happened)

    def _on_headers(self, frame: frames.HeadersFrame, happened: list[Event]) -> None:
        headers: Headers = self._decompressor.decompress(frame.block)
        if frame.stream_id not in self._streams:
            return
        happened.append(events.HeadersReceived(frame.stream_id, headers))
        if frame.fin:
            self._ended(frame.stream_id, happened)

    def _on_data(self, frame: frames.Data, happened: list[Event]) -> None:
        stream = self._streams.get(frame.stream_id)
        if stream is None:
            self._on_stray_data(frame.stream_id)
        elif not stream.allows(Action.RECEIVE_DATA):
            self._refuse(frame.stream_id, Status.STREAM_ALREADY_CLOSED, happened)
        elif not stream.replied and self._is_ours(frame.stream_id):
            self._refuse(frame.stream_id, Status.PROTOCOL_ERROR, happened)
        else:
            if frame.data:
                happened.append(events.DataReceived(frame.stream_id, frame.data))
            if frame.fin:
                self._ended(frame.stream_id, happened)

    def _on_stray_data(self, stream_id: int) -> None:
        """Ignore what was under way when the stream closed; a stream that never was is an error of the peer."""
        opened = stream_id < self._next_id if self._is_ours(stream_id) else stream_id <= self._last_peer_id
        if not opened or stream_id == 0:
            self._queue(frames.ResetStream(stream_id, Status.INVALID_STREAM).serialize())

    def _on_reset(self, frame: frames.ResetStream, happened: list[Event]) -> None:
        if frame.stream_id in self._streams:
            self._forget(frame.stream_id)
            happened.append(events.StreamReset(frame.stream_id, frame.status, by_peer=True))

    def _on_ping(self, frame: frames.Ping, happened: list[Event]) -> None:
        if self._is_ours(frame.ping_id):
            happened.append(events.PongReceived(frame.ping_id))
        else:
            self._queue(frame.serialize())

    def _on_go_away(self, frame: frames.GoAway, happened: list[Event]) -> None:
        self.going_away = True
        happened.append(events.GoAwayReceived(frame.last_stream_id, frame.status))

    # ------------------------------------------------------------------------------------------- helpers

    def _is_ours(self, number: int) -> bool:
        return number % 2 == self.role.value

    def _live(self, stream_id: int) -> StreamState:
        stream = self._streams.get(stream_id)
        if stream is None:
            raise LocalProtocolError(f"stream {stream_id} is closed")
        return stream

    def _forget(self, stream_id: int) -> None:
        del self._streams[stream_id]
        if not self._is_ours(stream_id):
            self._peer_streams -= 1

    def _ended(self, stream_id: int, happened: list[Event]) -> None:
        stream = self._streams[stream_id]
        if not stream.allows(Action.RECEIVE_FIN):
            self._refuse(stream_id, Status.STREAM_ALREADY_CLOSED, happened)
            return
        if stream.apply(Action.RECEIVE_FIN) is State.CLOSED:
            self._forget(stream_id)
        happened.append(events.StreamEnded(stream_id))

    def _refuse(self, stream_id: int, status: int, happened: list[Event]) -> None:
        """Reset a stream that the peer misused; where it is open, its owner is told."""
        if stream_id in self._streams:
            self._forget(stream_id)
            happened.append(events.StreamReset(stream_id, status, by_peer=False))
        self._queue(frames.ResetStream(stream_id, status).serialize())

    def _compress(self, headers: Iterable[tuple[str, str]]) -> bytes:
        if self._compressor is None:
            self._compressor = HeaderCompressor()
        return self._compressor.compress(headers)

    def _queue(self, data: bytes) -> None:
        self._outgoing.append(data)
        self._outgoing_size += len(data)

    _RECEIVERS: ClassVar[dict[type[frames.Frame], Callable[[Session, Any, list[Event]], None]]] = {
        frames.SynStream: _on_syn_stream,
        frames.SynReply: _on_syn_reply,
        frames.HeadersFrame: _on_headers,
        frames.Data: _on_data,
        frames.ResetStream: _on_reset,
        frames.Ping: _on_ping,
        frames.GoAway: _on_go_away,
    }
