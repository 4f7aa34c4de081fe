"""A container group becomes a pod's status. Pure.

Shapes are those of a GET of the ACI REST API 2023-05-01; every field may be missing. What decides is
`provisioningState` as long as it is not Succeeded, then `instanceView.state`; but a group that runs has not failed,
whatever became of the last operation on it. A list of groups has no instance views: what a group's containers do is
then known from the last single read, the `detail`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from virtual_kubelet.objects import (
    Container,
    ContainerState,
    ContainerStateTerminated,
    ContainerStatus,
    PodSpec,
    PodStatus,
)
from virtual_kubelet.providers.azure import moments
from virtual_kubelet.providers.azure.shapes import mapping, mappings

__all__ = ["has_instance_view", "is_final", "last_warning", "pod_spec", "pod_status", "provisioning_state"]

_FAILED = frozenset({"failed", "canceled", "cancelled"})
_COMING = frozenset(
    {
        "creating",
        "repairing",
        "pending",
        "accepted",
        "updating",
        "starting",
        "preparing",
        "preprovisioned",
        "waiting",
        "notready",
        "notspecified",
        "provisioning",
        "registering",
    }
)
_TERMINATED = frozenset({"terminated", "succeeded", "failed", "canceled", "cancelled", "stopped"})
_REASON = re.compile(r"([A-Z][A-Za-z]+)(?::.*)?", re.DOTALL)
CREATING = "ContainerCreating"  # the kubelet's word for what waits without a reason of its own
MESSAGE_LENGTH = 1024  # what a kubelet keeps of a container's last words

JsonMapping = Mapping[str, Any]


def provisioning_state(group: JsonMapping) -> str:
    """Return a group's provisioningState in lower case; "" where it says none."""
    return str(_properties(group).get("provisioningState") or "").lower()


def has_instance_view(group: JsonMapping) -> bool:
    """Tell whether a body says what the group's containers do."""
    return any(_view(item) for item in _all_containers(group)) or bool(_view(group).get("state"))


def pod_status(group: JsonMapping, detail: JsonMapping | None = None, failure: str = "") -> PodStatus:
    """Return the status of the pod that `group` is.

    Args:
        group: the newest body.
        detail: the last body with an instance view, where `group` has none.
        failure: how its last operation failed, in Azure's words.
    """
    viewed = group if detail is None or has_instance_view(group) else detail
    containers = [_container_status(viewed, item) for item in _containers(viewed, "containers")]
    starters = [_container_status(viewed, item) for item in _containers(viewed, "initContainers")]
    status: PodStatus = {"phase": _phase(group, viewed, containers)}
    if status["phase"] == "Failed":
        status.update(_explanation(group, viewed, failure))
        _end_waiting(containers + starters, status.get("reason", ""))
    elif failure:
        status["message"] = failure
    address = _address(group) or _address(viewed)
    if address:
        status["podIP"], status["podIPs"] = address, [{"ip": address}]
    if started := _started(containers + starters):
        status["startTime"] = started
    status["containerStatuses"] = containers
    if starters:
        status["initContainerStatuses"] = starters
    return status


def last_warning(group: JsonMapping) -> tuple[str, str]:
    """Return name and message of the last warning among a group's own events; "" for none."""
    for event in reversed(mappings(_view(group).get("events"))):
        if str(event.get("type") or "").lower() == "warning":
            return str(event.get("name") or ""), str(event.get("message") or "")
    return "", ""


def is_final(group: JsonMapping, status: PodStatus) -> bool:
    """Tell whether nothing more will happen to the group by itself."""
    settled = provisioning_state(group) in {"succeeded", *_FAILED}
    return settled and status.get("phase") in {"Succeeded", "Failed"}


def pod_spec(group: JsonMapping) -> PodSpec:
    """Return what the group tells of the pod's spec: names and images of its containers."""
    spec: PodSpec = {"containers": [_named(item) for item in _containers(group, "containers")]}
    if starters := [_named(item) for item in _containers(group, "initContainers")]:
        spec["initContainers"] = starters
    if policy := _properties(group).get("restartPolicy"):
        spec["restartPolicy"] = str(policy)
    return spec


# --- phases


def _phase(group: JsonMapping, viewed: JsonMapping, containers: list[ContainerStatus]) -> str:
    state = provisioning_state(group)
    seen = str(_view(viewed).get("state") or "").lower()
    if state in {"", "succeeded"}:
        state = seen or _summed(containers)
    elif state in _FAILED and seen == "running":
        # A failed operation ends nothing (container-state.md of ACI's documentation), and Failed would be final.
        return "Running"
    if state == "running":
        return "Running"
    if state == "succeeded":
        return "Succeeded"
    if state in _FAILED:
        return "Failed"
    if state in {"stopped", "terminated"}:
        # Somebody stopped it: it counts as done only where every container had ended well.
        return "Succeeded" if _ended_well(containers) else "Failed"
    if any("running" in item["state"] for item in containers):
        return "Running"  # it is being updated, repaired or deleted, and still works
    return "Pending" if state in _COMING else "Unknown"


def _summed(containers: list[ContainerStatus]) -> str:
    """Return a state for a group that tells none itself."""
    if any("running" in item["state"] for item in containers):
        return "running"
    if containers and all("terminated" in item["state"] for item in containers):
        return "succeeded" if _ended_well(containers) else "failed"
    return "pending"


def _ended_well(containers: list[ContainerStatus]) -> bool:
    return bool(containers) and all(
        item["state"].get("terminated", {}).get("exitCode") == 0 for item in containers
    )


def _explanation(group: JsonMapping, viewed: JsonMapping, failure: str) -> PodStatus:
    """Return reason and message of a failed pod, in Azure's words."""
    provisioning = provisioning_state(group) in _FAILED
    name, words = last_warning(viewed)
    message = failure or words or name
    explained: PodStatus = {"reason": "ProvisioningFailed"} if provisioning else {}
    if str(_view(viewed).get("state") or "").lower() == "stopped" and not provisioning:
        explained["reason"] = "Stopped"
        message = message or "The container group was stopped in Azure"
    if message:
        explained["message"] = message
    return explained


# --- containers


def _container_status(group: JsonMapping, item: JsonMapping) -> ContainerStatus:
    view = _view(item)
    state = _state(view.get("currentState"))
    name = str(item.get("name") or "")
    address = f"{group.get('id') or group.get('name') or ''}/containers/{name}".upper()
    status: ContainerStatus = {
        "name": name,
        "image": str(_properties(item).get("image") or ""),
        "imageID": "",
        "containerID": f"aci://{hashlib.sha256(address.encode()).hexdigest()}",
        "ready": "running" in state,
        "started": "running" in state,
        "restartCount": _number(view.get("restartCount")),
        "state": state,
    }
    previous = _state(view.get("previousState"))
    if "terminated" in previous:
        status["lastState"] = previous
    return status


def _end_waiting(containers: list[ContainerStatus], reason: str) -> None:
    """Say of containers that never began why they never will; kubectl shows that in place of the phase."""
    for item in containers:
        if item["state"].get("waiting", {}).get("reason") == CREATING:
            item["state"] = {"waiting": {"reason": reason or "Failed"}}


def _state(raw: Any) -> ContainerState:
    said = mapping(raw)
    state = str(said.get("state") or "")
    if state.lower() == "running":
        started = moments.normal(said.get("startTime"))
        return {"running": {"startedAt": started} if started else {}}
    if state.lower() in _TERMINATED:
        return {"terminated": _terminated(state, said)}
    detail = str(said.get("detailStatus") or "")
    own = CREATING if state.lower() in {"", "waiting"} else state
    match = _REASON.fullmatch(detail)
    reason = match.group(1) if match else own
    return {
        "waiting": {"reason": reason, "message": detail[:MESSAGE_LENGTH]} if detail else {"reason": reason}
    }


def _terminated(state: str, said: JsonMapping) -> ContainerStateTerminated:
    detail = str(said.get("detailStatus") or "")
    code = said.get("exitCode")
    bad = state.lower() in _FAILED
    exit_code = _number(code) if code is not None else int(bad)
    match = _REASON.fullmatch(detail)
    if match:
        reason = match.group(1)
    elif bad:
        reason = state
    else:
        reason = "Completed" if exit_code == 0 else "Error"
    ended: ContainerStateTerminated = {"exitCode": exit_code, "reason": reason}
    if detail and detail != reason:
        ended["message"] = detail[:MESSAGE_LENGTH]
    if started := moments.normal(said.get("startTime")):
        ended["startedAt"] = started
    if finished := moments.normal(said.get("finishTime")):
        ended["finishedAt"] = finished
    return ended


def _started(containers: list[ContainerStatus]) -> str:
    found = []
    for item in containers:
        for state in (item["state"], item.get("lastState", {})):
            running, ended = state.get("running", {}), state.get("terminated", {})
            found.append(running.get("startedAt") or ended.get("startedAt") or "")
    return min((moment for moment in found if moment), default="")


# --- reading


def _properties(item: JsonMapping) -> JsonMapping:
    return mapping(item.get("properties"))


def _view(item: JsonMapping) -> JsonMapping:
    return mapping(_properties(item).get("instanceView"))


def _address(group: JsonMapping) -> str:
    return str(mapping(_properties(group).get("ipAddress")).get("ip") or "")


def _containers(group: JsonMapping, kind: str) -> list[JsonMapping]:
    return mappings(_properties(group).get(kind))


def _all_containers(group: JsonMapping) -> Iterator[JsonMapping]:
    yield from _containers(group, "initContainers")
    yield from _containers(group, "containers")


def _named(item: JsonMapping) -> Container:
    found = {"name": item.get("name"), "image": _properties(item).get("image")}
    return cast("Container", {key: str(value) for key, value in found.items() if value})


def _number(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError):
        return 0
