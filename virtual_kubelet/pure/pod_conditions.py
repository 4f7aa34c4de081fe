"""The conditions of a pod that a kubelet owns, computed from its containers (kubelet status/generate.go, v1.36).

A condition that the provider reports itself wins over the computed one, but for two rules: a pod that is over
is not ready, and a pod whose readiness gates are not all True is not Ready.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtual_kubelet.objects import Condition, Container, ContainerStatus, Pod, PodStatus
from virtual_kubelet.pure.pod_phase import is_restartable_init, is_terminal

__all__ = ["conditions"]

READY_TO_START = "PodReadyToStartContainers"
COMPLETED = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}


def conditions(pod: Pod, wanted: PodStatus, now: str) -> list[Condition]:
    """Return the conditions to report.

    Args:
        pod: the pod as the API server has it; its conditions give transition times and readiness gates.
        wanted: the status being made: phase and whole container statuses, conditions as the provider said.
        now: the time of a transition that happens now, RFC 3339.
    """
    held = {item["type"]: item for item in pod.get("status", {}).get("conditions") or ()}
    said = {item["type"]: item for item in wanted.get("conditions") or ()}
    made: dict[str, Condition] = {}
    made[READY_TO_START] = said.get(READY_TO_START) or _ready_to_start(wanted)
    made["Initialized"] = said.get("Initialized") or _initialized(pod, wanted)
    over = is_terminal(wanted)
    containers_ready = None if over else said.get("ContainersReady")
    made["ContainersReady"] = containers_ready or _containers_ready(pod, wanted)
    ready = None if over else said.get("Ready")
    made["Ready"] = _gated(pod, ready or {**made["ContainersReady"], "type": "Ready"}, said, held)
    if "PodScheduled" not in held:
        made["PodScheduled"] = {"type": "PodScheduled", "status": "True"}
    for kind, condition in said.items():
        made.setdefault(kind, condition)
    generation = pod["metadata"].get("generation")
    return [_stamped(item, held.get(item["type"]), generation, now) for item in made.values()]


def _stamped(condition: Condition, held: Condition | None, generation: int | None, now: str) -> Condition:
    """Add the transition time: that of the API server as long as the status is the same."""
    stamped: Condition = {**condition}
    if held and held.get("status") == condition.get("status") and held.get("lastTransitionTime"):
        stamped["lastTransitionTime"] = held["lastTransitionTime"]
    elif not stamped.get("lastTransitionTime"):
        stamped["lastTransitionTime"] = now
    if generation:
        stamped.setdefault("observedGeneration", generation)
    return stamped


def _ready_to_start(wanted: PodStatus) -> Condition:
    up = wanted.get("phase") == "Running" or any(
        "running" in item.get("state", {}) for item in wanted.get("initContainerStatuses", ())
    )
    return {"type": READY_TO_START, "status": "True" if up else "False"}


def _initialized(pod: Pod, wanted: PodStatus) -> Condition:
    containers = pod["spec"].get("initContainers", ())
    if wanted.get("phase") == "Succeeded":
        return {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    started = any(_has_run(item) for item in wanted.get("containerStatuses", ()))
    if not containers or started:
        return {"type": "Initialized", "status": "True"}
    by_name = {item["name"]: item for item in wanted.get("initContainerStatuses", ())}
    unknown = [c["name"] for c in containers if c["name"] not in by_name]
    incomplete = [c["name"] for c in containers if c["name"] in by_name and not _is_done(c, by_name)]
    if not unknown and not incomplete:
        return {"type": "Initialized", "status": "True"}
    message = _message(("unknown", unknown), ("incomplete", incomplete))
    return {
        "type": "Initialized",
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": message,
    }


def _is_done(container: Container, by_name: Mapping[str, ContainerStatus]) -> bool:
    status = by_name[container["name"]]
    if is_restartable_init(container):
        return bool(status.get("started"))
    return status.get("state", {}).get("terminated", {}).get("exitCode") == 0


def _has_run(status: ContainerStatus) -> bool:
    state = status.get("state", {})
    return "running" in state or "terminated" in state or bool(status.get("lastState", {}).get("terminated"))


def _containers_ready(pod: Pod, wanted: PodStatus) -> Condition:
    completed = COMPLETED.get(wanted.get("phase", ""))
    if completed:
        return {"type": "ContainersReady", "status": "False", "reason": completed}
    spec = pod["spec"]
    names = [c["name"] for c in spec["containers"]]
    names += [c["name"] for c in spec.get("initContainers", ()) if is_restartable_init(c)]
    statuses = [*wanted.get("containerStatuses", ()), *wanted.get("initContainerStatuses", ())]
    ready = {item["name"]: bool(item.get("ready")) for item in statuses}
    unknown = [name for name in names if name not in ready]
    unready = [name for name in names if ready.get(name) is False]
    if not unknown and not unready:
        return {"type": "ContainersReady", "status": "True"}
    return {
        "type": "ContainersReady",
        "status": "False",
        "reason": "ContainersNotReady",
        "message": _message(("unknown", unknown), ("unready", unready)),
    }


def _gated(
    pod: Pod, ready: Condition, said: Mapping[str, Condition], held: Mapping[str, Condition]
) -> Condition:
    """Return `ready`, or why a readiness gate forbids it; gates may be the provider's or anyone's."""
    gates = pod["spec"].get("readinessGates")
    if not gates or ready.get("status") != "True":
        return ready
    messages = []
    for gate in gates:
        kind = gate.get("conditionType", "")
        condition = said.get(kind) or held.get(kind)
        if condition is None:
            messages.append(f'corresponding condition of pod readiness gate "{kind}" does not exist.')
        elif condition.get("status") != "True":
            messages.append(
                f'the status of pod readiness gate "{kind}" is not "True", but {condition.get("status")}'
            )
    if not messages:
        return ready
    return {
        "type": "Ready",
        "status": "False",
        "reason": "ReadinessGatesNotReady",
        "message": ", ".join(messages),
    }


def _message(*groups: tuple[str, Sequence[str]]) -> str:
    return ", ".join(f"containers with {word} status: [{' '.join(names)}]" for word, names in groups if names)
