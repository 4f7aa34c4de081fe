"""Does a pod fit on a node? Pure functions, in the words of the scheduler's messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

from virtual_kubelet.objects import JsonObject, Node, Pod, Taint
from virtual_kubelet.pure import quantity
from virtual_kubelet.pure.affinity import matches_node
from virtual_kubelet.pure.quantity import Quantity
from virtual_kubelet.pure.resources import pod_requests
from virtual_kubelet.pure.taints import tolerates, untolerated

__all__ = ["UNSCHEDULABLE", "Amounts", "explain", "requests_of", "why_not"]

Amounts = Mapping[str, Quantity]
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
CORDONED: Taint = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
HAS_ROOM_FOR = "pods"


def requests_of(pod: JsonObject) -> dict[str, Quantity]:
    """Return what a pod claims of a node: what it requests, and one pod slot."""
    return pod_requests(cast("Pod", pod)) | {HAS_ROOM_FOR: Quantity.of(1)}


def why_not(pod: JsonObject, node: JsonObject, requests: Amounts, used: Amounts) -> str:
    """Return why the pod cannot go to the node, "" when it can."""
    tolerations, node_spec = pod["spec"].get("tolerations"), node.get("spec") or {}
    if node_spec.get("unschedulable") and not tolerates([CORDONED], tolerations):
        return "node(s) were unschedulable"
    taint = untolerated(node_spec.get("taints"), tolerations)
    if taint is not None:
        return f"node(s) had untolerated taint {{{taint.get('key', '')}: {taint.get('value', '')}}}"
    if not matches_node(cast("Pod", pod), cast("Node", node)):
        return "node(s) didn't match Pod's node affinity/selector"
    return _room(requests, used, (node.get("status") or {}).get("allocatable") or {})


def _room(requests: Amounts, used: Amounts, allocatable: Mapping[str, str]) -> str:
    for name, wanted in requests.items():
        if not wanted:
            continue
        there = quantity.parse(allocatable[name]) if name in allocatable else quantity.ZERO
        if wanted + used.get(name, quantity.ZERO) > there:
            return "Too many pods" if name == HAS_ROOM_FOR else f"Insufficient {name}"
    return ""


def explain(reasons: Iterable[str], nodes: int) -> str:
    """Return the message of a pod that fits nowhere."""
    if not nodes:
        return "no nodes available to schedule pods"
    counted = sorted(f"{count} {reason}" for reason, count in Counter(reasons).items())
    return f"0/{nodes} nodes are available: {', '.join(counted)}."
