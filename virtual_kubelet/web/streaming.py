"""Answers in pieces: noticing that the client has gone while there is nothing to send."""

from __future__ import annotations

import logging
import selectors
import threading
from collections.abc import Callable

from virtual_kubelet.web.poller import Outcome, Poller, Registration
from virtual_kubelet.web.pool import Pool
from virtual_kubelet.web.transport import PIECE, Transport

__all__ = ["ClientWatch", "close_body"]

logger = logging.getLogger(__name__)


class ClientWatch:
    """Calls `gone` when the client ends a connection that is being written to.

    The thread of the connection sits in the body's `__next__`, so the poller watches the socket. What a
    client sends meanwhile (a next request) is kept for later, up to a bound.
    """

    def __init__(self, transport: Transport, poller: Poller, workers: Pool, gone: Callable[[], None]) -> None:
        self._transport = transport
        self._poller = poller
        self._workers = workers
        self._gone = gone
        self._lock = threading.RLock()  # of a socket that is closed the poller tells within `wait`
        self._over = False  # under the lock
        self._registration: Registration | None = None  # under the lock

    def start(self) -> None:
        """Begin to watch."""
        with self._lock:
            self._wait()

    def stop(self) -> None:
        """Watch no more; the socket may be waited for by others."""
        with self._lock:
            self._over = True
            if self._registration is not None:
                self._poller.cancel(self._registration)

    def _wait(self) -> None:
        if not self._over:
            self._registration = self._poller.wait(self._transport, selectors.EVENT_READ, self._readable)

    def _readable(self, outcome: Outcome) -> None:
        if outcome is Outcome.STOPPED:
            return
        with self._lock:  # whoever stops the watch reads the socket next, and must find there what has come
            if self._over:
                return
            there = self._transport.read_ahead()
            if there and self._transport.ahead < PIECE:
                self._wait()
        if not there:
            # Not here: it closes the body, which is foreign code, and this is the poller's thread.
            self._workers.submit(self._gone)


def close_body(body: object) -> None:
    """Close a body in pieces, from any thread."""
    close = getattr(body, "close", None)
    if close is None:
        return
    try:
        close()
    except ValueError:
        # A generator that runs on another thread: it ends when its next piece cannot be sent.
        logger.debug("a generator cannot be closed while it runs")
    except Exception:
        logger.exception("the body of an answer could not be closed")
