"""Removing container groups until they are gone.

ARM refuses a DELETE while a group is in transition, and takes others without carrying them out. So a removal is
pursued, by a thread of its own, until a list or a read no longer finds the group.
"""

from __future__ import annotations

import logging
import threading

from virtual_kubelet.errors import Conflict, NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import Pod
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.creation import Creation
from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.ownership import Identity
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.runtime.workers import Workers
from virtual_kubelet.runtime.workqueue import WorkQueue

__all__ = ["Removal"]

logger = logging.getLogger(__name__)

PAUSES = Backoff(initial=1.0, maximum=60.0)  # between DELETEs that are refused
CHECK_AFTER = 60.0  # seconds after which a DELETE that was taken should have shown
PURSUERS = 2


class Removal:
    """Removes the container groups of pods; its thread starts with the first removal."""

    def __init__(
        self,
        client: Client,
        inventory: Inventory,
        surroundings: Surroundings,
        creation: Creation,
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._surroundings = surroundings
        self._creation = creation
        self._clock = clock
        self._queue = WorkQueue("azure-removals", clock=clock, backoff=PAUSES)
        # Daemons, for an HTTP request that is under way cannot be interrupted.
        self._workers = Workers(self._queue, self._pursue, PURSUERS, "azure-removal", daemon=True)
        self._lock = threading.Lock()
        self._closed = False  # under the lock
        self._started = False  # under the lock

    def close(self, deadline: Deadline) -> None:
        """End the pursuit; what is left, the next agent's sweep finds."""
        with self._lock:
            self._closed = True
        self._workers.stop(deadline)

    def delete(self, pod: Pod) -> None:
        """Begin to remove the group of `pod`.

        Raises:
            NotFound: it is not there.
            ProviderError: ARM does not let us.
        """
        identity = Identity.of(pod)
        entry = self._creation.find(identity)
        if entry is None:
            raise NotFound(f'container group of pod "{identity.namespace}/{identity.name}" not found')
        if entry.removal_taken_at >= 0:
            return  # told twice; it is pursued
        self._inventory.removing(entry.name)
        try:
            taken = self._client.delete(entry.name)
        except (Conflict, Unavailable) as error:
            self._delayed(entry, error)
            return
        if not taken:
            self._inventory.removed(entry.name)
            raise NotFound(f'container group of pod "{identity.namespace}/{identity.name}" not found')
        self._inventory.removal_taken(entry.name)
        self._follow(entry.name, CHECK_AFTER)

    def _delayed(self, entry: Entry, error: ProviderError) -> None:
        logger.info("the removal of container group %s has to wait: %s", entry.name, error)
        message = f"Azure does not remove the container group yet: {error}"
        self._surroundings.event(entry.identity, "Warning", "RemovalDelayed", message)
        wait = error.retry_after or PAUSES.delay(1)
        self._follow(entry.name, wait)

    def _follow(self, name: str, delay: float) -> None:
        with self._lock:
            if self._closed:
                return
            start, self._started = not self._started, True
        if start:
            self._workers.start()
        self._queue.add_after(name, delay)

    def _pursue(self, name: str) -> float | None:
        """Take one removal a step further; return the seconds until the next look, None when it is over."""
        entry = self._inventory.by_name(name)
        if entry is None or not entry.removing:
            return None
        if entry.removal_taken_at >= 0:
            rest = entry.removal_taken_at + CHECK_AFTER - self._clock.monotonic()
            if rest > 0:
                return rest
        if not self._client.delete(name):
            self._inventory.removed(name)
            return None
        self._inventory.removal_taken(name)
        return CHECK_AFTER
