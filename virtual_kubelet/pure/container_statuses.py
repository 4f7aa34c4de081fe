"""Container statuses made whole: what a provider left out is filled in, what it said is kept.

The result has every field that the API server stores in a `ContainerStatus` (it writes out empty ones), so that
comparing with what it holds finds differences and not omissions.
"""

from __future__ import annotations

from collections.abc import Sequence

from virtual_kubelet.objects import (
    Container,
    ContainerState,
    ContainerStateRunning,
    ContainerStateTerminated,
    ContainerStatus,
)
from virtual_kubelet.pure.pod_phase import is_restartable_init

__all__ = ["LOST_EXIT_CODE", "UNKNOWN_EXIT_CODE", "lose", "settle", "whole", "whole_init"]

LOST_EXIT_CODE = -137
"""What virtual-kubelet has always reported for a container that vanished from its backend."""

_NOT_BEGUN = frozenset({"ContainerCreating", "PodInitializing"})

UNKNOWN_EXIT_CODE = 137
"""What the kubelet reports for a container that ended where nobody saw it."""


def whole(
    containers: Sequence[Container],
    reported: Sequence[ContainerStatus] | None,
    current: Sequence[ContainerStatus] | None,
    *,
    phase: str,
    now: str,
    init: bool = False,
) -> list[ContainerStatus]:
    """Return one status for each container that anything is known of, in the order of the spec.

    Args:
        containers: the app containers of the spec.
        reported: what the provider says of them; None or in part.
        current: what the API server holds, where known times come from.
        phase: the pod's phase, which stands for containers that the provider is silent about.
        now: the time for what began or ended just now, RFC 3339.
        init: these are init containers, which are ready when they have ended well.
    """
    said = {item["name"]: item for item in reported or ()}
    held = {item["name"]: item for item in current or ()}
    statuses = []
    for container in containers:
        name = container["name"]
        state = None if name in said else _implied(phase, held.get(name), now)
        if state is not None:
            said[name] = _implied_status(name, state, held.get(name))
        if name in said:
            statuses.append(_normal(container, said[name], held.get(name), now, init=init))
    return statuses


def whole_init(
    containers: Sequence[Container],
    reported: Sequence[ContainerStatus] | None,
    current: Sequence[ContainerStatus] | None,
    *,
    phase: str,
    now: str,
) -> list[ContainerStatus]:
    """Do the same for init containers, which are over when the pod runs."""
    done = [c for c in containers if not is_restartable_init(c)]
    if reported is None and phase == "Running":
        reported = [
            {"name": c["name"], "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}} for c in done
        ]
    return whole(containers, reported, current, phase=phase, now=now, init=True)


def lose(current: Sequence[ContainerStatus], now: str) -> list[ContainerStatus]:
    """Return `current` with each running container gone: exit code -137, reason NotFound."""
    lost: list[ContainerStatus] = []
    for item in current:
        if "running" in item.get("state", {}):
            ended = _ended(item, LOST_EXIT_CODE, "NotFound", now)
            ended["message"] = "Container was not found and was likely deleted"
            item = _over(item, ended)  # noqa: PLW2901 - the same container, one state further
        lost.append(item)
    return lost


def settle(statuses: Sequence[ContainerStatus], now: str) -> list[ContainerStatus]:
    """Return `statuses` with no container running or between two runs: the pod was told to end and has."""
    settled: list[ContainerStatus] = []
    for item in statuses:
        state = item.get("state", {})
        last = item.get("lastState", {}).get("terminated")
        if "running" in state:
            ended = _ended(item, UNKNOWN_EXIT_CODE, "ContainerStatusUnknown", now)
            ended["message"] = "The container could not be located when the pod was deleted"
            item = _over(item, ended)  # noqa: PLW2901 - the same container, one state further
        elif last and "terminated" not in state:
            item = _over(item, last)  # noqa: PLW2901 - the same container, one state further
        settled.append(item)
    return settled


def _implied(phase: str, held: ContainerStatus | None, now: str) -> ContainerState | None:
    """Return the state of a container that only the phase speaks of; None where it says nothing."""
    if phase == "Running":
        running = held.get("state", {}).get("running") if held else None
        return {"running": running or {"startedAt": now}}
    if phase == "Pending":
        return {"waiting": {"reason": "ContainerCreating"}}
    state: ContainerState = held.get("state", {}) if held else {}
    if "terminated" in state:
        return state
    if held and "running" in state:
        well = phase == "Succeeded"
        return {"terminated": _ended(held, 0 if well else 1, "Completed" if well else "Error", now)}
    if phase == "Succeeded":
        return {"terminated": {"exitCode": 0, "reason": "Completed"}}
    if state.get("waiting", {}).get("reason") in _NOT_BEGUN and not (held or {}).get("lastState"):
        return None  # it waits no longer: tools would show that instead of why the pod failed
    return state or None


def _implied_status(name: str, state: ContainerState, held: ContainerStatus | None) -> ContainerStatus:
    """Return `held` in `state`: image, restarts and the like stay as they were last reported."""
    status: ContainerStatus = {**held, "state": state} if held else {"name": name, "state": state}
    status.pop("ready", None)
    status.pop("started", None)
    return status


def _normal(
    container: Container, said: ContainerStatus, held: ContainerStatus | None, now: str, *, init: bool
) -> ContainerStatus:
    state = said.get("state", {})
    running = "running" in state
    status: ContainerStatus = {
        "image": container.get("image", ""),
        "imageID": "",
        "ready": running or (init and state.get("terminated", {}).get("exitCode") == 0),
        "restartCount": 0,
        "started": running,
        "lastState": {},
        **said,
    }
    if not _is_timed(state):
        status["state"] = _timed(state, held.get("state", {}) if held else {}, now)
    return status


def _is_timed(state: ContainerState) -> bool:
    running, terminated = state.get("running"), state.get("terminated")
    if running is not None:
        return "startedAt" in running
    return terminated is None or "finishedAt" in terminated


def _timed(state: ContainerState, held: ContainerState, now: str) -> ContainerState:
    """Fill in the times that the provider left out, as they were reported before where they were."""
    before: ContainerStateRunning | ContainerStateTerminated
    if "running" in state:
        before = held.get("running") or {}
        return {"running": {"startedAt": before.get("startedAt") or now}}
    ended = held.get("terminated") or {}
    before = held.get("running") or ended
    times: ContainerStateTerminated = {
        "startedAt": before.get("startedAt") or now,
        "finishedAt": ended.get("finishedAt") or now,
    }
    return {"terminated": {**times, **state["terminated"]}}


def _ended(item: ContainerStatus, exit_code: int, reason: str, now: str) -> ContainerStateTerminated:
    """Return the state of a running container that has ended now."""
    ended: ContainerStateTerminated = {"exitCode": exit_code, "reason": reason, "finishedAt": now}
    started = item.get("state", {}).get("running", {}).get("startedAt")
    if started:
        ended["startedAt"] = started
    if item.get("containerID"):
        ended["containerID"] = item["containerID"]
    return ended


def _over(item: ContainerStatus, ended: ContainerStateTerminated) -> ContainerStatus:
    return {**item, "ready": False, "started": False, "state": {"terminated": ended}}
