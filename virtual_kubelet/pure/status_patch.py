"""The smallest strategic merge patch that turns a pod's status into the wanted one.

It says only what differs, so that conditions, labels and fields of other writers stay. How the API server
merges `PodStatus` (struct tags of core/v1, v1.36) decides the form:

- conditions merge by type: each changed one is sent, with null for fields that it no longer has;
- podIPs and hostIPs merge by ip, so an old address would stay: such a list is replaced as a whole;
- container statuses are atomic lists;
- null removes a field.

`metadata.uid` makes the server refuse the patch (409) when the name belongs to another pod by now.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from virtual_kubelet.objects import JsonObject, Pod, PodStatus

__all__ = ["equivalent", "is_part_of", "status_patch"]

OWNED = (
    "phase",
    "reason",
    "message",
    "hostIP",
    "hostIPs",
    "podIP",
    "podIPs",
    "startTime",
    "observedGeneration",
    "containerStatuses",
    "initContainerStatuses",
    "ephemeralContainerStatuses",
)
"""What only a kubelet writes: removed when it is no longer wanted."""
_OWNED = frozenset(OWNED)

MERGED_BY_IP = {"podIPs", "hostIPs"}
PAIRED = {"podIP": "podIPs", "podIPs": "podIP", "hostIP": "hostIPs", "hostIPs": "hostIP"}
CONDITION_FIELDS = ("status", "reason", "message", "observedGeneration")
"""What makes a condition differ. Its times follow from these, and a server may hold them in another form."""


def status_patch(pod: Pod, wanted: PodStatus) -> JsonObject | None:
    """Return the patch for the `status` subresource of `pod`, or None when nothing differs.

    Args:
        pod: the pod as the API server has it.
        wanted: its whole status (`pod_status.complete`).
    """
    current: Mapping[str, Any] = pod.get("status", {})
    new: Mapping[str, Any] = wanted
    patch: JsonObject = {}
    for field in (*OWNED, *(name for name in new if name not in _OWNED)):
        before, after = current.get(field), new.get(field)
        if before != after and field != "conditions" and not equivalent(before, after):
            patch[field] = after
    for field in [name for name in patch if name in PAIRED]:
        # The server derives one of a pair from the other: never let it see half of a change.
        patch[PAIRED[field]] = new.get(PAIRED[field])
    for field in MERGED_BY_IP & patch.keys():
        patch[field] = _replaced(current.get(field), patch[field])
    conditions = _changed_conditions(current.get("conditions") or (), new.get("conditions") or ())
    if conditions:
        patch["conditions"] = conditions
    return {"metadata": {"uid": pod["metadata"]["uid"]}, "status": patch} if patch else None


def is_part_of(left: JsonObject, sent: JsonObject) -> bool:
    """Tell whether whatever the patch `left` is about was in the patch `sent`, for the same wanted status.

    What a patch leaves of itself is what the server drops; anything else is somebody else's writing.
    """
    fields, said = left["status"], sent["status"]
    types = {condition["type"] for condition in said.get("conditions") or ()}
    others = {condition["type"] for condition in fields.get("conditions") or ()} - types
    return not others and fields.keys() - {"conditions"} <= said.keys()


def equivalent(one: Any, other: Any) -> bool:
    """Tell whether two JSON values are the same to the API server, which writes empty fields or leaves them out."""
    if one == other:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return all(equivalent(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equivalent, one, other))
    return _is_empty(one) and _is_empty(other)


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(item) for item in value.values())
    return not value


def _replaced(current: Any, new: Any) -> Any:
    """Return the form of a list that replaces what is there.

    The directive only where there is a list to replace: older servers store it as an element otherwise.
    """
    if not current:
        return new or None
    return [{"$patch": "replace"}, *(new or ())]


def _changed_conditions(current: Sequence[JsonObject], wanted: Sequence[JsonObject]) -> list[JsonObject]:
    held = {item.get("type"): item for item in current}
    changed = []
    for condition in wanted:
        before = held.get(condition["type"])
        if before is None:
            changed.append(condition)
        elif any((before.get(key) or None) != (condition.get(key) or None) for key in CONDITION_FIELDS):
            gone: JsonObject = {key: None for key in ("reason", "message") if key not in condition}
            changed.append({**gone, **condition} if before.keys() & gone.keys() else condition)
    return changed
