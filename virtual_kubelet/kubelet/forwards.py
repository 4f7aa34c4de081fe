"""Forwarded connections, whatever carries them: one thread each, on which the provider copies."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from virtual_kubelet.kubelet.remote_command import explain
from virtual_kubelet.provider import ForwardStream
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn
from virtual_kubelet.wire.portforward import error_text

__all__ = ["ClientStream", "Forwards", "Target"]

logger = logging.getLogger(__name__)

THREADS_END = 10.0  # seconds for providers to notice that the client has gone


@dataclass(frozen=True)
class Target:
    """The pod whose ports are reached."""

    pod: str  # NAMESPACE/NAME
    uid: str
    connect: Callable[[int, ForwardStream], None]
    """`connect(port, stream)` copies until both sides have ended; raises when the port cannot be reached."""


class ClientStream(Protocol):
    """The client's side of a connection: a SPDY stream or a channel."""

    def read(self, size: int) -> bytes:
        """Wait for bytes; b"" at the end."""

    def write(self, data: bytes) -> None:
        """Send bytes; waits while the client is slow."""

    def close_write(self) -> None:
        """Say that no more bytes will come."""

    @property
    def closed(self) -> bool:
        """Whether the client has gone."""

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the client goes."""

    def forget(self, callback: Callable[[], None]) -> None:
        """Take a callback back."""

    def discard(self) -> None:
        """Read no more."""


class ForwardIO:
    """`provider.ForwardStream` over a client's stream, for as long as the provider works on it."""

    def __init__(self, stream: ClientStream) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []  # under the lock
        self._finished = False  # under the lock

    def read(self, size: int = 32768) -> bytes:
        """See `ForwardStream`."""
        return self._stream.read(size)

    def write(self, data: bytes) -> None:
        """See `ForwardStream`."""
        if data:
            self._stream.write(data)

    def close_write(self) -> None:
        """See `ForwardStream`."""
        self._stream.close_write()

    @property
    def closed(self) -> bool:
        """See `ForwardStream`."""
        return self._stream.closed

    def on_close(self, callback: Callable[[], None]) -> None:
        """See `ForwardStream`."""
        with self._lock:
            if self._finished:
                return
            self._callbacks.append(callback)
        self._stream.on_close(callback)

    def finish(self) -> None:
        """End what the provider may still hold; what it has not read is dropped."""
        with self._lock:
            self._finished = True
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            self._stream.forget(callback)
        self._stream.discard()


class Forwards:
    """The connections of one session, up to a limit."""

    def __init__(self, target: Target, limit: int) -> None:
        self._target = target
        self._limit = limit
        self._lock = threading.Lock()
        self._threads: set[Thread] = set()  # under the lock

    @property
    def full(self) -> bool:
        """Whether there is no room for another connection."""
        with self._lock:
            return len(self._threads) >= self._limit

    def start(self, port: int, stream: ClientStream, done: Callable[[bytes], None]) -> None:
        """Forward `stream` to `port` on a thread; it ends with `done(error)`, b"" where all went well.

        Raises:
            RuntimeError: there is no thread to be had.
        """
        started = threading.Event()

        def run() -> None:
            started.wait()
            try:
                done(self._forward(port, stream))
            finally:
                with self._lock:
                    self._threads.discard(threading.current_thread())

        thread = spawn(run, name=f"port-forward {self._target.pod}:{port}")
        with self._lock:
            self._threads.add(thread)
        started.set()

    def _forward(self, port: int, stream: ClientStream) -> bytes:
        io = ForwardIO(stream)
        try:
            self._target.connect(port, io)
        except Exception as error:  # noqa: BLE001 - the client is told, and the session lives
            if isinstance(error, BrokenPipeError) and stream.closed:
                return b""  # nobody listens
            reason = explain(error, f"port-forward {self._target.pod}:{port}")
            logger.info("port-forward to %s port %d: %s", self._target.pod, port, reason)
            return error_text(port, self._target.pod, self._target.uid, reason)
        finally:
            io.finish()
        return b""

    def join(self) -> None:
        """Wait for all to end, once the client has gone; those that do not are logged."""
        with self._lock:
            threads = list(self._threads)
        join_all(threads, Deadline(THREADS_END))

    def wait(self) -> None:
        """Wait for all to end, however long it takes."""
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join()
