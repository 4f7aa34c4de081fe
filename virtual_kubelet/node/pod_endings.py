"""Ending a pod in the provider: told once, then watched until it is gone.

Used for graceful deletion, for pods that nobody wants any more, and for pods that are over in the API while they
still run. "Gone" is absent or all terminated, by a word that is younger than our `delete_pod`.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from virtual_kubelet import codec
from virtual_kubelet.errors import NotFound, ProviderError
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.node.snapshot import PUSHED_INTERVAL, Snapshot
from virtual_kubelet.objects import Pod, pod_key
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.pure.pod_phase import all_terminated
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["DEFAULT_GRACE", "MARGIN", "PodEndings", "Progress"]

logger = logging.getLogger(__name__)

DEFAULT_GRACE = 30  # seconds, the API's own default
MARGIN = 10.0  # seconds beyond the grace period for the backend to do what it was told
REMINDER_INTERVAL = 60.0  # seconds between reminders to a provider that does not end a pod
MEMORY = PUSHED_INTERVAL + 60.0  # seconds, past the next listing, for which what is done with is remembered
STANDSTILL = 2.0  # seconds by which a look is late if this process stood still, or had no time
POLL = Backoff(initial=0.2, maximum=2.0)
POLL_PUSHING = Backoff(initial=1.0, maximum=10.0)  # in case a pushed word got lost


class Progress(NamedTuple):
    """How far the end of a pod is."""

    gone: bool
    overdue: bool  # the grace period and a margin have passed
    delay: float  # seconds until the next look


@dataclass(eq=False)
class _Ending:
    grace: int
    order: int  # of our delete_pod: older words about the pod do not count
    began: float  # monotonic
    due: float  # monotonic: when the next look at it is expected
    asked: int = 0
    next_ask: float = 0.0  # monotonic
    forget_at: float | None = None  # monotonic, once it is done with


class PodEndings:
    """Pods that the provider was told to end. Safe from any thread; one thread at a time for one pod."""

    def __init__(
        self,
        calls: ProviderCalls,
        snapshot: Snapshot,
        event: Callable[[Pod, str, str, str], None],
        *,
        pushing: Callable[[], bool],
        clock: Clock = SYSTEM,
    ) -> None:
        self._calls = calls
        self._snapshot = snapshot
        self._event = event
        self._pushing = pushing
        self._clock = clock
        self._lock = threading.Lock()
        # Under the lock: by UID; and what is done with, in the order in which it is forgotten.
        self._endings: dict[str, _Ending] = {}
        self._done: deque[tuple[str, _Ending]] = deque()

    def told(self, uid: str) -> bool:
        """Whether the provider was told to end the pod."""
        with self._lock:
            return uid in self._endings

    def forget(self, uid: str) -> None:
        """Let go of a pod that is done with, in a while.

        A provider may go on listing what has ended, and is not told of it twice for that.
        """
        now = self._clock.monotonic()
        with self._lock:
            ending = self._endings.get(uid)
            if ending is not None and ending.forget_at is None:
                ending.forget_at = now + MEMORY
                self._done.append((uid, ending))
            while self._done and (self._done[0][1].forget_at or 0.0) <= now:
                uid, ending = self._done.popleft()
                if self._endings.get(uid) is ending:  # else it was told of anew
                    del self._endings[uid]

    def end(self, pod: Pod, grace: int, *, announce: bool = True) -> Progress:
        """Tell the provider to end `pod`, unless it was told this grace period or a shorter one; look.

        With `announce`, events say how the provider took it; for a pod that the API server no longer has there
        is nothing to attach them to. Raises `ProviderError` when the provider does not take it: the pod is not being ended then.
        """
        uid = pod["metadata"]["uid"]
        with self._lock:
            ending = self._endings.get(uid)
        if ending is None or grace < ending.grace:
            ending = self._tell(pod, grace, announce=announce)
        return self._look(pod, ending)

    def press(self, pod: Pod, grace: int, *, announce: bool = True) -> Progress:
        """Do as `end`, and remind the provider, without grace, as long as the pod runs after its time."""
        progress = self.end(pod, grace, announce=announce)
        if not progress.overdue:
            return progress
        with self._lock:
            ending = self._endings[pod["metadata"]["uid"]]
        if ending.grace == 0 and self._clock.monotonic() - ending.began < REMINDER_INTERVAL:
            return progress
        return self._look(pod, self._tell(pod, 0, announce=announce))

    def _tell(self, pod: Pod, grace: int, *, announce: bool) -> _Ending:
        metadata = pod["metadata"]
        uid = metadata["uid"]
        handed: Pod = codec.copy(pod)
        handed["metadata"]["deletionGracePeriodSeconds"] = grace
        order = self._snapshot.order()
        with self._snapshot.holding(uid):
            try:
                self._calls.delete_pod(handed)
            except NotFound:
                self._snapshot.miss(pod_key(pod), uid, self._snapshot.order())
            except ProviderError as error:
                if announce:
                    self._event(pod, "Warning", "ProviderDeleteFailed", str(error))
                raise
            else:
                if announce:
                    self._event(pod, "Normal", "ProviderDeleteSuccess", "Delete pod in provider successfully")
        now = self._clock.monotonic()
        ending = _Ending(grace, order, now, now)
        ending.next_ask = ending.began + self._poll().delay(1)
        with self._lock:
            self._endings[uid] = ending
        return ending

    def _look(self, pod: Pod, ending: _Ending) -> Progress:
        if self._is_gone(pod, ending):
            return Progress(gone=True, overdue=False, delay=0.0)
        now = self._clock.monotonic()
        if now > ending.due + STANDSTILL:
            # So may the provider have, in the same process: it gets the time in which it could not tell.
            ending.began += now - ending.due
        deadline = ending.began + ending.grace + MARGIN
        # The deadline is a reason to ask once more, before anything is done because of it.
        if now >= ending.next_ask or deadline <= now < deadline + POLL.initial:
            self._ask(pod, ending)
            if self._is_gone(pod, ending):
                return Progress(gone=True, overdue=False, delay=0.0)
        overdue = now >= deadline
        ending.due = max(now, ending.next_ask if overdue else min(ending.next_ask, deadline))
        return Progress(gone=False, overdue=overdue, delay=ending.due - now)

    def _ask(self, pod: Pod, ending: _Ending) -> None:
        metadata = pod["metadata"]
        ending.asked += 1
        ending.next_ask = self._clock.monotonic() + self._poll().delay(ending.asked + 1)
        try:
            self._snapshot.ask(metadata["namespace"], metadata["name"], metadata["uid"], patient=False)
        except ProviderError as error:
            # Asked again soon; the listing's own failure is what the log and /readyz show.
            logger.debug("%s: the provider cannot be asked: %s", pod_key(pod), error)

    def _poll(self) -> Backoff:
        return POLL_PUSHING if self._pushing() else POLL

    def _is_gone(self, pod: Pod, ending: _Ending) -> bool:
        uid = pod["metadata"]["uid"]
        sighting = self._snapshot.of(pod_key(pod)).get(uid)
        if sighting is None:
            return self._snapshot.absent_since(uid) > ending.order
        return sighting.order > ending.order and all_terminated(sighting.status)
