"""Does a pod fit on a node? Pure functions, in the words of the scheduler's messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import quantity, selectors
from virtual_kubelet.pure.quantity import Quantity
from virtual_kubelet.pure.selectors import Operator, Requirement

__all__ = ["Amounts", "explain", "requests_of", "tolerates", "why_not"]

Amounts = Mapping[str, Quantity]
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
KEEPS_AWAY = frozenset({"NoSchedule", "NoExecute"})
HAS_ROOM_FOR = "pods"

_OPERATORS = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
    "Gt": Operator.GREATER_THAN,
    "Lt": Operator.LESS_THAN,
}


def requests_of(spec: JsonObject) -> dict[str, Quantity]:
    """Return what a pod claims: its containers together, or its hungriest init container, and one pod slot."""
    total: dict[str, Quantity] = {}
    for container in spec.get("containers") or ():
        _add(total, _requests(container))
    sidecars: dict[str, Quantity] = {}
    peak: dict[str, Quantity] = {}
    for container in spec.get("initContainers") or ():
        if container.get("restartPolicy") == "Always":
            _add(sidecars, _requests(container))
            continue
        moment = dict(sidecars)
        _add(moment, _requests(container))
        _raise(peak, moment)
    _add(total, sidecars)
    _raise(total, peak)
    # The pod's own claim stands for those of its containers.
    total.update(_requests(spec))
    _add(total, _parsed(spec.get("overhead")))
    total[HAS_ROOM_FOR] = Quantity.of(1)
    return total


def _requests(container: JsonObject) -> dict[str, Quantity]:
    return _parsed((container.get("resources") or {}).get("requests"))


def _parsed(amounts: Mapping[str, Any] | None) -> dict[str, Quantity]:
    return {name: quantity.parse(amount) for name, amount in (amounts or {}).items()}


def _add(total: dict[str, Quantity], more: Amounts) -> None:
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _raise(total: dict[str, Quantity], least: Amounts) -> None:
    for name, amount in least.items():
        if name not in total or total[name] < amount:
            total[name] = amount


def why_not(pod: JsonObject, node: JsonObject, requests: Amounts, used: Amounts) -> str:
    """Return why the pod cannot go to the node, "" when it can."""
    spec, node_spec = pod["spec"], node.get("spec") or {}
    tolerations = spec.get("tolerations") or ()
    cordoned = {"key": UNSCHEDULABLE, "effect": "NoSchedule"}
    if node_spec.get("unschedulable") and not _tolerated(cordoned, tolerations):
        return "node(s) were unschedulable"
    for taint in node_spec.get("taints") or ():
        if taint.get("effect") in KEEPS_AWAY and not _tolerated(taint, tolerations):
            return f"node(s) had untolerated taint {{{taint.get('key', '')}: {taint.get('value', '')}}}"
    if not _selected(spec, node):
        return "node(s) didn't match Pod's node affinity/selector"
    return _room(requests, used, (node.get("status") or {}).get("allocatable") or {})


def _room(requests: Amounts, used: Amounts, allocatable: Mapping[str, str]) -> str:
    for name, wanted in requests.items():
        if not wanted:
            continue
        there = quantity.parse(allocatable[name]) if name in allocatable else quantity.ZERO
        if name in used:
            wanted = wanted + used[name]  # noqa: PLW2901 - what would be in use then
        if wanted > there:
            return "Too many pods" if name == HAS_ROOM_FOR else f"Insufficient {name}"
    return ""


def tolerates(toleration: JsonObject, taint: JsonObject) -> bool:
    """Tell whether a toleration is for a taint (`v1.Toleration.ToleratesTaint`)."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    if toleration.get("operator", "Equal") == "Exists":
        return True
    return bool(toleration.get("key")) and toleration.get("value", "") == taint.get("value", "")


def _tolerated(taint: JsonObject, tolerations: Iterable[JsonObject]) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def _selected(spec: JsonObject, node: JsonObject) -> bool:
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    return any(_term_matches(term, node, labels) for term in required.get("nodeSelectorTerms") or ())


def _term_matches(term: JsonObject, node: JsonObject, labels: Mapping[str, str]) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False  # an empty term selects nothing
    named = {"metadata.name": node["metadata"]["name"]}
    return all(_requirement(each).matches(labels) for each in expressions) and all(
        _requirement(each).matches(named) for each in fields
    )


def _requirement(expression: JsonObject) -> selectors.Requirement:
    operator = _OPERATORS.get(expression.get("operator", ""), Operator.IN)
    return Requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ()))


def explain(reasons: Iterable[str], nodes: int) -> str:
    """Return the message of a pod that fits nowhere."""
    if not nodes:
        return "no nodes available to schedule pods"
    counted = sorted(f"{count} {reason}" for reason, count in Counter(reasons).items())
    return f"0/{nodes} nodes are available: {', '.join(counted)}."
