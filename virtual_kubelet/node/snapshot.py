"""The provider's pods as last seen: listed by one thread, corrected by whatever else the agent learns.

Stands between the provider and every reconcile: a worker never lists, and never acts on a listing that began
before its own last write to that pod. A provider that pushes its news is listed every five minutes only.
A listing that fails changes nothing: pods are never gone because the backend was silent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cachetools import TTLCache

from virtual_kubelet.errors import ProviderError, Unavailable
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.objects import Pod, PodStatus
from virtual_kubelet.pure.sightings import Sighting, Sightings, check
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline

__all__ = ["Snapshot"]

logger = logging.getLogger(__name__)

PUSHED_INTERVAL = 300.0  # seconds between listings of a provider that pushes
LISTING_TIMEOUT = 10.0  # seconds that a reader waits for a listing that somebody else has begun
PATIENCE = 60.0  # seconds for which a pod that we began may be missing from listings


class Snapshot:
    """What the provider has; a service.

    `on_news(key)` is called, in any thread and with no lock of the snapshot held, for each key about which
    there is something new, except while a worker is at the very pod (`holding`) and will look for itself.
    `on_complete()` is called once, after the first listing: until then a missing pod means nothing.
    """

    def __init__(
        self,
        calls: ProviderCalls,
        on_news: Callable[[str], None],
        on_complete: Callable[[], None],
        *,
        interval: float,
        pushing: Callable[[], bool],
        clock: Clock = SYSTEM,
    ) -> None:
        self._calls = calls
        self._on_news = on_news
        self._on_complete = on_complete
        self._clock = clock
        self._lock = threading.Lock()
        self._sightings = Sightings(patience=PATIENCE)  # under the lock
        self._held: set[str] = set()  # UIDs that a worker is at, under the lock
        self._questions: set[str] = set()  # UIDs that the provider wants to be asked about, under the lock
        self._failure = ""  # why the last listing failed, under the lock
        self._listing_lock = threading.Lock()  # held through a listing: one at a time
        # When the listing was made is all that is cached: the pods are in _sightings.
        self._fresh: TTLCache[str, bool] = TTLCache(1, interval, timer=clock.monotonic)  # under _listing_lock
        self._pushing = pushing
        self._listed_at: float | None = None  # monotonic, of the last good listing; under the lock
        self._periodic = Periodic(
            self._list_and_log,
            interval,
            name="snapshot",
            jitter=0.1,
            clock=clock,
            daemon=True,  # get_pods is foreign code that cannot be interrupted
        )

    def start(self) -> None:
        """Begin to list."""
        self._periodic.start()

    def stop(self, deadline: Deadline) -> None:
        """Stop listing."""
        self._periodic.stop(deadline)

    @property
    def complete(self) -> bool:
        """Whether the provider has listed its pods at least once."""
        with self._lock:
            return self._sightings.complete

    @property
    def failure(self) -> str:
        """Why the last listing failed; "" when it did not."""
        with self._lock:
            return self._failure

    def of(self, key: str) -> Mapping[str, Sighting]:
        """Return the last word about the pods of one name, by UID."""
        with self._lock:
            return self._sightings.of(key)

    def running(self) -> list[Sighting]:
        """Return the last word about all pods; lists first if the last listing has passed its time.

        Raises `ProviderError` when the provider cannot list.
        """
        self._list_if_stale()
        with self._lock:
            return self._sightings.all()

    def count_running(self) -> float:
        """Return how many pods have something running, as last seen."""
        with self._lock:
            return float(sum(s.status.get("phase") == "Running" for s in self._sightings.all()))

    def count_containers(self, state: str) -> float:
        """Return how many containers are in a state (`running`, `waiting`, `terminated`), as last seen."""
        with self._lock:
            statuses = [sighting.status for sighting in self._sightings.all()]
        return float(
            sum(state in c.get("state", {}) for s in statuses for c in s.get("containerStatuses") or ())
        )

    def absent_since(self, uid: str) -> int:
        """Return the order of the last word by which the provider did not have `uid`; 0: none."""
        with self._lock:
            return self._sightings.absent_since(uid)

    def order(self) -> int:
        """Return a number that is greater than the order of every word so far."""
        with self._lock:
            return self._sightings.next_order()

    def ask(self, namespace: str, name: str, uid: str, *, patient: bool) -> None:
        """Ask the provider about one pod now. Raises `ProviderError`.

        With `patient`, a no about a pod that was begun a moment ago is not believed yet.
        """
        order = self.order()
        pod = self._calls.get_pod(namespace, name)
        if pod is not None:
            _check([pod])
        with self._lock:
            if pod is not None:
                self._sightings.see(pod, order)
            if pod is None or pod["metadata"]["uid"] != uid:
                now = self._clock.monotonic() if patient else None
                self._sightings.miss(f"{namespace}/{name}", uid, order, now=now)

    def hear(self, namespace: str, name: str, uid: str, status: PodStatus | None) -> None:
        """Take in what the provider pushes (`NotifyCallback`); never blocks."""
        with self._lock:
            if status is None:
                self._questions.add(uid)
            news = status is None or self._sightings.hear(namespace, name, uid, status)
            # Who holds it looks at its status afterwards, but would not ask.
            held = status is not None and uid in self._held
        if news and not held:
            self._on_news(f"{namespace}/{name}")

    def take_question(self, uid: str) -> bool:
        """Tell, once, whether the provider wants to be asked about `uid`."""
        with self._lock:
            asked = uid in self._questions
            self._questions.discard(uid)
            return asked

    def ask_again(self, uid: str) -> None:
        """Take note that a question could not be answered."""
        with self._lock:
            self._questions.add(uid)

    @contextmanager
    def holding(self, uid: str) -> Iterator[None]:
        """Keep news about `uid` from being announced: the caller changes it now, and looks afterwards."""
        with self._lock:
            self._held.add(uid)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(uid)

    def wrote(self, pod: Pod) -> None:
        """Take note that `pod` has just been given to the provider."""
        with self._lock:
            self._sightings.wrote(pod, self._clock.monotonic())

    def miss(self, key: str, uid: str, order: int) -> None:
        """Take note that the provider said it does not have the pod."""
        with self._lock:
            self._sightings.miss(key, uid, order)

    def note(self, key: str, uid: str) -> None:
        """Let go of the provider's own copy of a pod."""
        with self._lock:
            self._sightings.note(key, uid)

    def forget(self, key: str, uid: str) -> None:
        """Drop a pod that is done with."""
        with self._lock:
            self._questions.discard(uid)
            self._sightings.forget(key, uid)

    def _list_and_log(self) -> None:
        before = self.failure
        if self._pushing() and not before and self._listed_lately():
            return
        try:
            self._list()
        except ProviderError as error:
            # Once an outage, not once a try: readyz and the metrics have the rest.
            if str(error) != before:
                logger.warning("the provider cannot list its pods: %s", error)
            return
        if before:
            logger.info("the provider lists its pods again")

    def _listed_lately(self) -> bool:
        with self._lock:
            at = self._listed_at
        return at is not None and self._clock.monotonic() - at < PUSHED_INTERVAL

    def _list_if_stale(self) -> None:
        # Not for ever: a listing that hangs must not take the threads of the HTTP server with it.
        if not self._listing_lock.acquire(timeout=LISTING_TIMEOUT):
            raise Unavailable("the provider is still listing its pods")
        try:
            if "fresh" not in self._fresh:
                self._list_locked()
        finally:
            self._listing_lock.release()

    def _list(self) -> None:
        with self._listing_lock:
            self._list_locked()

    def _list_locked(self) -> None:
        order = self.order()
        try:
            pods = self._calls.get_pods()
            _check(pods)
        except ProviderError as error:
            with self._lock:
                self._failure = str(error) or type(error).__name__
            raise
        with self._lock:
            first = not self._sightings.complete
            news = self._sightings.take_listing(pods, order, self._clock.monotonic())
            self._failure = ""
            self._listed_at = self._clock.monotonic()
        self._fresh["fresh"] = True
        if first:
            logger.info("the provider has %d pods", len(pods))
            self._on_complete()
        for key in news:
            self._on_news(key)


def _check(pods: Any) -> None:
    try:
        check(pods)
    except ValueError as error:
        raise ProviderError(str(error)) from error
