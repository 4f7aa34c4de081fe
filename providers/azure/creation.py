"""Making container groups, once each, whatever ARM answers.

A PUT may have been taken although its answer was lost, late or a 5xx. So nothing is repeated, and nothing called
a failure, before a read has told whether the group is there.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from virtual_kubelet.errors import Conflict, Unavailable
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.providers.azure import refusals, translate, wishes
from virtual_kubelet.providers.azure.client import Client, Written
from virtual_kubelet.providers.azure.config import AzureConfig
from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.ownership import Identity, group_name
from virtual_kubelet.providers.azure.status import provisioning_state
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.providers.azure.transport import NoAnswer
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal

__all__ = ["Creation"]

logger = logging.getLogger(__name__)

ATTEMPTS = 3
WITHIN = 15.0  # seconds from the first PUT to the start of the last
PAUSES = Backoff(initial=0.5, maximum=5.0)
NO_ROOM_PAUSE = (
    30.0  # seconds before a group for which there was no room is made again; the agent's back-off adds to it
)


class Creation:
    """Makes the container groups of pods."""

    def __init__(
        self,
        client: Client,
        inventory: Inventory,
        surroundings: Surroundings,
        config: AzureConfig,
        prepare: Callable[[], None],
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        """`prepare()` sees to what groups need around them (the subnet); it raises where that fails."""
        self._client = client
        self._inventory = inventory
        self._surroundings = surroundings
        self._config = config
        self._prepare = prepare
        self._clock = clock
        self._stop = StopSignal(clock)

    def close(self) -> None:
        """Wake what waits."""
        self._stop.set()

    def create(self, pod: Pod) -> None:
        """Begin the container group of `pod`, unless it is there.

        Raises:
            InvalidInput: a group cannot be what the pod asks for.
            Unavailable: not now: no room, no quota, no answer.
            Conflict: ARM is busy with it.
        """
        identity = Identity.of(pod)
        entry = self._inventory.by_uid(identity.uid)
        if entry is not None and not entry.waits_for_room and not entry.doubtful:
            return
        if failure := self._inventory.take_failure(identity.uid):
            raise Unavailable(
                f"the container group could not be created: {failure}", retry_after=NO_ROOM_PAUSE
            )
        group = self.group(pod)
        self._prepare()
        name = entry.name if entry else group_name(identity)
        again = self._inventory.trying(identity.uid)
        look_first = entry.doubtful if entry else again or not self._inventory.listed
        again_after_failure = entry is not None and entry.waits_for_room
        written = self._put(name, identity, group, look_first=look_first, failed=again_after_failure)
        self._inventory.wrote(name, identity, written.group, written.operation, anew=True, lost=written.lost)
        self._tell_notes(pod, identity)

    def group(self, pod: Pod) -> JsonObject:
        """Return the container group that `pod` wants; raises as `create`."""
        return translate.container_group(
            pod, self._config, self._surroundings.owner, self._surroundings.materials(pod)
        )

    def find(self, identity: Identity) -> Entry | None:
        """Return a pod's group: as known, or else as a read finds it under its name."""
        entry = self._inventory.by_uid(identity.uid)
        if entry is not None:
            return entry
        name = group_name(identity)
        began = self._clock.monotonic()
        group = self._client.get(name)
        if group is None or not self._is_of(group, identity):
            return None
        return self._inventory.take_group(name, group, began)

    def _put(
        self, name: str, identity: Identity, group: JsonObject, *, look_first: bool, failed: bool
    ) -> Written:
        """Make the group; `failed`: one that has failed is there, and is what an untaken PUT leaves there."""
        if look_first and (found := self._look(name, identity)):
            return found
        deadline = Deadline(WITHIN, self._clock)
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._client.put(name, group)
            except NoAnswer as error:
                logger.info("%s: it is looked up whether ARM took it", error)
                found = self._look(name, identity)
                if found and not (failed and provisioning_state(found.group) == "failed"):
                    return found
                pause = max(PAUSES.delay(attempt), error.retry_after or 0.0)
                if attempt >= ATTEMPTS or pause > deadline.remaining() or self._stop.wait(pause):
                    raise

    def _look(self, name: str, identity: Identity) -> Written | None:
        group = self._client.get(name)
        if group is None:
            return None
        if not self._is_of(group, identity):
            raise Conflict(f"container group {name} is there and is not this pod's; its tags say whose it is")
        return Written(group, lost=True)

    def _is_of(self, group: JsonObject, identity: Identity) -> bool:
        found = self._surroundings.owner.identify(group, {identity.uid})
        return found is not None and found.uid == identity.uid

    def _tell_notes(self, pod: Pod, identity: Identity) -> None:
        paths = refusals.notes(pod, confidential=wishes.read(pod).confidential)
        if paths:
            message = f"Azure Container Instances does not enforce {', '.join(paths)}"
            self._surroundings.event(identity, "Warning", "NotEnforced", message)
