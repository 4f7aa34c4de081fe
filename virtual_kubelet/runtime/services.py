"""What can be started and stopped, and groups of it: started in order, stopped in reverse."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import Protocol

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline

__all__ = ["Service", "ServiceGroup"]

logger = logging.getLogger(__name__)


class Service(Protocol):
    """Something with a life: made, started once, stopped.

    `start` returns as soon as the work has begun; when it raises, it leaves nothing running. `stop` may be
    called from any thread, more than once, before, during and after `start`; after it nothing of the service
    runs, unless the deadline passed first (then the late threads were logged).
    """

    def start(self) -> None:
        """Begin."""

    def stop(self, deadline: Deadline) -> None:
        """End, within `deadline`."""


class ServiceGroup:
    """Services that live together; itself a service.

    They start in the order given. When one fails to start, those before it are stopped, in reverse,
    within `undo_timeout` seconds, and the failure goes on to the caller. They stop in reverse order under
    one deadline; a failing stop is logged and does not keep the others alive.
    """

    def __init__(
        self, services: Sequence[Service], *, undo_timeout: float = 10.0, clock: Clock = SYSTEM
    ) -> None:
        self._services = tuple(services)
        self._undo_timeout = undo_timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._running: list[Service] = []  # under the lock; what stop has to end, oldest first
        self._stopping = False  # under the lock

    def start(self) -> None:
        """Start all services in order; returns early when `stop` comes in between."""
        for service in self._services:
            with self._lock:
                if self._stopping:
                    return
                # Before it runs: a stop from another thread must reach a service that is still starting.
                self._running.append(service)
            try:
                service.start()
            except BaseException:
                with self._lock:
                    self._running = [other for other in self._running if other is not service]
                self.stop(Deadline(self._undo_timeout, self._clock))
                raise
            if self._is_stopping():
                # The stop may have come before the service had anything to stop.
                _stop(service, Deadline(self._undo_timeout, self._clock))
                return

    def _is_stopping(self) -> bool:
        with self._lock:
            return self._stopping

    def stop(self, deadline: Deadline) -> None:
        """Stop what was started, last first."""
        with self._lock:
            self._stopping = True
            running, self._running = self._running, []
        for service in reversed(running):
            _stop(service, deadline)


def _stop(service: Service, deadline: Deadline) -> None:
    try:
        service.stop(deadline)
    except Exception:
        logger.exception("%s could not be stopped", type(service).__name__)
