"""Taints of nodes and tolerations of pods."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from virtual_kubelet.objects import Taint, Toleration
from virtual_kubelet.pure import names

__all__ = ["EFFECTS", "KEEPS_AWAY", "is_for", "parse_taint", "tolerates", "untolerated"]

NO_SCHEDULE: Final = "NoSchedule"
PREFER_NO_SCHEDULE: Final = "PreferNoSchedule"
NO_EXECUTE: Final = "NoExecute"
EFFECTS: Final = (NO_SCHEDULE, PREFER_NO_SCHEDULE, NO_EXECUTE)
KEEPS_AWAY: Final = frozenset({NO_SCHEDULE, NO_EXECUTE})
"""The effects that keep a pod from being bound to a node."""

_INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)


def parse_taint(text: str) -> Taint:
    """Return the taint written as `KEY[=VALUE][:EFFECT]`; without an effect it is NoSchedule.

    Raises:
        ValueError: a part is not allowed; the message names it and the remedy.
    """
    head, colon, effect = text.partition(":")
    key, _, value = head.partition("=")
    if complaints := names.label_key(key):
        raise ValueError(f'taint "{text}": the key "{key}" is not allowed: {"; ".join(complaints)}')
    if complaints := names.label_value(value):
        raise ValueError(f'taint "{text}": the value "{value}" is not allowed: {"; ".join(complaints)}')
    if colon and effect not in EFFECTS:
        raise ValueError(f'taint "{text}": the effect "{effect}" is none of {", ".join(EFFECTS)}')
    return {"key": key, "value": value, "effect": effect or NO_SCHEDULE}


def untolerated(
    taints: Iterable[Taint] | None,
    tolerations: Collection[Toleration] | None,
    effects: Collection[str] = KEEPS_AWAY,
) -> Taint | None:
    """Return the first taint with one of `effects` that no toleration is for; None where there is none."""
    for taint in taints or ():
        if taint.get("effect") in effects and not any(is_for(one, taint) for one in tolerations or ()):
            return taint
    return None


def tolerates(
    taints: Iterable[Taint] | None,
    tolerations: Collection[Toleration] | None,
    effects: Collection[str] = KEEPS_AWAY,
) -> bool:
    """Tell whether a pod with these tolerations may be where these taints are.

    Args:
        taints: `spec.taints` of the node.
        tolerations: `spec.tolerations` of the pod.
        effects: those that count: by default what keeps a pod from being bound; a kubelet asks for NoExecute.
    """
    return untolerated(taints, tolerations, effects) is None


def is_for(toleration: Toleration, taint: Taint) -> bool:
    """Tell whether a toleration is for a taint (`core/v1.Toleration.ToleratesTaint`)."""
    effect, key = toleration.get("effect"), toleration.get("key")
    if (effect and effect != taint.get("effect")) or (key and key != taint.get("key")):
        return False
    operator = toleration.get("operator") or "Equal"
    ours, theirs = toleration.get("value") or "", taint.get("value") or ""
    if operator == "Exists":
        return True
    if operator == "Equal":
        return bool(key) and ours == theirs
    if not (key and _INTEGER.fullmatch(ours) and _INTEGER.fullmatch(theirs)):
        return False
    if operator == "Lt":
        return int(theirs) < int(ours)
    return operator == "Gt" and int(theirs) > int(ours)
