"""What has to be done from time to time: forget ended pods, refresh volumes, evict pods that take too much."""

from __future__ import annotations

from virtual_kubelet.podruntime.store import Store
from virtual_kubelet.runtime.clock import Clock

__all__ = ["PERIOD", "Housekeeping"]

PERIOD = 10.0
REFRESH_PERIOD = 60.0  # of volumes, beside what is told of changes: tokens grow old
KEEP_UNWANTED = 300.0  # seconds that an ended pod may be missing from the API before it is forgotten
KEEP_ENDED = 120.0  # seconds that a deleted pod's last status is kept for an agent that has not fetched it


class Housekeeping:
    """One round after the other, from one thread."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._unwanted: dict[str, float] = {}  # UID -> when it was first missed
        self._refreshed_at = clock.monotonic()

    def run(self) -> None:
        """Do one round."""
        self._evict()
        self._forget_ended()
        if self._clock.monotonic() - self._refreshed_at >= REFRESH_PERIOD:
            self._refreshed_at = self._clock.monotonic()
            for worker in self._store.table.all():
                worker.refresh()

    def _evict(self) -> None:
        operations = self._store.tools.operations
        for worker in self._store.table.all():
            if not worker.state.needs_room():
                continue
            message = operations.volumes.oversized(worker.state.pod)
            if message:
                worker.fail("Evicted", message)
                operations.context.event(worker.state.pod, "Warning", "Evicted", message)

    def _forget_ended(self) -> None:
        """Forget ended pods: the agent looks only after those that run, or that the API has."""
        wanted = {pod["metadata"].get("uid") for pod in self._store.tools.operations.context.pods()}
        now = self._clock.now()
        unwanted: dict[str, float] = {}
        for worker in self._store.table.all():
            if not worker.state.over:
                continue
            if worker.uid not in wanted:
                # For a while: the agent's own view of the API may not be complete yet.
                unwanted[worker.uid] = self._unwanted.get(worker.uid, now)
            deleted_at, grace = worker.state.deleted()
            told = deleted_at and (worker.uid not in wanted or now - deleted_at - grace > KEEP_ENDED)
            if told or now - unwanted.get(worker.uid, now) > KEEP_UNWANTED:
                self._store.forget(worker)
        self._unwanted = unwanted
