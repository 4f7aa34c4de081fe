"""Applying a strategic merge patch.

The patch has the object's own shape. Objects merge, null removes, and a list merges where the kind's schema
gives its items a key (or makes it a set); else it is replaced. Directives, which are members of the patch that
begin with `$`, say what that cannot:

    "$patch": "replace"                   in an object: it replaces; an item of its own: the other items replace
    "$patch": "delete"                    in an object: it goes; in an item of a list: the item with its key goes
    "$patch": "merge"                     the rule anyway
    "$retainKeys": [names]                fields of this object that are not named go
    "$deleteFromPrimitiveList/x": [...]   these go out of the set x
    "$setElementOrder/x": [...]           the order of x afterwards (see `element_order`)
"""

from __future__ import annotations

from typing import Any, Final

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.element_order import put_in_order
from virtual_kubelet.pure.patches.error import PatchError
from virtual_kubelet.pure.patches.json_values import same, without_nulls
from virtual_kubelet.pure.patches.schema import Schema

__all__ = ["DELETE_FROM", "DIRECTIVE", "ORDER", "RETAIN_KEYS", "strategic_merge"]

DIRECTIVE: Final = "$patch"
RETAIN_KEYS: Final = "$retainKeys"
DELETE_FROM: Final = "$deleteFromPrimitiveList/"
ORDER: Final = "$setElementOrder/"


def strategic_merge(document: JsonObject, patch: Any, schema: Schema) -> JsonObject:
    """Return `document` with a strategic merge patch applied.

    Neither argument is changed; the result shares with them what was not touched.

    Raises:
        PatchError: the patch is malformed or does not fit the schema.
    """
    if not isinstance(patch, dict):
        raise PatchError("a strategic merge patch is an object")
    return _merge_object(document, patch, schema, "")


def _merge_object(document: JsonObject, patch: JsonObject, schema: Schema, path: str) -> JsonObject:
    directive = patch.get(DIRECTIVE, "merge")
    if directive == "replace":
        return {
            key: without_nulls(value)
            for key, value in patch.items()
            if key != DIRECTIVE and value is not None
        }
    if directive == "delete":
        return {}
    if directive != "merge":
        raise PatchError(f"{path or 'the patch'}: unknown patch type found: {directive}")
    merged = _retained(document, patch, path) if RETAIN_KEYS in patch else dict(document)
    for key, value in patch.items():
        if key in (DIRECTIVE, RETAIN_KEYS) or key.startswith(ORDER):
            continue
        if key.startswith(DELETE_FROM):
            _delete_from(merged, key[len(DELETE_FROM) :], value, f"{path}.{key}")
        elif value is None:
            merged.pop(key, None)
        else:
            merged[key] = _merge_value(merged.get(key), value, schema.of(key), f"{path}.{key}")
    for key, order in patch.items():
        if key.startswith(ORDER):
            _order(merged, document, patch, key, order, schema, path)
    return merged


def _merge_value(value: Any, change: Any, schema: Schema, path: str) -> Any:
    if isinstance(change, dict):
        return _merge_object(value if isinstance(value, dict) else {}, change, schema, path)
    if isinstance(change, list):
        return (
            _merge_list(value, change, schema, path)
            if isinstance(value, list)
            else _new_list(change, schema, path)
        )
    return change


def _merge_list(items: list[Any], changes: list[Any], schema: Schema, path: str) -> list[Any]:
    if schema.merge_set:
        return _unique([*items, *changes])
    if not schema.merge_key:
        return changes
    key = schema.merge_key
    merged, changes = _obey_directives(items, changes, key, path)
    for change in changes:
        position = _find(merged, key, _key_of(change, key, path))
        if position is None:
            merged.append(_merge_object({}, change, schema.item, path))
        else:
            merged[position] = _merge_object(merged[position], change, schema.item, path)
    return merged


def _new_list(changes: list[Any], schema: Schema, path: str) -> list[Any]:
    """Take the items as they are, where there is nothing yet to merge them with."""
    if not schema.merge_key:
        return changes
    kept = (change for change in changes if not _is_directive(change))
    return [_merge_object({}, item, schema.item, path) if isinstance(item, dict) else item for item in kept]


def _obey_directives(
    items: list[Any], changes: list[Any], key: str, path: str
) -> tuple[list[Any], list[Any]]:
    """Carry out the items that are directives; return what is left of the list and of the changes."""
    if any(_is_directive(change, "replace") for change in changes):
        # Taken as they are: so two items can share a key, as a node's two InternalIP addresses do.
        return [change for change in changes if not _is_directive(change)], []
    left = list(items)
    for change in changes:
        if _is_directive(change, "delete"):
            gone = _key_of(change, key, path)
            left = [item for item in left if not (isinstance(item, dict) and same(item.get(key), gone))]
    return left, [change for change in changes if not _is_directive(change, "delete")]


def _is_directive(change: Any, *which: str) -> bool:
    return isinstance(change, dict) and change.get(DIRECTIVE) in (which or ("replace", "delete"))


def _retained(document: JsonObject, patch: JsonObject, path: str) -> JsonObject:
    names = patch[RETAIN_KEYS]
    if not isinstance(names, list):
        raise PatchError(f"{path}: {RETAIN_KEYS} is a list of field names")
    for name, value in patch.items():
        if not name.startswith("$") and value is not None and name not in names:
            raise PatchError(f"{path}: {name} is set but not among its {RETAIN_KEYS}")
    return {name: value for name, value in document.items() if name in names}


def _delete_from(merged: JsonObject, name: str, gone: Any, path: str) -> None:
    items = merged.get(name)
    if not isinstance(gone, list):
        raise PatchError(f"{path}: must be a list")
    if isinstance(items, list):
        merged[name] = [item for item in items if not any(same(item, one) for one in gone)]


def _order(
    merged: JsonObject,
    document: JsonObject,
    patch: JsonObject,
    directive: str,
    order: Any,
    schema: Schema,
    path: str,
) -> None:
    name = directive[len(ORDER) :]
    items = merged.get(name)
    if not isinstance(items, list):
        return
    before = document.get(name)
    merged[name] = put_in_order(
        items,
        order=order,
        before=before if isinstance(before, list) else [],
        changes=patch.get(name) or [],
        key=schema.of(name).merge_key,
        path=f"{path}.{name}",
    )


def _key_of(item: Any, key: str, path: str) -> Any:
    if not isinstance(item, dict) or item.get(key) is None:
        raise PatchError(f"{path}: an item does not contain declared merge key: {key}")
    return item[key]


def _find(items: list[Any], key: str, value: Any) -> int | None:
    for position, item in enumerate(items):
        if isinstance(item, dict) and same(item.get(key), value):
            return position
    return None


def _unique(items: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in items:
        if not any(same(item, one) for one in kept):
            kept.append(item)
    return kept
