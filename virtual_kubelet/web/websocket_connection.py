"""A WebSocket connection with threads: channels that block, on a core that does not.

Unlike SPDY's streams the channels are there from the beginning: whoever makes the connection says which ones
it reads. What comes on others is dropped, as the kubelet does.

While a consumer stands still the reader does not read, so the peer's pings are not answered either, and
kubectl gives up after a minute without a pong. Any pong counts, so the reader sends unasked ones meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import StopSignal
from virtual_kubelet.web.duplex import Duplex
from virtual_kubelet.web.outbox import Carrier
from virtual_kubelet.web.pipes import Budget, Pipe
from virtual_kubelet.wire import channels
from virtual_kubelet.wire.channels import ChannelData, ChannelEnded, ChannelProtocol, ChannelSession
from virtual_kubelet.wire.websocket import NORMAL, Closed, Role

__all__ = ["Channel", "WebSocketConnection"]

DEFAULT_BUFFER = 1 << 20
WRITE_SIZE = 32768  # bytes of one message: what kubectl sends, and what its buffers are made for


class Channel:
    """One channel. Any thread may call anything; one reads and one writes at a time."""

    def __init__(self, connection: WebSocketConnection, number: int, pipe: Pipe | None) -> None:
        self.number = number
        self._connection = connection
        self._pipe = pipe

    def read(self, size: int = 32768) -> bytes:
        """Wait for bytes; b"" when the peer has ended the channel or gone, and on channels that it may not use."""
        return self._pipe.read(size) if self._pipe is not None else b""

    def divert(self, consumer: Callable[[bytes], None]) -> None:
        """Give what comes to `consumer` instead of to `read`; see `Pipe.divert`."""
        if self._pipe is not None:
            self._pipe.divert(consumer)

    def write(self, data: bytes) -> None:
        """Send bytes; waits while the peer is slow. Empty data is sent as an empty message.

        Raises:
            BrokenPipeError: the peer has gone.
        """
        session = self._connection.session
        for start in range(0, len(data) or 1, WRITE_SIZE):
            piece = data[start : start + WRITE_SIZE]
            self._connection.duplex.send(partial(session.send_data, self.number, piece))

    def close_write(self) -> None:
        """End our side of the channel, where the protocol can say that: a server's sides end with the whole."""
        if self._connection.ends_channels:
            try:
                self._connection.duplex.send(partial(self._connection.session.end_channel, self.number))
            except BrokenPipeError:
                pass  # so it is over anyhow

    @property
    def closed(self) -> bool:
        """Whether the peer has gone."""
        return self._connection.closed

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the peer has gone, or at once if it has."""
        self._connection.on_close(callback)

    def forget(self, callback: Callable[[], None]) -> None:
        """Take back what was given to `on_close`."""
        self._connection.forget(callback)

    def discard(self) -> None:
        """Read no more: what is buffered and what may still come is dropped."""
        if self._pipe is not None:
            self._pipe.close()


class WebSocketConnection:
    """A connection with its channels. Call `run` on a thread of its own; it returns when the connection ended.

    Args:
        transport: what carries it; closed at the end.
        protocol: the subprotocol.
        readable: the channels that the peer may write to.
        role: which side we are.
        buffer: bytes that are held for slow consumers, all channels together.
        idle_timeout: seconds without a byte either way.
        clock: for the idle time.
    """

    def __init__(
        self,
        transport: Carrier,
        protocol: ChannelProtocol,
        *,
        readable: Iterable[int],
        role: Role = Role.SERVER,
        buffer: int = DEFAULT_BUFFER,
        idle_timeout: float,
        clock: Clock = SYSTEM,
    ) -> None:
        self.session = ChannelSession(role, protocol)
        self.ends_channels = protocol.half_close and role is Role.CLIENT
        budget = Budget(buffer, clock=clock)
        self._pipes = {number: Pipe(budget) for number in readable}
        self._gone = StopSignal()
        self.close_code: int | None = None
        """The status code of the peer's close, None where it went without one."""
        self.duplex: Duplex[channels.Event] = Duplex(
            transport, self.session, self, budget=budget, idle_timeout=idle_timeout, clock=clock
        )

    def channel(self, number: int, kind: type[Channel] = Channel) -> Channel:
        """Return a channel."""
        return kind(self, number, self._pipes.get(number))

    def run(self) -> None:
        """Read until the connection ends."""
        self.duplex.run()

    def close(self) -> None:
        """End the connection at once; from any thread."""
        self.duplex.close()

    def say_goodbye(self, code: int = NORMAL, reason: str = "") -> None:
        """Send the close, as far as the peer still listens; it answers with its own."""
        try:
            self.duplex.send(partial(self.session.close, code, reason))
        except BrokenPipeError:
            pass

    def finish_at_once(self, number: int, data: bytes, patience: float) -> None:
        """Send a channel's last bytes and the close, from any thread, as far as the peer takes them at once.

        See `Duplex.last_words`.
        """
        self.duplex.last_words(partial(self._queue_end, number, data), patience)

    def finish(self, number: int, data: bytes) -> None:
        """Send a channel's last bytes and the close at one go: who wants to `finish_at_once` then comes too late."""
        try:
            self.duplex.send(partial(self._queue_end, number, data))
        except BrokenPipeError:
            pass  # it has gone, or was told the end already

    def _queue_end(self, number: int, data: bytes) -> None:
        if data:
            self.session.send_data(number, data)
        self.session.close()

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

    # --------------------------------------------------------------------------- on the reader's thread

    def on_event(self, event: channels.Event) -> None:
        """See `duplex.Tasks`."""
        if isinstance(event, ChannelData):
            if (pipe := self._pipes.get(event.channel)) is not None:
                pipe.feed(event.data)
        elif isinstance(event, ChannelEnded):
            if (pipe := self._pipes.get(event.channel)) is not None:
                pipe.end()
        elif isinstance(event, Closed):
            self.close_code = event.code
            for pipe in self._pipes.values():
                pipe.end()

    def on_round(self, now: float) -> None:
        """See `duplex.Tasks`: nothing is ever due."""

    def on_silence(self) -> None:
        """See `duplex.Tasks` and the module's text."""
        try:
            self.duplex.post(self.session.pong)
        except BrokenPipeError:
            pass

    @property
    def done(self) -> bool:
        """See `duplex.Tasks`: after its close the peer sends nothing more."""
        return self.session.closed

    def on_end(self) -> None:
        """See `duplex.Tasks`."""
        self._gone.set()
        for pipe in self._pipes.values():
            pipe.cut()
