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
from virtual_kubelet.pure.pod_phase import is_terminal
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
            entry, end = self._inventory.by_uid(pod["metadata"]["uid"]), _end(pod)
            if entry is None or end is None or self._clock.now() < end:
                continue
            if not entry.overdue and (not entry.final or _is_news(pod, entry, end)):
                # Before it is stopped: whoever reads its end must not take that for its own.
                self._inventory.overdue(entry.name, *WORDS)
                self._surroundings.event(entry.identity, "Normal", *WORDS)
            if not entry.stopped and not entry.final:
                self._stop(entry)

    def _stop(self, entry: Entry) -> None:
        try:
            self._client.stop(entry.name)
        except ProviderError as error:
            logger.warning(
                "container group %s is over its deadline and cannot be stopped: %s", entry.name, error
            )
            return
        self._inventory.stopped(entry.name)


def _end(pod: Pod) -> float | None:
    """Return the time at which a pod is to end, in seconds since the epoch; None: at none."""
    limit = pod["spec"].get("activeDeadlineSeconds")
    started = moments.seconds(pod.get("status", {}).get("startTime"))
    return None if limit is None or started is None else started + limit


def _is_news(pod: Pod, entry: Entry, end: float) -> bool:
    """Tell whether a pod ended late and nobody has heard of it: the agent before us may have stopped it."""
    return not is_terminal(pod.get("status", {})) and _ended_at(entry) >= end


def _ended_at(entry: Entry) -> float:
    """Return the time at which the last container ended, in seconds since the epoch; 0: none has."""
    states = [item.get("state", {}) for item in entry.status.get("containerStatuses", ())]
    ends = (moments.seconds(state.get("terminated", {}).get("finishedAt")) for state in states)
    return max((end or 0.0 for end in ends), default=0.0)
