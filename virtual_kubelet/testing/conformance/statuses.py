"""What is wrong with a status: as a provider reports it, and as the agent would write it. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from virtual_kubelet.devapi.registry.pod_status_validation import validate_status_update
from virtual_kubelet.objects import ContainerStatus, JsonObject, Pod, PodStatus
from virtual_kubelet.pure import times

__all__ = ["complaints", "refusals"]

PHASES = frozenset({"Pending", "Running", "Succeeded", "Failed", "Unknown"})
STATES = frozenset({"waiting", "running", "terminated"})
LISTS = (
    ("containerStatuses", "containers"),
    ("initContainerStatuses", "initContainers"),
    ("ephemeralContainerStatuses", "ephemeralContainers"),
)


def complaints(pod: Pod, reported: PodStatus) -> list[str]:
    """Return what is wrong with what a provider said of `pod`; it may leave out anything."""
    found = []
    if reported.get("phase", "Pending") not in PHASES:
        found.append(f"phase {reported['phase']!r} is not one of {', '.join(sorted(PHASES))}")
    for key, spec_key in LISTS:
        known = {item["name"] for item in _items(pod["spec"], spec_key)}
        found += [text for item in _items(reported, key) for text in _container(item, key, known)]
    found += _conditions(reported)
    return found


def refusals(pod: Pod, status: PodStatus) -> list[str]:
    """Return why an API server that holds `pod`, with its last status, would not take this one."""
    old: JsonObject = {**pod}
    new: JsonObject = {**pod, "status": status}
    return [f"{error.field}: {error.message}" for error in validate_status_update(new, old)]


def _items(fields: Any, key: str) -> list[Any]:
    return fields.get(key) or []


def _container(status: ContainerStatus, key: str, known: set[str]) -> Iterator[str]:
    name = status.get("name", "")
    where = f"{key} of {name!r}"
    if name not in known:
        yield f"{where}: the pod has no such container"
    state = status.get("state", {})
    if len(state) != 1 or not STATES.issuperset(state):
        yield f"{where}: state must be one of {', '.join(sorted(STATES))}, not {sorted(state)}"
    for ended in (state.get("terminated"), status.get("lastState", {}).get("terminated")):
        if ended is not None and not isinstance(ended.get("exitCode"), int):
            yield f"{where}: a terminated container needs an exitCode, a number"
    count = status.get("restartCount", 0)
    if not isinstance(count, int) or count < 0:
        yield f"{where}: restartCount {count!r} is not a count"
    for part in (*state.values(), *status.get("lastState", {}).values()):
        yield from _times(part, where)


def _times(part: Any, where: str) -> Iterator[str]:
    for key in ("startedAt", "finishedAt"):
        if part.get(key) is None:
            continue
        try:
            times.parse(part[key])
        except (ValueError, TypeError) as error:
            yield f"{where}: {key}: {error}"


def _conditions(status: PodStatus) -> Iterator[str]:
    seen = set()
    for condition in status.get("conditions") or ():
        kind = condition.get("type", "")
        if kind in seen:
            yield f"condition {kind} is there twice"
        seen.add(kind)
        if condition.get("status") not in {"True", "False", "Unknown"}:
            yield f"condition {kind}: status must be True, False or Unknown"
