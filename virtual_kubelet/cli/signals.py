"""SIGTERM and SIGINT end the program cleanly; a second one ends it at once.

A Python signal handler runs between two bytecodes of the main thread, where that thread may hold any lock, so it
may not touch the agent. The interpreter writes the signal's number to a socket instead, and a thread of our own
reads it.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from virtual_kubelet.runtime.threads import Thread, spawn

__all__ = ["StopOnSignal"]

logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StopOnSignal:
    """A context in which the first signal calls `stop`. To be entered by the main thread."""

    def __init__(self, stop: Callable[[], Any]) -> None:
        self._stop = stop
        self._reader, self._writer = socket.socketpair()
        self._thread: Thread | None = None
        self._previous: dict[signal.Signals, Any] = {}
        self._previous_fd = -1

    def __enter__(self) -> None:
        self._writer.setblocking(False)
        self._previous_fd = signal.set_wakeup_fd(self._writer.fileno())
        self._previous = {number: signal.signal(number, _ignore) for number in SIGNALS}
        self._thread = spawn(self._listen, name="signals")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._previous_fd)
        self._writer.close()  # the thread reads the end and goes
        if self._thread:
            self._thread.join()
        self._reader.close()

    def _listen(self) -> None:
        stopping: Thread | None = None
        while number := self._reader.recv(1):
            name = signal.Signals(number[0]).name
            if number[0] not in SIGNALS:
                continue  # whoever handles it has been called
            if stopping is None:
                logger.info("%s: stopping; send it again to stop at once", name)
                stopping = spawn(self._stop, name="stop-on-signal")
            else:
                logger.warning("%s again: ending at once", name)
                os._exit(128 + number[0])
        if stopping is not None:
            stopping.join()


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """Let the interpreter write the number to the socket: that it does only for signals that Python handles."""
