"""Bounded buffers between the thread that reads a connection and those that consume its streams.

Neither SPDY as Kubernetes speaks it nor the WebSocket channels have flow control for a single stream: the
only way to hold a peer up is to stop reading its socket. So all streams of one connection share one `Budget`
of bytes that nobody has taken yet. When it is used up, the reader waits, and with it every stream of that
connection and its pings. That is the trade: memory is bounded and nothing is lost, but a consumer that stands
still holds its neighbours up once it has the whole budget. One budget for all, rather than one a stream,
puts that moment off as far as the memory allows.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Budget", "Pipe"]


class Budget:
    """How many bytes a connection holds for its consumers.

    `limit` is passed by at most what one read of the socket brings, since the reader asks for room before it
    reads and never in between.
    """

    def __init__(self, limit: int, *, clock: Clock = SYSTEM) -> None:
        self._limit = limit
        self._clock = clock
        self._changed = threading.Condition()
        self._used = 0  # under the lock of _changed
        self._waiting = False  # under the lock of _changed
        self._open = True  # under the lock of _changed

    @property
    def used(self) -> int:
        """The bytes that wait now."""
        return self._used

    def take(self, size: int) -> None:
        """Count `size` bytes in; never waits."""
        with self._changed:
            self._used += size

    def give(self, size: int) -> None:
        """Count `size` bytes out."""
        with self._changed:
            self._used -= size
            if self._waiting and self._used < self._limit:
                self._changed.notify_all()

    def wait_for_room(self, timeout: float | None) -> bool:
        """Wait until there is room or `abandon` was called; False when `timeout` seconds are over."""
        with self._changed:
            if self._used < self._limit or not self._open:
                return True
            end = None if timeout is None else self._clock.monotonic() + timeout
            self._waiting = True
            try:
                while self._used >= self._limit and self._open:
                    rest = None if end is None else end - self._clock.monotonic()
                    if rest is not None and rest <= 0:
                        return False
                    self._clock.wait(self._changed, rest)
            finally:
                self._waiting = False
            return True

    def abandon(self) -> None:
        """Let the reader go on whatever is held: the connection is about to end."""
        with self._changed:
            self._open = False
            self._changed.notify_all()


class Pipe:
    """The bytes of one stream, from the connection's reader to one consumer."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._changed = threading.Condition()
        # All under the lock of _changed.
        self._pieces: deque[bytes] = deque()
        self._ended = False
        self._closed = False
        self._consumer: Callable[[bytes], None] | None = None

    # -------------------------------------------------------------------------------- the reader's side

    def feed(self, data: bytes) -> None:
        """Add bytes; never waits. After `close` they are dropped, after `divert` the consumer gets them."""
        with self._changed:
            if self._closed or self._ended or not data:
                return
            if self._consumer is None:
                self._budget.take(len(data))
                self._pieces.append(data)
                self._changed.notify()
                return
            consumer = self._consumer
        consumer(data)

    def end(self) -> None:
        """Say that no more bytes will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def ended(self) -> bool:
        """Whether `end` was called."""
        return self._ended

    # ------------------------------------------------------------------------------ the consumer's side

    def read(self, size: int) -> bytes:
        """Wait for bytes and return at most `size` of them; b"" at the end and after `close`."""
        with self._changed:
            while not self._pieces:
                if self._ended or self._closed:
                    return b""
                self._changed.wait()
            data = self._take(size)
        self._budget.give(len(data))
        return data

    def _take(self, size: int) -> bytes:
        taken = [self._pieces.popleft()]
        total = len(taken[0])
        if total > size:
            self._pieces.appendleft(taken[0][size:])
            return taken[0][:size]
        while self._pieces and total + len(self._pieces[0]) <= size:
            taken.append(self._pieces.popleft())
            total += len(taken[-1])
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def divert(self, consumer: Callable[[bytes], None]) -> None:
        """Give what comes from now on to `consumer`, on the reader's thread; it must not wait.

        For streams that are read as they come and never pile up: terminal sizes, and what is not wanted.
        Call it before the stream is accepted: what is buffered already stays in `read`.
        """
        with self._changed:
            self._consumer = consumer

    def cut(self) -> None:
        """Say that the peer has gone: what it had not brought to an end is dropped."""
        with self._changed:
            whole = self._ended
        if not whole:
            self.close()

    def close(self) -> None:
        """Drop what is held and all that may come; a waiting `read` returns b""."""
        with self._changed:
            held = sum(map(len, self._pieces))
            self._pieces.clear()
            self._closed = True
            self._changed.notify_all()
        self._budget.give(held)
