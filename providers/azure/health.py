"""Whether Azure Resource Manager answers us: fed by every call, read by the node's conditions."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass

from virtual_kubelet.errors import ProviderError, Unauthorized
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Health", "Verdict"]

FAILURES = 3  # calls in a row that must fail before the node is not Ready


@dataclass(frozen=True)
class Verdict:
    """`reason` and `message` as a node condition has them."""

    ready: bool
    reason: str
    message: str
    age: float  # seconds since the last call that ARM answered; endless where none was


class Health:
    """Counts failures in a row. A refusal, or "too many requests", is an answer too: ARM can be reached."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._failures = 0
        self._error: ProviderError | None = None
        self._answered_at: float | None = None

    def succeeded(self) -> None:
        """Take note of an answer."""
        with self._lock:
            self._failures = 0
            self._error = None
            self._answered_at = self._clock.monotonic()

    def failed(self, error: ProviderError) -> None:
        """Take note of a call without an answer, with a 5xx, or by which we see that nothing can work."""
        with self._lock:
            self._failures += 1
            self._error = error

    def verdict(self) -> Verdict:
        """Return what is to be said of the node now."""
        with self._lock:
            failures, error = self._failures, self._error
            answered_at = self._answered_at
        age = math.inf if answered_at is None else self._clock.monotonic() - answered_at
        if failures < FAILURES or error is None:
            asked = "answers" if answered_at is not None else "has not been asked yet"
            return Verdict(True, "KubeletReady", f"Azure Resource Manager {asked}", age)
        reason = "AzureUnauthorized" if isinstance(error, Unauthorized) else "AzureUnreachable"
        return Verdict(False, reason, f"the last {FAILURES} calls or more failed: {error}", age)
