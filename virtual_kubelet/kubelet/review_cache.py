"""The API server's verdicts, kept for a while; one question at a time for the same thing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Generic, TypeVar

from cachetools import TLRUCache

from virtual_kubelet.runtime.clock import Clock

__all__ = ["ReviewCache"]

V = TypeVar("V")


class ReviewCache(Generic[V]):
    """Verdicts by key, at most `size`, each for as long as `lifetime(verdict)` says, in seconds.

    A question that fails is not remembered. Those who ask for a key while its question is under way wait for
    the same answer: two hundred requests with a new token are one review.
    """

    def __init__(self, size: int, lifetime: Callable[[V], float], clock: Clock) -> None:
        self._lock = threading.Lock()
        self._known: TLRUCache[Hashable, V] = TLRUCache(
            size, ttu=lambda _key, verdict, now: now + lifetime(verdict), timer=clock.monotonic
        )  # under the lock
        self._asking: dict[Hashable, Future[V]] = {}  # under the lock

    def get(self, key: Hashable, ask: Callable[[], V]) -> V:
        """Return the verdict for `key`, from `ask()` if it is not known; what `ask` raises goes on."""
        with self._lock:
            if key in self._known:
                return self._known[key]
            waiting = self._asking.get(key)
            if waiting is None:
                mine: Future[V] = Future()
                self._asking[key] = mine
        if waiting is not None:
            return waiting.result()
        return self._ask(key, ask, mine)

    def _ask(self, key: Hashable, ask: Callable[[], V], mine: Future[V]) -> V:
        try:
            verdict = ask()
        except BaseException as error:
            with self._lock:
                del self._asking[key]
            mine.set_exception(error)
            raise
        with self._lock:
            self._known[key] = verdict
            del self._asking[key]
        mine.set_result(verdict)
        return verdict
