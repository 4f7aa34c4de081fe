"""Does a node match what a pod demands of nodes: `nodeSelector` and required node affinity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from virtual_kubelet.objects import JsonObject, Node, Pod
from virtual_kubelet.pure.selectors import Operator, Requirement

__all__ = ["matches_node"]

_OPERATORS: Final = {
    "In": Operator.IN,
    "NotIn": Operator.NOT_IN,
    "Exists": Operator.EXISTS,
    "DoesNotExist": Operator.DOES_NOT_EXIST,
    "Gt": Operator.GREATER_THAN,
    "Lt": Operator.LESS_THAN,
}
_FIELD_OPERATORS: Final = frozenset({Operator.IN, Operator.NOT_IN})


def matches_node(pod: Pod, node: Node) -> bool:
    """Tell whether `node` is one that `pod` may run on.

    Terms are alternatives; one that is empty, or that is not well-formed, matches no node.
    """
    spec = pod["spec"]
    labels = node["metadata"].get("labels") or {}
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return False
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if required is None:
        return True
    fields = {"metadata.name": node["metadata"].get("name", "")}
    return any(_term_matches(term, labels, fields) for term in required.get("nodeSelectorTerms") or ())


def _term_matches(term: JsonObject, labels: Mapping[str, str], fields: Mapping[str, str]) -> bool:
    expressions, of_fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not of_fields:
        return False
    return all(_label_matches(one, labels) for one in expressions) and all(
        _field_matches(one, fields) for one in of_fields
    )


def _label_matches(expression: JsonObject, labels: Mapping[str, str]) -> bool:
    requirement = _requirement(expression)
    if requirement is None:
        return False
    try:
        requirement.check()
    except ValueError:
        return False
    return requirement.matches(labels)


def _field_matches(expression: JsonObject, fields: Mapping[str, str]) -> bool:
    """Compare a field; its one value is a node's name, which may be longer than a label's value."""
    requirement = _requirement(expression)
    if requirement is None or requirement.operator not in _FIELD_OPERATORS:
        return False
    return requirement.key in fields and len(requirement.values) == 1 and requirement.matches(fields)


def _requirement(expression: JsonObject) -> Requirement | None:
    operator = _OPERATORS.get(expression.get("operator", ""))
    if operator is None:
        return None
    return Requirement(expression.get("key", ""), operator, tuple(expression.get("values") or ()))
