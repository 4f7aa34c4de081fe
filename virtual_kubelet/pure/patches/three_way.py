"""Keeping one's own part of an object that others write too.

A controller remembers what it wished last time (`original`), knows what it wishes now (`modified`) and sees
what the server holds (`current`). What it wishes now is set; what it wished and no longer does goes; all else
belongs to others and stays. Items of keyed lists, such as a node's conditions, are taken one by one.
"""

from __future__ import annotations

import json
from typing import Any

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.schema import Schema
from virtual_kubelet.pure.patches.strategic_diff import key_values, strategic_diff

__all__ = ["three_way_merge", "three_way_patch"]


def three_way_patch(
    original: JsonObject, modified: JsonObject, current: JsonObject, schema: Schema
) -> JsonObject:
    """Return the strategic merge patch for `current` that brings it to our wish; {} when it is there.

    None of the arguments is changed.
    """
    return strategic_diff(current, three_way_merge(original, modified, current, schema), schema)


def three_way_merge(
    original: JsonObject, modified: JsonObject, current: JsonObject, schema: Schema
) -> JsonObject:
    """Return `current` with what we wish now, without what we wished before and no longer do.

    None of the arguments is changed; the result shares parts with them.
    """
    merged = {
        name: value
        for name, value in current.items()
        if original.get(name) is None or modified.get(name) is not None
    }
    for name, value in modified.items():
        if value is not None:
            merged[name] = _merge_value(original.get(name), value, current.get(name), schema.of(name))
    return merged


def _merge_value(original: Any, modified: Any, current: Any, schema: Schema) -> Any:
    if isinstance(modified, dict) and isinstance(current, dict):
        return three_way_merge(original if isinstance(original, dict) else {}, modified, current, schema)
    if isinstance(modified, list) and isinstance(current, list) and (schema.merge_key or schema.merge_set):
        return _merge_list(original if isinstance(original, list) else [], modified, current, schema)
    return modified


def _merge_list(original: list[Any], modified: list[Any], current: list[Any], schema: Schema) -> list[Any]:
    """Merge item by item, in the server's order, ours that are new last."""
    lists = (original, modified, current)
    by_key = bool(schema.merge_key) and all(
        key_values(items, schema.merge_key) is not None for items in lists
    )

    def identity(item: Any) -> Any:
        # Items that share a key (two InternalIP addresses) are told apart by all that they hold.
        return item[schema.merge_key] if by_key else json.dumps(item, sort_keys=True)

    before, wished, there = ({identity(item): item for item in items} for items in lists)
    merged = {key: item for key, item in there.items() if key in wished or key not in before}
    for key, item in wished.items():
        merged[key] = _merge_value(before.get(key), item, merged.get(key), schema.item)
    return list(merged.values())
