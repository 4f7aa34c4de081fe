"""Who owns which field of an object: `metadata.managedFields`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.field_sets import FieldSet, fields_v1, leaves, read_fields_v1
from virtual_kubelet.pure.patches.json_values import same
from virtual_kubelet.pure.patches.schema import Schema

__all__ = ["APPLY", "UPDATE", "Manager", "after_update", "read_managers", "write_managers"]

APPLY: Final = "Apply"
UPDATE: Final = "Update"


@dataclass(frozen=True)
class Manager:
    """One entry of managedFields."""

    name: str
    operation: str
    """`Apply` or `Update`."""

    api_version: str
    time: str
    fields: FieldSet
    subresource: str = ""

    def is_same(self, other: Manager) -> bool:
        """Tell whether two entries are one manager's, so that one replaces the other."""
        return (self.name, self.operation, self.subresource) == (
            other.name,
            other.operation,
            other.subresource,
        )


def read_managers(document: JsonObject) -> list[Manager]:
    """Return the entries of an object's `metadata.managedFields`."""
    return [
        Manager(
            name=entry.get("manager", ""),
            operation=entry.get("operation", UPDATE),
            api_version=entry.get("apiVersion", ""),
            time=entry.get("time", ""),
            fields=read_fields_v1(entry.get("fieldsV1") or {}),
            subresource=entry.get("subresource", ""),
        )
        for entry in document.get("metadata", {}).get("managedFields") or ()
    ]


def write_managers(managers: Iterable[Manager]) -> list[JsonObject]:
    """Return `metadata.managedFields`: who applies first, then by time; nobody who owns nothing."""
    entries = []
    for manager in sorted(managers, key=lambda one: (one.operation, one.time, one.name, one.subresource)):
        if not manager.fields:
            continue
        entry: JsonObject = {
            "manager": manager.name,
            "operation": manager.operation,
            "apiVersion": manager.api_version,
            "time": manager.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields_v1(manager.fields),
        }
        if manager.subresource:
            entry["subresource"] = manager.subresource
        entries.append(entry)
    return entries


def after_update(
    before: JsonObject | None,
    after: JsonObject,
    schema: Schema,
    *,
    manager: str,
    time: str,
    subresource: str = "",
) -> list[JsonObject]:
    """Return the managedFields of an object after a create, an update or a patch other than apply.

    Who changes a field owns it from then on, alone. What is gone is nobody's.

    Args:
        before: the object as it was; None: it is new.
        after: the object as it is now.
        schema: its merge rules.
        manager: who did it.
        time: when, as `metav1.Time`.
        subresource: through which, for example `status`.
    """
    old: dict[Any, Any] = leaves(before, schema) if before else {}
    new = leaves(after, schema)
    changed = frozenset(path for path, value in new.items() if path not in old or not same(old[path], value))
    gone = old.keys() - new.keys()
    author = Manager(manager, UPDATE, after.get("apiVersion", ""), time, changed, subresource)
    managers = []
    for one in read_managers(before or {}):
        if not one.is_same(author):
            managers.append(replace(one, fields=one.fields - changed - gone))
        elif changed:
            author = replace(author, fields=(one.fields | changed) - gone)
        else:
            author = replace(one, fields=one.fields - gone)
    return write_managers([*managers, author])
