"""Leases: the heartbeat of nodes."""

from __future__ import annotations

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.strategy import Strategy
from virtual_kubelet.objects import JsonObject

__all__ = ["LeaseStrategy"]


class LeaseStrategy(Strategy):
    """A PUT may create one, but has to name the version that it replaces."""

    create_on_update = True
    unconditional_update = False

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check the numbers; the times are checked when the body is read."""
        spec = obj.get("spec") or {}
        found = []
        duration = spec.get("leaseDurationSeconds")
        if duration is not None and duration <= 0:
            found.append(FieldError.invalid("spec.leaseDurationSeconds", duration, "must be greater than 0"))
        transitions = spec.get("leaseTransitions")
        if transitions is not None and transitions < 0:
            found.append(
                FieldError.invalid("spec.leaseTransitions", transitions, "must be greater than or equal to 0")
            )
        if spec.get("holderIdentity") == "":
            found.append(FieldError.invalid("spec.holderIdentity", "", "must not be empty"))
        return found

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check the new state alone."""
        return self.validate(new)
