"""Sends what a protocol core has queued, in the order in which it was queued, from any thread.

A thread either waits for its turn, which is how a slow peer holds writers up, or leaves its bytes to the
thread that is sending now or next. The reader of a connection does the latter: what it has to answer (a pong,
a reset) must not make it wait behind output that the peer does not take.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

__all__ = ["Carrier", "Outbox", "Queue"]

FOREVER = -1.0
MAX_ANSWERS = 65536  # bytes that the reader may leave to others; a peer that asks for more waits itself


class Carrier(Protocol):
    """What carries the bytes: a `Transport`, or something that looks like one."""

    def recv(self, size: int, timeout: float | None) -> bytes:
        """See `Transport.recv`."""

    def send(self, data: bytes, timeout: float | None) -> None:
        """See `Transport.send`."""

    def hung_up(self) -> bool:
        """See `Transport.hung_up`."""

    def close(self) -> None:
        """See `Transport.close`."""


class Queue(Protocol):
    """The side of a protocol core that makes bytes."""

    @property
    def pending(self) -> int:
        """How many bytes wait in `data_to_send`."""

    def data_to_send(self) -> bytes:
        """Take what is to be sent."""


class Outbox:
    """The way from a core to its carrier.

    Args:
        queue: the core.
        lock: what guards the core; held for moments, never while sending.
        carrier: where the bytes go.
    """

    def __init__(self, queue: Queue, lock: threading.Lock, carrier: Carrier) -> None:
        self._queue = queue
        self._lock = lock
        self._carrier = carrier
        self._sending = threading.Lock()  # held while bytes go out
        self._claimed = 0  # under `lock`: queued bytes of threads that are about to flush

    @property
    def idle(self) -> bool:
        """Whether all that was queued so far is sent."""
        return not self._queue.pending and not self._sending.locked()

    def claim(self, queue: Callable[[], object]) -> None:
        """Call `queue`, whose bytes the calling thread will `flush` next; with the lock held."""
        before = self._queue.pending
        queue()
        self._claimed += self._queue.pending - before

    def flush(self, timeout: float | None) -> bool:
        """Send what is queued; waits for the peer, but not longer than `timeout` seconds for a single byte.

        Returns whether anything was sent. Raises `OSError` when the peer has gone or is too slow.
        """
        return self._flush(timeout, turn=FOREVER)

    def answer(self, timeout: float | None) -> bool:
        """Send what is queued, or leave it to the thread that is sending now or next, as long as it is little."""
        with self._lock:
            little = self._queue.pending - self._claimed <= MAX_ANSWERS
        return self._flush(timeout, turn=0 if little else FOREVER, yielding=little)

    def hurry(self, patience: float, timeout: float = 0) -> bool:
        """Send what is queued as far as the peer takes it at once, or within `timeout` seconds for a single byte.

        A thread that is sending now gets `patience` seconds to finish: more often than not it only needs the CPU.
        """
        return self._flush(timeout, turn=patience)

    def _flush(self, timeout: float | None, *, turn: float, yielding: bool = False) -> bool:
        """Send what is queued, once the threads before have, which may take `turn` seconds.

        With `yielding` it is left to the thread that has claimed bytes, as soon as there is one.
        """
        sent = False
        while self._sending.acquire(timeout=turn):
            try:
                with self._lock:
                    if yielding and self._claimed:
                        return sent
                    data = self._queue.data_to_send()
                    self._claimed = 0
                if data:
                    self._carrier.send(data, timeout)
                    sent = True
            finally:
                self._sending.release()
            # A thread that found the lock taken has left its bytes to us: look again. Not waiting this
            # time: if the lock is taken, whoever holds it will look after us.
            turn = 0
            if not self._queue.pending:
                break
        return sent
