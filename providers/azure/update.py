"""Changing a container group that runs.

ACI applies a PUT with other images or another DNS name label in place, and then restarts all containers of the
group; tags it changes without that. Resources, restart policy, zones, subnet and the like only a new group can have: that is said,
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
from virtual_kubelet.providers.azure.shapes import mapping, mappings
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.providers.azure.transport import NoAnswer

__all__ = ["Changes", "Update", "compare", "grafted"]

_KINDS: Final = ("containers", "initContainers")
# Properties of a group that only a new one can have, and how they are called in the event.
_FIXED: Final = (
    "osType",
    "restartPolicy",
    "sku",
    "priority",
    "subnetIds",
    "dnsConfig",
    "encryptionProperties",
    "confidentialComputeProperties",
)
_DEFAULTED: Final = frozenset({"osType", "restartPolicy", "sku", "priority"})  # Azure fills them in
LABEL: Final = "DNS name label"


@dataclass(frozen=True)
class Changes:
    """What differs between the group that is there and the one that the pod wants now."""

    applied: tuple[str, ...] = ()  # what a PUT changes in place
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
        there = entry.body or self._client.get(entry.name) or {}
        changes = compare(there, wanted)
        if changes.fixed:
            self._event(identity, "Warning", "NeedsNewContainerGroup", _needs_new(changes.fixed))
        if changes.applied:
            self._replace(entry, identity, grafted(wanted, there), changes)
        elif changes.tags:
            self._client.patch_tags(entry.name, wanted["tags"])

    def _replace(self, entry: Entry, identity: Identity, group: JsonObject, changes: Changes) -> None:
        try:
            written = self._client.put(entry.name, group)
            answer, operation = written.group or group, written.operation
        except NoAnswer:
            # Taken or not: repeated blindly, it would restart the containers twice.
            found = self._client.get(entry.name)
            if found is None or compare(found, group).applied:
                raise
            answer, operation = found, ""
        self._inventory.wrote(entry.name, identity, answer, operation, anew=False)
        message = f"Azure changes the {', the '.join(changes.applied)}"
        self._event(
            identity, "Normal", "Updating", f"{message}, and restarts all containers of the group for that"
        )

    def _event(self, identity: Identity, event_type: str, reason: str, message: str) -> None:
        self._surroundings.event(identity, event_type, reason, message)


def compare(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> Changes:
    """Return what differs, in what a change of a pod can lead to."""
    old, new = mapping(there.get("properties")), wanted["properties"]
    applied, fixed = _containers(old, new)
    if _label(old) != _label(new):
        applied.append(LABEL)
    fixed += [name for name in _FIXED if _differs(name, old, new)]
    if wanted.get("zones") and there.get("zones") != wanted["zones"]:
        fixed.append("zones")
    if _users(there) != _users(wanted):
        fixed.append("identity")
    tags = _folded(there.get("tags")) != _folded(wanted.get("tags"))
    return Changes(tuple(applied), tags, tuple(fixed))


def _containers(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return which images differ, and what else of containers does."""
    images: list[str] = []
    others: list[str] = []
    for kind in _KINDS:
        known = {str(item.get("name")): mapping(item.get("properties")) for item in mappings(old.get(kind))}
        for item in mappings(new.get(kind)):
            name, properties = item["name"], item["properties"]
            if name not in known:
                others.append(f"container {name}")
                continue
            if known[name].get("image") != properties.get("image"):
                images.append(f"image of {name}")
            if not _fits(mapping(known[name].get("resources")), mapping(properties.get("resources"))):
                others.append(f"resources of container {name}")
    return images, others


def _differs(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if new.get(name):
        return not _same(old.get(name), new[name])
    return bool(old.get(name)) and name not in _DEFAULTED


def _label(properties: Mapping[str, Any]) -> str:
    return str(mapping(properties.get("ipAddress")).get("dnsNameLabel") or "")


def grafted(wanted: JsonObject, there: Mapping[str, Any]) -> JsonObject:
    """Return `wanted` with what cannot be changed in place as it is in `there`."""
    old = mapping(there.get("properties"))
    new: JsonObject = {**wanted["properties"]}
    for name in _FIXED:
        if old.get(name) is not None:
            new[name] = old[name]
        else:
            new.pop(name, None)
    known = {item.get("name"): mapping(item.get("properties")) for item in mappings(old.get("containers"))}
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


def _fits(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether `there` is what is `wanted`; what it does not tell, or has in addition, is no difference."""
    return all(
        _amounts(there[kind]) == _amounts(wanted[kind])
        for kind in ("requests", "limits")
        if there.get(kind) and wanted.get(kind)
    )


def _amounts(raw: Any) -> tuple[Any, ...]:
    amounts, gpu = mapping(raw), mapping(mapping(raw).get("gpu"))
    sku = str(gpu.get("sku") or "").casefold()
    return amounts.get("cpu"), amounts.get("memoryInGB"), gpu.get("count") or 0, sku


def _same(old: Any, new: Any) -> bool:
    if isinstance(old, str) and isinstance(new, str):
        return old.casefold() == new.casefold()
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(_same(*pair) for pair in zip(old, new, strict=True))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        return all(_same(old.get(key), value) for key, value in new.items())
    return bool(old == new)


def _users(group: Mapping[str, Any]) -> set[str]:
    identity = mapping(group.get("identity"))
    users = {str(item).casefold() for item in mapping(identity.get("userAssignedIdentities"))}
    return users | (
        {"systemassigned"} if "systemassigned" in str(identity.get("type", "")).casefold() else set()
    )


def _folded(tags: Any) -> dict[str, str]:
    return {str(name).casefold(): str(value) for name, value in mapping(tags).items()}


def _needs_new(fixed: tuple[str, ...]) -> str:
    return f"only a new container group can have another {', '.join(fixed)}: delete the pod to get one"
