"""Asking the provider whether its backend is there, on a thread of its own: the answer may never come."""

from __future__ import annotations

import threading
from collections.abc import Callable

from virtual_kubelet.errors import NotSupported, ProviderError
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.provider import Pinging, Provider
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline

__all__ = ["Ping"]

INTERVAL = 10.0  # seconds between the end of one ping and the next
FAILURES = 3  # in a row, after which the backend counts as away
SILENCE = 40.0  # seconds without a good answer, after which it does


class Ping:
    """Pings in the background; a service. `on_change()` is called when `problem` may have changed."""

    def __init__(
        self,
        provider: Provider,
        calls: ProviderCalls,
        on_change: Callable[[], None],
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._ping = provider.ping if isinstance(provider, Pinging) else None
        self._calls = calls
        self._on_change = on_change
        self._clock = clock
        self._lock = threading.Lock()
        self._failures = 0  # in a row, under the lock
        self._failure = ""  # the last one, under the lock
        self._answered = self._ping is None  # ever, under the lock
        self._good_at = clock.monotonic()  # the last good answer, under the lock
        # A daemon: a ping that hangs cannot be interrupted.
        self._periodic = Periodic(self._once, INTERVAL, name="ping", clock=clock, daemon=True)

    def start(self) -> None:
        """Begin to ping, if the provider can be."""
        if self._ping is not None:
            with self._lock:
                self._good_at = self._clock.monotonic()
            self._periodic.start()

    def stop(self, deadline: Deadline) -> None:
        """Stop pinging."""
        self._periodic.stop(deadline)

    @property
    def problem(self) -> str:
        """Why the node cannot be Ready; "" when the backend answers."""
        with self._lock:
            if self._ping is None:
                return ""
            silent = self._clock.monotonic() - self._good_at
            if self._failures >= FAILURES or (self._failures and not self._answered):
                return f"the provider does not answer: {self._failure}"
            if silent > SILENCE:
                return f"the provider has not answered a ping for {silent:.0f} s"
            return "" if self._answered else "the provider has not answered a ping yet"

    def _once(self) -> None:
        assert self._ping is not None
        before = self.problem
        failure = ""
        try:
            self._calls.ability("ping", self._ping)
        except NotSupported:
            pass  # nothing to ask is as good as an answer
        except ProviderError as error:
            failure = str(error) or type(error).__name__
        with self._lock:
            if failure:
                self._failures += 1
                self._failure = failure
            else:
                self._failures = 0
                self._answered = True
                self._good_at = self._clock.monotonic()
        if self.problem != before:
            self._on_change()
