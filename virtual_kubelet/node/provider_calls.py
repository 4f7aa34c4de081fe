"""Every call that the agent makes to its provider: retried, timed, counted, and never lost sight of.

A call that fails in a way that may pass is made again, three times in all within 15 seconds; what that does not
mend is the work queue's business. Python cannot interrupt a call, so one that does not come back is at
least named: in the log, in a counter, and in /readyz.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from virtual_kubelet.errors import NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import Condition, Pod, PodStatus, pod_key
from virtual_kubelet.provider import Provider
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.logs import redact_text
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline, StopSignal

__all__ = ["ProviderCalls"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

ATTEMPTS = 3
BUDGET = 15.0  # seconds from the first attempt to the start of the last
SLOW = 10.0  # seconds after which a call is worth a warning: `create_pod` and its like only begin the work
WATCH_INTERVAL = 2.0  # seconds between looks at calls under way
PAUSES = Backoff(initial=0.25, maximum=5.0, jitter=0.5)
METHODS = ("create_pod", "update_pod", "delete_pod", "get_pod", "get_pod_status", "get_pods")


class _Unforeseen(ProviderError):
    """Something that is no `ProviderError` left the provider: a bug, as likely as not."""


@dataclass(eq=False)
class _Call:
    method: str
    subject: str  # namespace/name, or "" where a call is about the whole node
    since: float  # monotonic
    warned: bool = False


class ProviderCalls:
    """The provider's methods with the agent's manners; a service that watches over calls under way.

    Raises what the provider raises where that is a `ProviderError`, and a `ProviderError` in place of
    anything else. All methods are repeated: the contract makes them idempotent.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        metrics: Metrics,
        clock: Clock = SYSTEM,
        chance: Callable[[], float] = lambda: 0.5,
    ) -> None:
        self._provider = provider
        self._metrics = metrics
        self._clock = clock
        self._chance = chance
        self._stop = StopSignal(clock)
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._under_way: dict[int, _Call] = {}  # under the lock
        self._watch = Periodic(self._warn_of_slow, WATCH_INTERVAL, name="provider-calls", clock=clock)
        self._slow = metrics.counter(
            "virtual_kubelet_provider_slow_calls_total",
            f"Provider calls that took more than {SLOW:g} seconds.",
            ("method",),
        )
        for method in METHODS:
            metrics.provider_in_flight.labels(method).set_function(partial(self._count, method))

    def start(self) -> None:
        """Begin to watch over slow calls."""
        self._watch.start()

    def interrupt(self) -> None:
        """Wake calls that wait to be repeated: they are not repeated any more."""
        self._stop.set()

    def stop(self, deadline: Deadline) -> None:
        """Wake calls that wait to be repeated, and stop watching."""
        self._stop.set()
        self._watch.stop(deadline)

    def create_pod(self, pod: Pod) -> None:
        """Call `create_pod`."""
        self._call("create_pod", pod_key(pod), self._provider.create_pod, pod)

    def update_pod(self, pod: Pod) -> None:
        """Call `update_pod`."""
        self._call("update_pod", pod_key(pod), self._provider.update_pod, pod)

    def delete_pod(self, pod: Pod) -> None:
        """Call `delete_pod`."""
        self._call("delete_pod", pod_key(pod), self._provider.delete_pod, pod)

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        """Call `get_pod`; `NotFound` counts as None."""
        try:
            return self._call("get_pod", f"{namespace}/{name}", self._provider.get_pod, namespace, name)
        except NotFound:
            return None

    def get_pods(self) -> list[Pod]:
        """Call `get_pods`, once: it is called again soon anyway."""
        return self._once("get_pods", "", self._provider.get_pods, ())

    def capacity(self) -> dict[str, str]:
        """Call `capacity`, once."""
        return self._once("capacity", "", self._provider.capacity, ())

    def node_conditions(self) -> list[Condition]:
        """Call `node_conditions`, once."""
        return self._once("node_conditions", "", self._provider.node_conditions, ())

    def get_pod_status(self, namespace: str, name: str) -> PodStatus | None:
        """Call `get_pod_status`; `NotFound` counts as None."""
        try:
            return self._call(
                "get_pod_status", f"{namespace}/{name}", self._provider.get_pod_status, namespace, name
            )
        except NotFound:
            return None

    def ability(self, method: str, call: Callable[[], T]) -> T:
        """Make one call of an optional ability, once."""
        return self._once(method, "", call, ())

    def slow(self, seconds: float = SLOW) -> list[str]:
        """Return a line for each call that has taken more than `seconds` and is still under way."""
        now = self._clock.monotonic()
        with self._lock:
            calls = [call for call in self._under_way.values() if now - call.since > seconds]
        return [_described(call, now) for call in calls]

    def _call(self, method: str, subject: str, call: Callable[..., T], *args: Any) -> T:
        # The first attempt is made by hand: tenacity costs 30 us a call, which only failures need to pay.
        try:
            return self._once(method, subject, call, args)
        except ProviderError as error:
            if not _may_pass(error):
                raise
            first_failure = [error]

        def attempt() -> T:
            if first_failure:
                raise first_failure.pop()
            return self._once(method, subject, call, args)

        return self._retrying()(attempt)

    def _retrying(self) -> Retrying:
        end = self._clock.monotonic() + BUDGET
        enough = stop_after_attempt(ATTEMPTS)

        def too_late(state: RetryCallState) -> bool:
            return self._stop.is_set() or self._clock.monotonic() + state.upcoming_sleep > end

        return Retrying(
            retry=retry_if_exception(_may_pass),
            stop=lambda state: enough(state) or too_late(state),
            wait=self._pause_length,
            sleep=self._pause,
            reraise=True,
        )

    def _pause_length(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, ProviderError) else None
        return max(asked or 0.0, PAUSES.delay(state.attempt_number, self._chance()))

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Unavailable("the agent stops")

    def _once(self, method: str, subject: str, call: Callable[..., T], args: tuple[Any, ...]) -> T:
        began = self._clock.monotonic()
        under_way, number = _Call(method, subject, began), next(self._numbers)
        with self._lock:
            self._under_way[number] = under_way
        result = "ok"
        try:
            return call(*args)
        except ProviderError as error:
            result = type(error).__name__
            raise
        except Exception as error:
            result = type(error).__name__
            logger.exception("the provider's %s failed in a way of its own%s", method, _about(subject))
            raise _Unforeseen(redact_text(f"{type(error).__name__}: {error}")) from error
        finally:
            with self._lock:
                del self._under_way[number]
            now = self._clock.monotonic()
            self._metrics.provider_call(method, result, now - began)
            if now - began > SLOW:
                self._warn(under_way, now)

    def _warn_of_slow(self) -> None:
        now = self._clock.monotonic()
        with self._lock:
            calls = [call for call in self._under_way.values() if now - call.since > SLOW]
        for call in calls:
            self._warn(call, now)

    def _warn(self, call: _Call, now: float) -> None:
        with self._lock:
            if call.warned:
                return
            call.warned = True
        self._slow.labels(call.method).inc()
        logger.warning("slow provider: %s", _described(call, now))

    def _count(self, method: str) -> float:
        with self._lock:
            return float(sum(call.method == method for call in self._under_way.values()))


def _may_pass(error: BaseException) -> bool:
    # What was not foreseen is left to the queue: a bug three times over is three times the noise.
    return isinstance(error, ProviderError) and error.retryable and not isinstance(error, _Unforeseen)


def _described(call: _Call, now: float) -> str:
    return f"{call.method}{_about(call.subject)} takes {now - call.since:.0f} s"


def _about(subject: str) -> str:
    return f" of {subject}" if subject else ""
