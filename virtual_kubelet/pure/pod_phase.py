"""What a pod's status says about its life: started, running, over, gone.

The phase is computed from container states as the kubelet computes it (kubelet `getPhase`, v1.36), for
providers that report containers and leave the phase out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from virtual_kubelet.objects import Container, ContainerState, ContainerStatus, PodSpec, PodStatus
from virtual_kubelet.pure.restart_policy import restarts

__all__ = [
    "TERMINAL_PHASES",
    "all_terminated",
    "ended_phase",
    "has_started",
    "is_restartable_init",
    "is_terminal",
    "phase_of",
]

TERMINAL_PHASES = frozenset({"Succeeded", "Failed"})


def is_terminal(status: PodStatus) -> bool:
    """Tell whether the phase is final: such a pod is never started again."""
    return status.get("phase") in TERMINAL_PHASES


def is_restartable_init(container: Container) -> bool:
    """Tell whether an init container is a sidecar, which runs as long as the pod."""
    return container.get("restartPolicy") == "Always"


def all_terminated(status: PodStatus) -> bool:
    """Tell whether nothing of the pod runs any more.

    True for a final phase with no running container, and for containers that have all ended. A pod without a
    word about containers is believed its phase.
    """
    if any("running" in state for state in _states(status)):
        return False
    if is_terminal(status):
        return True
    containers = status.get("containerStatuses")
    return bool(containers) and all("terminated" in item.get("state", {}) for item in containers or ())


def has_started(status: PodStatus) -> bool:
    """Tell whether a container of the pod has run: such a pod is not begun a second time."""
    if status.get("phase") in {"Running", "Succeeded", "Failed"}:
        return True
    return any(
        "running" in state or "terminated" in state or "terminated" in last
        for state, last in _states_and_last(status)
    )


def phase_of(spec: PodSpec, status: PodStatus) -> str:
    """Return the phase that the container states amount to."""
    policy = spec.get("restartPolicy", "Always")
    init = _init_phase(spec, status, policy)
    if init is not None:
        return init
    by_name = {item.get("name"): item for item in status.get("containerStatuses", ())}
    outcomes = [_outcome(by_name.get(item["name"]), item, policy) for item in spec["containers"]]
    if not outcomes or "waiting" in outcomes or "unknown" in outcomes:
        return "Pending"
    if "running" in outcomes or "restarts" in outcomes:
        return "Running"
    return "Failed" if "failed" in outcomes else "Succeeded"


def ended_phase(status: PodStatus) -> str:
    """Return the final phase of a pod that was told to end and has: its restart policy no longer counts."""
    if is_terminal(status):
        return status["phase"]
    states = [item.get("state", {}) for item in status.get("containerStatuses", ())]
    well = all(state.get("terminated", {}).get("exitCode") == 0 for state in states)
    return "Succeeded" if states and well else "Failed"


def _init_phase(spec: PodSpec, status: PodStatus, policy: str) -> str | None:
    """Return the phase that the init containers hold the pod in, or None when they are done."""
    by_name = {item.get("name"): item for item in status.get("initContainerStatuses", ())}
    pending = False
    for container in spec.get("initContainers", ()):
        entry = by_name.get(container["name"], {})
        state, last = entry.get("state", {}), entry.get("lastState", {})
        if is_restartable_init(container):
            pending = pending or not (entry.get("started") or "running" in state or "terminated" in state)
            continue
        ended = state.get("terminated") or ("waiting" in state and last.get("terminated")) or None
        code = ended.get("exitCode", 0) if ended else 0
        if code != 0 and not restarts(container, policy, code, init=True):
            return "Failed"
        pending = pending or "terminated" not in state or state["terminated"].get("exitCode") != 0
    started = any("running" in i.get("state", {}) for i in status.get("containerStatuses", ()))
    return "Pending" if pending and not started else None


def _outcome(status: ContainerStatus | None, container: Container, pod_policy: str) -> str:
    state: ContainerState = status.get("state", {}) if status else {}
    if "running" in state:
        return "running"
    ended = state.get("terminated")
    if ended is None and "waiting" in state and status:
        ended = status.get("lastState", {}).get("terminated")  # between two runs
        if ended is None:
            return "waiting"
    if ended is None:
        return "unknown"
    if restarts(container, pod_policy, ended.get("exitCode", 0)):
        return "restarts"
    return "succeeded" if ended.get("exitCode") == 0 else "failed"


def _lists(status: PodStatus) -> Iterator[Sequence[ContainerStatus]]:
    yield status.get("containerStatuses") or ()
    yield status.get("initContainerStatuses") or ()
    yield status.get("ephemeralContainerStatuses") or ()


def _states(status: PodStatus) -> Iterator[ContainerState]:
    return (item.get("state", {}) for items in _lists(status) for item in items)


def _states_and_last(status: PodStatus) -> Iterator[tuple[ContainerState, ContainerState]]:
    return ((i.get("state", {}), i.get("lastState", {})) for items in _lists(status) for i in items)
