"""Events (core/v1): facts about other objects, in the namespace of what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.strategy import Field, Strategy
from virtual_kubelet.objects import JsonObject

__all__ = ["EventStrategy", "NewEventStrategy"]

CLUSTER_SCOPED_NAMESPACES = frozenset({"default", "kube-system"})
TYPES = ("Normal", "Warning")


def _involved(field: str) -> Any:
    return lambda event: str(event.get("involvedObject", {}).get(field, ""))


def _field(field: str) -> Any:
    return lambda event: str(event.get(field, ""))


class EventStrategy(Strategy):
    """Anyone may write them; the checks of the newer form hold once eventTime is set."""

    create_on_update = True
    fields: ClassVar[Mapping[str, Field]] = {
        **Strategy.fields,
        "involvedObject.kind": _involved("kind"),
        "involvedObject.namespace": _involved("namespace"),
        "involvedObject.name": _involved("name"),
        "involvedObject.uid": _involved("uid"),
        "involvedObject.apiVersion": _involved("apiVersion"),
        "involvedObject.resourceVersion": _involved("resourceVersion"),
        "involvedObject.fieldPath": _involved("fieldPath"),
        "reason": _field("reason"),
        "reportingComponent": _field("reportingComponent"),
        "source": lambda event: str(
            event.get("source", {}).get("component") or event.get("reportingComponent", "")
        ),
        "type": _field("type"),
    }

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check where the event is, and in the newer form what it has to say."""
        found = []
        namespace = obj["metadata"].get("namespace", "")
        about = obj.get("involvedObject", {}).get("namespace", "")
        if about != namespace and (about or namespace not in CLUSTER_SCOPED_NAMESPACES):
            found.append(
                FieldError.invalid("involvedObject.namespace", about, "does not match event.namespace")
            )
        if obj.get("eventTime"):
            found += _validate_new_form(obj)
        return found


def _validate_new_form(event: JsonObject) -> list[FieldError]:
    found = []
    for field in ("reportingComponent", "reportingInstance", "action", "reason"):
        if not event.get(field):
            name = "reportingController" if field == "reportingComponent" else field
            found.append(FieldError.required(name))
    for field, limit in (("reportingInstance", 128), ("action", 128), ("reason", 128), ("message", 1024)):
        if len(event.get(field, "")) > limit:
            found.append(FieldError.invalid(field, "", f"can have at most {limit} characters"))
    if event.get("type") not in TYPES:
        found.append(FieldError.invalid("type", "", f"has invalid value: {event.get('type', '')}"))
    return found


class NewEventStrategy(EventStrategy):
    """The same events through events.k8s.io, whose selectors use the newer names."""

    fields: ClassVar[Mapping[str, Field]] = {
        **Strategy.fields,
        **{
            name.replace("involvedObject.", "regarding."): read
            for name, read in EventStrategy.fields.items()
            if name.startswith("involvedObject.")
        },
        "reason": _field("reason"),
        "reportingController": _field("reportingComponent"),
        "type": _field("type"),
    }
