"""Making a strategic merge patch from two versions of an object."""

from __future__ import annotations

from typing import Any

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.json_values import same, without_nulls
from virtual_kubelet.pure.patches.schema import Schema
from virtual_kubelet.pure.patches.strategic import DELETE_FROM, DIRECTIVE, ORDER

__all__ = ["key_values", "strategic_diff"]


def strategic_diff(original: JsonObject, modified: JsonObject, schema: Schema) -> JsonObject:
    """Return the strategic merge patch that makes `modified` of `original`; {} when they are the same.

    A member that is null in `modified` counts as not there. A list whose items cannot be told apart by their
    merge key (a node's two InternalIP addresses) is replaced as a whole: merging would lose one of them.
    """
    patch: JsonObject = {
        name: None for name, value in original.items() if value is not None and modified.get(name) is None
    }
    for name, value in modified.items():
        before = original.get(name)
        if value is None or (before is not None and same(before, value)):
            continue
        if isinstance(before, dict) and isinstance(value, dict):
            change = strategic_diff(before, value, schema.of(name))
            if change:
                patch[name] = change
        elif isinstance(before, list) and isinstance(value, list):
            patch.update(_diff_list(name, before, value, schema.of(name)))
        else:
            patch[name] = without_nulls(value)
    return patch


def key_values(items: list[Any], key: str) -> list[Any] | None:
    """Return each item's merge key; None when a key is missing or two items share one."""
    values = [item.get(key) if isinstance(item, dict) else None for item in items]
    if not all(isinstance(value, (str, int)) for value in values) or len(set(values)) < len(values):
        return None
    return values


def _diff_list(name: str, before: list[Any], after: list[Any], schema: Schema) -> JsonObject:
    if schema.merge_set:
        return _diff_set(name, before, after)
    if not schema.merge_key:
        return {name: after}
    old, new = key_values(before, schema.merge_key), key_values(after, schema.merge_key)
    if old is None or new is None:
        return {name: [{DIRECTIVE: "replace"}, *(without_nulls(item) for item in after)]}
    return _diff_keyed(name, dict(zip(old, before)), dict(zip(new, after)), schema)  # noqa: B905  # one key an item


def _diff_keyed(name: str, before: dict[Any, Any], after: dict[Any, Any], schema: Schema) -> JsonObject:
    changes: list[Any] = []
    for key, item in after.items():
        if key not in before:
            changes.append(without_nulls(item))
        elif change := strategic_diff(before[key], item, schema.item):
            changes.append({schema.merge_key: key, **change})
    gone = [key for key in before if key not in after]
    changes += [{DIRECTIVE: "delete", schema.merge_key: key} for key in gone]
    patch: JsonObject = {name: changes} if changes else {}
    without_directive = [key for key in before if key in after] + [key for key in after if key not in before]
    if without_directive != list(after):
        patch[f"{ORDER}{name}"] = [{schema.merge_key: key} for key in after]
    return patch


def _diff_set(name: str, before: list[Any], after: list[Any]) -> JsonObject:
    added = [item for item in after if not _has(before, item)]
    gone = [item for item in before if not _has(after, item)]
    patch: JsonObject = {}
    if added:
        patch[name] = added
    if gone:
        patch[f"{DELETE_FROM}{name}"] = gone
    if [item for item in before if _has(after, item)] + added != after:
        patch[f"{ORDER}{name}"] = after
    return patch


def _has(items: list[Any], item: Any) -> bool:
    return any(same(item, one) for one in items)
