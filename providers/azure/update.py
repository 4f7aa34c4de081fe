"""Changing a container group that runs.

ACI applies a PUT with other images in place, and then restarts all containers of the group; tags it changes
without that. Resources, restart policy, zones, subnet and the like only a new group can have: that is said,
and not done, for the pod would lose its place and its address without having been deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from virtual_kubelet.errors import NotFound
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.creation import Creation
from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.ownership import Identity
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.providers.azure.transport import NoAnswer

__all__ = ["Changes", "Update", "compare", "grafted"]

_KINDS: Final = ("containers", "initContainers")
# Properties of a group that only a new one can have, and how they are called in the event.
_FIXED: Final = ("osType", "restartPolicy", "sku", "priority", "subnetIds", "encryptionProperties")


@dataclass(frozen=True)
class Changes:
    """What differs between the group that is there and the one that the pod wants now."""

    images: tuple[str, ...] = ()  # containers
    tags: bool = False
    fixed: tuple[str, ...] = ()  # what only a new group can have


class Update:
    """Applies changes of pods to their container groups."""

    def __init__(
        self, client: Client, inventory: Inventory, surroundings: Surroundings, creation: Creation
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._surroundings = surroundings
        self._creation = creation

    def update(self, pod: Pod) -> None:
        """Apply what can be applied in place, and say what cannot.

        Raises:
            NotFound: the pod's group is not there.
            InvalidInput: a group cannot be what the pod asks for.
            ProviderError: ARM does not let us now.
        """
        identity = Identity.of(pod)
        entry = self._creation.find(identity)
        if entry is None:
            raise NotFound(f'container group of pod "{identity.namespace}/{identity.name}" not found')
        if entry.final or entry.removing:
            return  # what has ended is not changed any more
        wanted = self._creation.group(pod)
        there = entry.detail or entry.body or self._client.get(entry.name) or {}
        changes = compare(there, wanted)
        if changes.fixed:
            self._event(identity, "Warning", "NeedsNewContainerGroup", _needs_new(changes.fixed))
        if changes.images:
            self._replace(entry, identity, grafted(wanted, there), changes)
        elif changes.tags:
            self._client.patch_tags(entry.name, wanted["tags"])

    def _replace(self, entry: Entry, identity: Identity, group: JsonObject, changes: Changes) -> None:
        try:
            written = self._client.put(entry.name, group)
            answer, operation = written.group, written.operation
        except NoAnswer:
            # Taken or not: repeated blindly, it would restart the containers twice.
            found = self._client.get(entry.name)
            if found is None or compare(found, group).images:
                raise
            answer, operation = found, ""
        self._inventory.wrote(entry.name, identity, answer, operation, anew=False)
        names = ", ".join(changes.images)
        message = f"Azure replaces the image of {names}, and restarts all containers of the group for that"
        self._event(identity, "Normal", "Updating", message)

    def _event(self, identity: Identity, event_type: str, reason: str, message: str) -> None:
        self._surroundings.event(identity, event_type, reason, message)


def compare(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Changes:
    """Return what differs, in what a change of a pod can lead to."""
    images: list[str] = []
    fixed: list[str] = []
    old, new = there.get("properties") or {}, wanted["properties"]
    for kind in _KINDS:
        known = {item.get("name"): item.get("properties") or {} for item in old.get(kind) or ()}
        for item in new.get(kind) or ():
            name, properties = item["name"], item["properties"]
            if name not in known:
                fixed.append(f"container {name}")
                continue
            if known[name].get("image") != properties.get("image"):
                images.append(name)
            if _sizes(known[name]) != _sizes(properties):
                fixed.append(f"resources of container {name}")
    fixed += [name for name in _FIXED if new.get(name) and not _same(old.get(name), new[name])]
    if wanted.get("zones") and there.get("zones") != wanted["zones"]:
        fixed.append("zones")
    if _users(there) != _users(wanted):
        fixed.append("identity")
    return Changes(tuple(images), _folded(there.get("tags")) != _folded(wanted.get("tags")), tuple(fixed))


def grafted(wanted: JsonObject, there: Mapping[str, Any]) -> JsonObject:
    """Return `wanted` with what cannot be changed in place as it is in `there`."""
    old: Mapping[str, Any] = there.get("properties") or {}
    new: JsonObject = {**wanted["properties"]}
    for name in _FIXED:
        if old.get(name) is not None:
            new[name] = old[name]
        else:
            new.pop(name, None)
    known = {item.get("name"): item.get("properties") or {} for item in old.get("containers") or ()}
    containers = []
    for item in new["containers"]:
        size = known.get(item["name"], {}).get("resources")
        properties = {**item["properties"], "resources": size} if size else item["properties"]
        containers.append({**item, "properties": properties})
    new["containers"] = containers
    group: JsonObject = {**wanted, "properties": new}
    for name in ("zones", "identity"):
        group.pop(name, None)
        if there.get(name):
            group[name] = there[name]
    return group


def _sizes(properties: Mapping[str, Any]) -> list[tuple[str, float, float, int]]:
    resources = properties.get("resources") or {}
    return [
        (
            kind,
            float(amounts.get("cpu") or 0),
            float(amounts.get("memoryInGB") or 0),
            (amounts.get("gpu") or {}).get("count", 0),
        )
        for kind in ("requests", "limits")
        if (amounts := resources.get(kind))
    ]


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, str) and isinstance(new, str):
        return old.casefold() == new.casefold()
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(*pair) for pair in zip(old, new, strict=True))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(_same(old.get(key), value) for key, value in new.items())
    return bool(old == new)


def _users(group: Mapping[str, Any]) -> set[str]:
    identity = group.get("identity") or {}
    users = {str(item).casefold() for item in identity.get("userAssignedIdentities") or ()}
    return users | (
        {"systemassigned"} if "systemassigned" in str(identity.get("type", "")).casefold() else set()
    )


def _folded(tags: Any) -> dict[str, str]:
    return {str(name).casefold(): str(value) for name, value in (tags or {}).items()}


def _needs_new(fixed: tuple[str, ...]) -> str:
    return f"only a new container group can have another {', '.join(fixed)}: delete the pod to get one"
