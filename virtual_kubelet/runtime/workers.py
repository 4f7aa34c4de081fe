"""Threads that take keys from a work queue and look at them, one key at a time each."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from virtual_kubelet.errors import VirtualKubeletError
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn
from virtual_kubelet.runtime.workqueue import WorkQueue

__all__ = ["Workers"]

logger = logging.getLogger(__name__)


class Workers:
    """`count` workers on one queue; a service.

    `handle(key)` returns the seconds to its next look at the key, or None when there is nothing to wait for.
    An exception means: try again by the key's own back-off, not before the error's `retry_after` if it
    has one. Stopping shuts the queue down; the workers finish what they have in hand.

    With daemon=True the threads do not keep the process alive: for handlers that call foreign code which
    cannot be interrupted, such as a provider.
    """

    def __init__(
        self,
        queue: WorkQueue,
        handle: Callable[[str], float | None],
        count: int,
        name: str,
        *,
        daemon: bool = False,
    ) -> None:
        if count < 1:
            raise ValueError(f"{name}: {count} workers cannot work")
        self._queue = queue
        self._handle = handle
        self._count = count
        self._name = name
        self._daemon = daemon
        self._lock = threading.Lock()
        self._threads: list[Thread] = []  # under the lock
        self._stopped = False  # under the lock

    def start(self) -> None:
        """Start the threads."""
        with self._lock:
            if self._stopped or self._threads:
                return
            self._threads = [
                spawn(self._work, name=f"{self._name}-{number}", daemon=self._daemon)
                for number in range(self._count)
            ]

    def stop(self, deadline: Deadline) -> None:
        """Shut the queue down and wait until the keys in hand are finished."""
        with self._lock:
            self._stopped = True
            threads = list(self._threads)
        self._queue.shut_down()
        join_all(threads, deadline)

    def _work(self) -> None:
        while (key := self._queue.get()) is not None:
            try:
                delay = self._handle(key)
            except Exception as error:  # noqa: BLE001 - one bad key must not end the worker
                self._failed(key, error)
            else:
                if delay is not None:
                    self._queue.add_after(key, delay)
            finally:
                self._queue.done(key)

    def _failed(self, key: str, error: Exception) -> None:
        delay = self._queue.retry(key, at_least=getattr(error, "retry_after", None) or 0.0)
        if isinstance(error, VirtualKubeletError):
            logger.warning("%s: %s failed, next try in %.3g s: %s", self._name, key, delay, error)
        else:
            logger.error("%s: %s failed, next try in %.3g s", self._name, key, delay, exc_info=error)
