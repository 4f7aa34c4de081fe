"""Server-side apply: a manager says all that it wishes of an object, and owns that and no more.

What it wishes is merged into the object; what it applied before and no longer does is removed, unless another
manager owns it too. To wish another value for a field that another manager owns is a conflict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.error import PatchError
from virtual_kubelet.pure.patches.field_sets import FieldPath, FieldSet, item_step, leaves, shown
from virtual_kubelet.pure.patches.json_values import same
from virtual_kubelet.pure.patches.managed_fields import APPLY, Manager, read_managers, write_managers
from virtual_kubelet.pure.patches.schema import ListType, Schema

__all__ = ["ApplyConflict", "Conflict", "server_side_apply"]


@dataclass(frozen=True)
class Conflict:
    """A field that another manager owns with another value."""

    manager: str
    """As messages name it, for example `"kubectl-edit" using v1`."""

    field: str
    """For example `.spec.containers[name="web"].image`."""


class ApplyConflict(PatchError):
    """Other managers own fields that were applied with other values, and `force` was not said; 409."""

    def __init__(self, conflicts: list[Conflict]) -> None:
        by_manager: dict[str, list[str]] = {}
        for conflict in conflicts:
            by_manager.setdefault(conflict.manager, []).append(conflict.field)
        parts = []
        for manager, fields in by_manager.items():
            if len(fields) == 1:
                parts.append(f"conflict with {manager}: {fields[0]}")
            else:
                parts.append("\n- ".join([f"conflicts with {manager}:", *fields]))
        count = f"{len(conflicts)} conflict{'s' if len(conflicts) > 1 else ''}"
        super().__init__(f"Apply failed with {count}: " + "\n".join(parts))
        self.conflicts = tuple(conflicts)


def server_side_apply(
    live: JsonObject | None,
    applied: JsonObject,
    schema: Schema,
    *,
    manager: str,
    time: str,
    force: bool = False,
    subresource: str = "",
) -> JsonObject:
    """Return the object after `manager` has applied its configuration, with new `metadata.managedFields`.

    Neither argument is changed; the result shares parts with them. When nothing changes, it equals `live`.

    Args:
        live: the object as it is, with its managedFields; None: it is not there yet.
        applied: all that the manager wishes. Null means: not wished.
        schema: the merge rules of the kind.
        manager: who applies.
        time: when, as `metav1.Time`.
        force: take conflicting fields over.
        subresource: through which, for example `status`.

    Raises:
        ApplyConflict: see there.
        PatchError: `applied` is not an object, has managedFields, or an item lacks a key.
    """
    if not isinstance(applied, dict):
        raise PatchError("an apply configuration is an object")
    if (applied.get("metadata") or {}).get("managedFields"):
        raise PatchError("metadata.managedFields must be nil")
    applied = _without_nulls(applied)
    wished = leaves(applied, schema)
    mine = Manager(manager, APPLY, applied.get("apiVersion", ""), time, frozenset(wished), subresource)
    known = read_managers(live or {})
    before = next((one for one in known if one.is_same(mine)), None)
    others = _without_taken(
        [one for one in known if not one.is_same(mine)], live, wished, schema, force=force
    )
    merged: JsonObject = applied if live is None else _merge(live, applied, schema, ())
    if before is not None:
        kept = mine.fields.union(*(one.fields for one in others))
        merged = _without(merged, before.fields - mine.fields, kept, schema)
        if before.fields == mine.fields and live is not None and same(_bare(live), _bare(merged)):
            mine = replace(mine, time=before.time)
    metadata = {**merged.get("metadata", {}), "managedFields": write_managers([*others, mine])}
    return {**merged, "metadata": metadata}


def _bare(document: JsonObject) -> JsonObject:
    metadata = {key: value for key, value in document.get("metadata", {}).items() if key != "managedFields"}
    return {**document, "metadata": metadata}


def _without_taken(
    others: list[Manager],
    live: JsonObject | None,
    wished: dict[FieldPath, Any],
    schema: Schema,
    *,
    force: bool,
) -> list[Manager]:
    """Return the other managers without the fields that are taken over from them."""
    there = leaves(live, schema) if live is not None else {}
    changed = frozenset(
        path for path, value in wished.items() if path in there and not same(there[path], value)
    )
    conflicts = [
        Conflict(f'"{other.name}" using {other.api_version}', shown(path))
        for other in others
        for path in sorted(other.fields & changed)
    ]
    if conflicts and not force:
        raise ApplyConflict(conflicts)
    return [replace(other, fields=other.fields - changed) for other in others]


# ---------------------------------------------------------------------------------------------------------
# Merging by the schema's list types


def _merge(live: Any, applied: Any, schema: Schema, path: FieldPath) -> Any:
    if isinstance(live, dict) and isinstance(applied, dict) and not schema.atomic:
        merged = dict(live)
        for name, value in applied.items():
            merged[name] = _merge(live.get(name), value, schema.of(name), (*path, f"f:{name}"))
        return merged
    if isinstance(live, list) and isinstance(applied, list) and schema.list_type is not ListType.ATOMIC:
        return _merge_items(live, applied, schema, path)
    return applied


def _merge_items(live: list[Any], applied: list[Any], schema: Schema, path: FieldPath) -> list[Any]:
    """Merge item by item, in an order that holds both for those applied and for those of others."""
    there = {item_step(item, schema, path): item for item in live}
    wished = {item_step(item, schema, path): item for item in applied}
    return [
        _merge(there.get(step), wished[step], schema.item, (*path, step)) if step in wished else there[step]
        for step in _in_order(list(there), list(wished))
    ]


def _in_order(there: list[str], wished: list[str]) -> list[str]:
    """Walk the old list; where it comes to an item that is wished, all that is wished before that goes first."""
    ordered: list[str] = []
    waiting = list(wished)
    for step in there:
        if step not in wished:
            ordered.append(step)
        while step in waiting:
            ordered.append(waiting.pop(0))
    return ordered + waiting


# ---------------------------------------------------------------------------------------------------------
# Removing what is no longer applied


def _without(document: JsonObject, gone: FieldSet, kept: FieldSet, schema: Schema) -> JsonObject:
    """Remove those of `gone` that nobody keeps, nor anything below them."""
    needed = {path[:depth] for path in kept for depth in range(1, len(path) + 1)}
    doomed = gone - needed
    if not doomed:
        return document
    pruned: JsonObject = _Pruning(doomed, needed).prune(document, schema, ())
    return pruned


class _Pruning:
    """Takes fields out of an object, and the objects and lists that are empty without them."""

    def __init__(self, doomed: FieldSet, needed: set[FieldPath]) -> None:
        self._doomed = doomed
        self._on_the_way = {path[:depth] for path in doomed for depth in range(len(path))}
        self._needed = needed | {()}

    def prune(self, value: Any, schema: Schema, path: FieldPath) -> Any:
        """Return `value`, which is at `path`, without the doomed; None: nothing is left of it."""
        if path not in self._on_the_way:
            return value
        if isinstance(value, dict):
            members = ((name, (*path, f"f:{name}"), item) for name, item in value.items())
            left = {
                name: pruned
                for name, step, item in members
                if step not in self._doomed
                and (pruned := self.prune(item, schema.of(name), step)) is not None
            }
            return left if left or path in self._needed else None
        if not isinstance(value, list) or schema.list_type is ListType.ATOMIC:
            return value
        steps = [((*path, item_step(item, schema, path)), item) for item in value]
        items = [self.prune(item, schema.item, step) for step, item in steps if step not in self._doomed]
        return items if items or path in self._needed else None


def _without_nulls(value: Any) -> Any:
    """Return `value` without null members; null says that something is not wished."""
    if isinstance(value, dict):
        return {name: _without_nulls(item) for name, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value
