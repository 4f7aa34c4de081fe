"""Faults on demand, for tests: refusals, lost answers, slow ones, broken watches, forgotten history."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from virtual_kubelet.devapi.http.request_info import RequestInfo
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.errors import ApiError
from virtual_kubelet.runtime.threads import StopSignal
from virtual_kubelet.web.messages import Response

__all__ = ["Fault", "Faults", "Match", "lost_answer"]

REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


@dataclass(frozen=True)
class Match:
    """Which requests a fault hits; "" and None mean any."""

    verb: str = ""
    resource: str = ""
    subresource: str | None = None
    namespace: str = ""
    name: str = ""
    user: str = ""

    def matches(self, info: RequestInfo, user: str) -> bool:
        """Tell whether it hits this request."""
        return (
            (not self.verb or self.verb == info.verb)
            and (not self.resource or self.resource == info.resource)
            and (self.subresource is None or self.subresource == info.subresource)
            and (not self.namespace or self.namespace == info.namespace)
            and (not self.name or self.name == info.name)
            and (not self.user or self.user == user)
        )


@dataclass
class Fault:
    """What happens to the next `left` matching requests; `left` below 0: to all, until removed."""

    match: Match
    left: int = 1
    error: ApiError | None = None
    delay: float = 0.0
    lose: str = ""
    """`before`: the connection breaks and nothing was done; `after`: it was done, but the answer is lost."""
    hits: int = field(default=0, init=False)


class Faults:
    """The faults in force; safe for threads."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._stop = StopSignal()
        self._lock = threading.Lock()
        self._faults: list[Fault] = []  # guarded by _lock, like _waiting
        self._waiting = 0

    def fail(
        self,
        status: int,
        *,
        times: int = 1,
        reason: str = "",
        message: str = "injected by a test",
        retry_after: float | None = None,
        **match: str,
    ) -> Fault:
        """Answer the next `times` requests (-1: all) that `match` with an error."""
        error = ApiError(
            message, status=status, reason=reason or REASONS.get(status, ""), retry_after=retry_after
        )
        return self._add(Fault(Match(**match), times, error=error))

    def delay(self, seconds: float, *, times: int = 1, **match: str) -> Fault:
        """Let the next `times` requests that `match` wait before they are served; a stop of the server ends the wait."""
        return self._add(Fault(Match(**match), times, delay=seconds))

    def lose(self, *, times: int = 1, done: bool = False, **match: str) -> Fault:
        """Break the connection of the next `times` requests that `match`, `done` or not."""
        return self._add(Fault(Match(**match), times, lose="after" if done else "before"))

    def _add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        """Take a fault back."""
        with self._lock:
            if fault in self._faults:
                self._faults.remove(fault)

    def clear(self) -> None:
        """Take all faults back."""
        with self._lock:
            self._faults.clear()

    def drop_watches(self, resource: str = "") -> int:
        """End all running watches of a resource ("": of all) without a word; returns how many there were."""
        return self._storage.close_subscriptions(resource)

    def expire_history(self, resource: str = "", *, notify: bool = True) -> None:
        """Forget what has happened: no watch can resume, and with `notify` the running ones are told 410."""
        self._storage.expire_history(resource)
        if notify:
            self._storage.close_subscriptions(resource, expired=True)

    def interrupt(self) -> None:
        """End all delays: the server stops."""
        self._stop.set()

    def resume(self) -> None:
        """Let delays be delays again."""
        self._stop = StopSignal()

    def hit(self, info: RequestInfo, user: str) -> str:
        """Do to a request what was asked for; return `lose` of the fault that hit it, "" for none.

        Raises:
            ApiError: the refusal that was asked for.
        """
        fault = self._take(info, user)
        if fault is None:
            return ""
        if fault.delay:
            self._wait(fault.delay)
        if fault.error is not None:
            raise fault.error
        return fault.lose

    def _wait(self, seconds: float) -> None:
        with self._lock:
            self._waiting += 1
        self._stop.wait(seconds)
        with self._lock:
            self._waiting -= 1

    @property
    def waiting(self) -> int:
        """How many requests are being delayed."""
        with self._lock:
            return self._waiting

    def _take(self, info: RequestInfo, user: str) -> Fault | None:
        with self._lock:
            for fault in self._faults:
                if fault.match.matches(info, user):
                    fault.hits += 1
                    fault.left -= 1
                    if fault.left == 0:
                        self._faults.remove(fault)
                    return fault
        return None


def lost_answer() -> Response:
    """Return an answer that breaks off before its first byte of content."""
    return Response(200, _Broken(), "application/json")


class _Broken:
    """A body that cannot be sent."""

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        raise ConnectionAbortedError("lost, as a test asked for")
