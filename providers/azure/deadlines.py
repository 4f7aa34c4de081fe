"""Ends pods that have been active for longer than `spec.activeDeadlineSeconds`, as a kubelet does: ACI cannot."""

from __future__ import annotations

import logging

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.objects import Pod
from virtual_kubelet.providers.azure import moments
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Deadlines"]

logger = logging.getLogger(__name__)

WORDS = "DeadlineExceeded", "Pod was active on the node longer than the specified deadline"


class Deadlines:
    """Looks at the pods of this node after each refresh."""

    def __init__(
        self, client: Client, inventory: Inventory, surroundings: Surroundings, *, clock: Clock = SYSTEM
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._surroundings = surroundings
        self._clock = clock

    def enforce(self) -> None:
        """Stop the groups whose time is over; one that cannot be stopped now is tried again the next time."""
        for pod in self._surroundings.pods():
            entry = self._inventory.by_uid(pod["metadata"]["uid"])
            if entry is not None and not entry.overdue and not entry.final and self._is_over(pod):
                self._stop(entry)

    def _is_over(self, pod: Pod) -> bool:
        limit = pod["spec"].get("activeDeadlineSeconds")
        started = moments.seconds(pod.get("status", {}).get("startTime"))
        return limit is not None and started is not None and self._clock.now() >= started + limit

    def _stop(self, entry: Entry) -> None:
        try:
            self._client.stop(entry.name)
        except ProviderError as error:
            logger.warning(
                "container group %s is over its deadline and cannot be stopped: %s", entry.name, error
            )
            return
        self._inventory.overdue(entry.name, *WORDS)
        self._surroundings.event(entry.identity, "Normal", *WORDS)
