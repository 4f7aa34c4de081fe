"""Nodes: a kubelet writes status (and, when it registers, all at once), people write spec and labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.strategy import Field, Strategy
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names, quantity

__all__ = ["NodeStatusRules", "NodeStrategy"]

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class NodeStrategy(Strategy):
    """The main resource. A new node brings its status along: that is how kubelets register."""

    fields: ClassVar[Mapping[str, Field]] = {
        **Strategy.fields,
        "spec.unschedulable": lambda node: "true" if node.get("spec", {}).get("unschedulable") else "false",
    }

    def default(self, obj: JsonObject) -> None:
        """Take the capacity for what is allocatable where nothing else is said."""
        status = obj.get("status") or {}
        if status.get("capacity") and not status.get("allocatable"):
            status["allocatable"] = dict(status["capacity"])
        obj.setdefault("spec", {})

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Keep the status."""
        new["status"] = old.get("status", {})

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check taints and amounts."""
        return _validate_taints(obj) + _validate_amounts(obj)

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check taints, and that the machine behind the node stays the same."""
        found = _validate_taints(new)
        before, now = old.get("spec", {}), new.get("spec", {})
        if before.get("providerID") and before.get("providerID") != now.get("providerID"):
            found.append(
                FieldError.forbidden(
                    "spec.providerID", 'node updates may not change providerID except from "" to valid'
                )
            )
        if before.get("podCIDRs") and before.get("podCIDRs") != now.get("podCIDRs"):
            found.append(
                FieldError.forbidden(
                    "spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'
                )
            )
        return found


class NodeStatusRules(NodeStrategy):
    """nodes/status: the spec stays; labels and annotations may change along, as kubelets do it."""

    restored = ("spec",)

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back the spec."""
        new["spec"] = old.get("spec", {})

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check amounts and addresses."""
        found = _validate_amounts(new)
        seen = set()
        for index, address in enumerate(new.get("status", {}).get("addresses") or ()):
            pair = address.get("type"), address.get("address")
            if pair in seen:
                found.append(FieldError.duplicate(f"status.addresses[{index}]", address))
            seen.add(pair)
        return found


def _validate_taints(node: JsonObject) -> list[FieldError]:
    found = []
    seen = set()
    for index, taint in enumerate(node.get("spec", {}).get("taints") or ()):
        path = f"spec.taints[{index}]"
        key, value, effect = taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        found += [FieldError.invalid(f"{path}.key", key, text) for text in names.label_key(key)]
        found += [FieldError.invalid(f"{path}.value", value, text) for text in names.label_value(value)]
        if not effect:
            found.append(FieldError.required(f"{path}.effect"))
        elif effect not in EFFECTS:
            found.append(FieldError.not_supported(f"{path}.effect", effect, EFFECTS))
        if (key, effect) in seen:
            found.append(FieldError.duplicate(path, f"{key}:{effect}"))
        seen.add((key, effect))
    return found


def _validate_amounts(node: JsonObject) -> list[FieldError]:
    found = []
    for field in ("capacity", "allocatable"):
        for name, amount in (node.get("status", {}).get(field) or {}).items():
            path = f"status.{field}.{name}"
            found += [FieldError.invalid(path, name, text) for text in names.label_key(name)]
            try:
                if quantity.parse(amount) < quantity.ZERO:
                    found.append(FieldError.invalid(path, amount, "must be greater than or equal to 0"))
            except ValueError as error:
                found.append(FieldError.invalid(path, amount, str(error)))
    return found
