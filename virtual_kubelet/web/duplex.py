"""One thread reads a connection, any thread writes to it: the shell round a streaming protocol's core.

The core (`wire.spdy_session.Session`, `wire.channels.ChannelSession`) knows the protocol and does no I/O. The
shell owns the transport, the locks and the time:

- `_lock` guards the core. It is held for a few microseconds and never during I/O or a callback.
- What the core has queued goes out by the `Outbox`: in order, and without the reader waiting for a writer.
- All that the core has to tell is done by `Tasks`, on the reader's thread.

The connection ends once, for whatever reason: the peer's end, its error, silence for too long, `close`, or
the server's stop. Then `on_end` is called, on the reader's thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, Protocol, TypeVar

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.web.outbox import Carrier, Outbox, Queue
from virtual_kubelet.web.pipes import Budget
from virtual_kubelet.wire.protocol_errors import LocalProtocolError, RemoteProtocolError

__all__ = ["Core", "Duplex", "Tasks"]

logger = logging.getLogger(__name__)

RECEIVE_SIZE = 65536  # bytes taken from the transport at once
HANG_UP_CHECK = 0.5  # seconds between two looks for the peer's end while the reader waits for a consumer
HEARTBEAT = 20.0  # seconds between signs of life meanwhile
FAREWELL = 2.0  # seconds to tell the peer of its error

E = TypeVar("E")
Event_co = TypeVar("Event_co", covariant=True)
Event_contra = TypeVar("Event_contra", contravariant=True)


class Core(Queue, Protocol[Event_co]):
    """What the shell needs of a protocol."""

    @property
    def error(self) -> RemoteProtocolError | None:
        """Why the peer can be read no further, None while it can."""

    def receive_data(self, data: bytes) -> Sequence[Event_co]:
        """Take bytes from the peer and return what they say."""

    def receive_eof(self) -> None:
        """Take note that the peer has ended."""


class Tasks(Protocol[Event_contra]):
    """What the owner of the shell does on the reader's thread; none of it may wait."""

    def on_event(self, event: Event_contra) -> None:
        """Act on what the peer did."""

    def on_round(self, now: float) -> float | None:
        """Do what is due at `now` (monotonic); return when to be asked again at the latest, or None."""

    def on_silence(self) -> None:
        """Give a sign of life: the reader has waited for a consumer for a while."""

    def on_end(self) -> None:
        """Let go of everything: the connection has ended. Called once."""

    @property
    def done(self) -> bool:
        """Whether nothing more is wanted of the peer."""


class Duplex(Generic[E]):
    """A connection that is read by `run` and written to by `send`.

    Args:
        transport: what carries it; closed when it ends.
        core: the protocol.
        tasks: what to do when something happens.
        budget: what may be held for consumers before the reader waits for them.
        idle_timeout: seconds without a byte either way after which the connection is closed.
        clock: for the idle time.
    """

    def __init__(
        self,
        transport: Carrier,
        core: Core[E],
        tasks: Tasks[E],
        *,
        budget: Budget,
        idle_timeout: float,
        clock: Clock = SYSTEM,
    ) -> None:
        self._transport = transport
        self._core = core
        self._tasks = tasks
        self._budget = budget
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._outbox = Outbox(core, self._lock, transport)
        self._ended = threading.Condition()
        self._is_ended = False  # under the lock of _ended
        # The time of the last byte; a number that any thread sets and for which the later write wins.
        self._touched = clock.monotonic()

    @property
    def ended(self) -> bool:
        """Whether the connection has ended."""
        return self._is_ended

    @property
    def idle(self) -> bool:
        """Whether all that was queued so far is sent."""
        return self._outbox.idle

    def close(self) -> None:
        """End the connection now; `run` returns soon. From any thread."""
        self._transport.close()
        self._budget.abandon()

    def touch(self) -> None:
        """Begin the idle time anew: the peer gave a sign of life that this connection does not see."""
        self._touched = self._clock.monotonic()

    # ----------------------------------------------------------------------------------------- reading

    def run(self) -> None:
        """Read until the connection ends."""
        try:
            while self._round():
                pass
        finally:
            self._say_farewell()
            self.close()
            with self._ended:
                self._is_ended = True
                self._ended.notify_all()
            self._tasks.on_end()

    def _round(self) -> bool:
        """Receive once; False when the connection is over."""
        now = self._clock.monotonic()
        due = self._tasks.on_round(now)
        if self._core.pending:
            self._answer()
        if not self._wait_for_room():
            return False
        rest = self._touched + self._idle_timeout - now
        wait = rest if due is None else min(rest, due - now)
        try:
            data = self._transport.recv(RECEIVE_SIZE, max(0.0, wait))
        except TimeoutError:
            return not self._is_idle() and not self._tasks.done
        self.touch()
        with self._lock:
            if not data:
                self._core.receive_eof()
            events = self._core.receive_data(data) if data else ()
        for event in events:
            self._tasks.on_event(event)
        self._answer()
        return bool(data) and self._core.error is None and not self._tasks.done

    def _is_idle(self) -> bool:
        idle = self._clock.monotonic() - self._touched >= self._idle_timeout
        if idle:
            logger.info("a streaming connection was idle for %g s and is closed", self._idle_timeout)
        return idle

    def _wait_for_room(self) -> bool:
        """Wait until consumers have taken enough; False when the peer goes, or they take nothing for long.

        A peer's end is seen here as soon as the kernel has it. Behind more unread bytes than the kernel takes
        it does not get through: then TCP keep-alive finds out, minutes later.
        """
        began = heard = self._clock.monotonic()
        while not self._budget.wait_for_room(min(HANG_UP_CHECK, self._idle_timeout)):
            now = self._clock.monotonic()
            if self._transport.hung_up():
                return False  # nobody reads on to its end, so nobody else would notice
            if now - began >= self._idle_timeout:
                logger.info("a streaming connection's data was not taken for %g s", self._idle_timeout)
                return False
            if now - heard >= HEARTBEAT:
                heard = now
                self._tasks.on_silence()
                self._answer()
        return True

    def _answer(self) -> None:
        """Send what the core has to say by itself, or leave it to the thread that is sending now."""
        try:
            if self._outbox.answer(self._idle_timeout):
                self.touch()
        except OSError:
            self.close()  # the next recv ends the loop

    def _say_farewell(self) -> None:
        error = self._core.error
        if error is None:
            return
        logger.debug("a streaming connection is closed: %s", error)
        try:
            self._outbox.hurry(FAREWELL, FAREWELL)
        except OSError:
            pass  # it has gone without waiting for it

    # ----------------------------------------------------------------------------------------- writing

    def send(self, queue: Callable[[], object]) -> None:
        """Call `queue`, which tells the core what to send, and send it; waits while the peer is slow.

        Raises:
            BrokenPipeError: the connection, or the stream in question, has ended.
        """
        self.post(partial(self._outbox.claim, queue))
        try:
            self._outbox.flush(self._idle_timeout)
        except OSError as error:
            self.close()
            raise BrokenPipeError("the client has gone") from error
        self.touch()

    def post(self, queue: Callable[[], object]) -> None:
        """Call `queue` as `send` does, but leave the sending to the reader's next round, whose thread this is.

        Raises:
            BrokenPipeError: the connection, or the stream in question, has ended.
        """
        with self._lock:
            if self._is_ended:
                raise BrokenPipeError("the client has gone")
            try:
                queue()
            except LocalProtocolError as error:
                raise BrokenPipeError(str(error)) from error

    def last_words(self, queue: Callable[[], object], patience: float) -> None:
        """Call `queue` as `send` does and send what the peer takes at once, before a `close`. From any thread.

        Whoever is sending now has `patience` seconds to finish.
        """
        try:
            self.post(queue)
            self._outbox.hurry(patience)
        except OSError:
            pass  # nobody listens, or not fast enough

    def look(self, question: Callable[[], bool]) -> bool:
        """Ask the core something under its lock."""
        with self._lock:
            return question()

    # ------------------------------------------------------------------------------------------- ending

    def wait_ended(self, quiet: float) -> None:
        """Wait for the peer to end the connection, but not once it has been silent for `quiet` seconds.

        What was sent may still be on its way to a slow client, and closing now could destroy it: a byte that
        arrives at a closed socket resets the connection. A client that lives pings every few seconds.
        """
        latest = self._clock.monotonic() + self._idle_timeout
        begin = self._clock.monotonic()
        with self._ended:
            while not self._is_ended:
                now = self._clock.monotonic()
                end = min(max(self._touched, begin) + quiet, latest)
                if now >= end:
                    break
                self._clock.wait(self._ended, end - now)
        self.close()
