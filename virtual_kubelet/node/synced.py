"""Holding the start back until informers have their first complete list."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from virtual_kubelet.errors import ApiForbidden, ApiUnavailable, ConfigError
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal

__all__ = ["SLICE", "Synced"]

SLICE = 0.5  # seconds between two looks at whether waiting is still worth it


class Synced:
    """A service whose `start` returns when all `informers` have synced; they are started before it.

    Raises `ConfigError` when the API server forbids a list, `ApiUnavailable` after `timeout` seconds (0: never).
    """

    def __init__(
        self,
        informers: Sequence[Informer],
        on_synced: Callable[[], None] = lambda: None,
        *,
        timeout: float,
        clock: Clock = SYSTEM,
    ) -> None:
        self._informers = informers
        self._on_synced = on_synced
        self._timeout = timeout
        self._clock = clock
        self._stop = StopSignal(clock)
        self._calling = threading.RLock()  # held while `on_synced` is called

    def start(self) -> None:
        """Wait."""
        deadline = Deadline(self._timeout, self._clock) if self._timeout > 0 else None
        for informer in self._informers:
            while not self._stop.is_set() and not informer.wait_synced(SLICE):
                error = informer.last_error
                if isinstance(error, ApiForbidden):
                    raise ConfigError(f"the API server does not let this agent watch: {error}") from error
                if deadline is not None and deadline.expired:
                    raise ApiUnavailable(f"no complete list within {self._timeout:g} s: {error}")
        with self._calling:
            if not self._stop.is_set():
                self._on_synced()

    def stop(self, deadline: Deadline) -> None:
        """End the wait; one that is over has called `on_synced` to its end, if `deadline` allows, or never will."""
        self._stop.set()
        if self._calling.acquire(timeout=deadline.remaining()):
            self._calling.release()
