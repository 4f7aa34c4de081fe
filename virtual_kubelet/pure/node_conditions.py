"""The conditions of a node: what the provider reports, completed to what a kubelet always shows."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_kubelet.objects import Condition

__all__ = ["node_conditions", "transitions"]

READY = "Ready"
HEALTHY: tuple[Condition, ...] = (
    {
        "type": "MemoryPressure",
        "status": "False",
        "reason": "KubeletHasSufficientMemory",
        "message": "kubelet has sufficient memory available",
    },
    {
        "type": "DiskPressure",
        "status": "False",
        "reason": "KubeletHasNoDiskPressure",
        "message": "kubelet has no disk pressure",
    },
    {
        "type": "PIDPressure",
        "status": "False",
        "reason": "KubeletHasSufficientPID",
        "message": "kubelet has sufficient PID available",
    },
    {
        "type": "NetworkUnavailable",
        "status": "False",
        "reason": "RouteCreated",
        "message": "the provider gives pods their network",
    },
    {"type": READY, "status": "True", "reason": "KubeletReady", "message": "Kubelet is ready"},
)
"""What a kubelet says of a node that nothing ails, in its order."""


def node_conditions(
    reported: Sequence[Condition], held: Sequence[Condition], *, problem: str, now: str
) -> list[Condition]:
    """Return the conditions to report.

    Args:
        reported: the provider's own; those of the five above that it leaves out are healthy.
        held: what the API server holds: the source of transition times.
        problem: why the node cannot be Ready whatever the provider reports; "" for nothing.
        now: the heartbeat, RFC 3339.
    """
    wanted: dict[str, Condition] = {item["type"]: item for item in HEALTHY}
    for item in reported:
        wanted[item["type"]] = {**wanted.get(item["type"], {}), **item} if _says_why(item) else item
    if problem:
        wanted[READY] = {"type": READY, "status": "False", "reason": "KubeletNotReady", "message": problem}
    before = {item["type"]: item for item in held}
    return [_stamped(item, before.get(item["type"]), now) for item in wanted.values()]


def transitions(before: Sequence[Condition], after: Sequence[Condition]) -> str:
    """Return the reason of the event for a change of readiness: NodeReady, NodeNotReady, or "" for none."""
    was, now = _ready(before), _ready(after)
    if was == now or not now:
        return ""
    return "NodeReady" if now == "True" else "NodeNotReady"


def _ready(conditions: Sequence[Condition]) -> str:
    return next((item.get("status", "") for item in conditions if item.get("type") == READY), "")


def _says_why(item: Condition) -> bool:
    """Tell whether the healthy condition's words fit: the provider repeats its status and gives no own."""
    healthy = next((h for h in HEALTHY if h["type"] == item["type"]), None)
    return healthy is not None and healthy["status"] == item.get("status") and "reason" not in item


def _stamped(condition: Condition, held: Condition | None, now: str) -> Condition:
    stamped: Condition = {**condition, "lastHeartbeatTime": now}
    if held and held.get("status") == condition.get("status") and held.get("lastTransitionTime"):
        stamped["lastTransitionTime"] = held["lastTransitionTime"]
    elif not stamped.get("lastTransitionTime"):
        stamped["lastTransitionTime"] = now
    return stamped
