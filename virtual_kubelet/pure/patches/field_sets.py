"""Sets of fields, as `metadata.managedFields` records who owns what (`fieldsV1`).

A field is named by the steps from the object's root down to it:

    f:spec                   a member of an object
    k:{"name":"web"}         the item of a list with these keys
    v:"example.com/x"        the item of a set

Owned are leaves: scalars, empty and atomic objects and lists, and besides them each keyed item as such.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.error import PatchError
from virtual_kubelet.pure.patches.schema import ListType, Schema

__all__ = ["FieldPath", "FieldSet", "fields_v1", "item_step", "leaves", "read_fields_v1", "shown"]

FieldPath: TypeAlias = tuple[str, ...]
FieldSet: TypeAlias = frozenset[FieldPath]

_SYSTEM: Final = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [
        ("f:metadata", f"f:{name}")
        for name in (
            *("creationTimestamp", "generation", "managedFields", "name", "namespace"),
            *("resourceVersion", "selfLink", "uid"),
        )
    ]
)
"""What the API server itself looks after: nobody owns these."""


def leaves(document: JsonObject, schema: Schema) -> dict[FieldPath, Any]:
    """Return the owned fields of an object with their values; a keyed item itself has the value True.

    Raises:
        PatchError: an item of a keyed list lacks a key.
    """
    return {path: value for path, value in _walk(document, schema, ()) if path[:2] not in _SYSTEM}


def item_step(item: Any, schema: Schema, path: FieldPath) -> str:
    """Return the step to an item of a list that is a map or a set.

    Raises:
        PatchError: the item lacks a key.
    """
    if schema.list_type is ListType.SET:
        return f"v:{_compact(item)}"
    keys: JsonObject = {}
    for key in schema.map_keys:
        value = item.get(key) if isinstance(item, dict) else None
        if value is None:
            value = schema.key_defaults.get(key)
        if value is None:
            raise PatchError(
                f'{shown(path)}: element of an associative list with keys omits key field "{key}" '
                "(and doesn't have default value)"
            )
        keys[key] = value
    return f"k:{_compact(keys)}"


def fields_v1(paths: Iterable[FieldPath]) -> JsonObject:
    """Return the JSON form of a set of fields (`FieldsV1`)."""
    root: JsonObject = {}
    for path in sorted(paths):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return _without_lone_dots(root)


def read_fields_v1(fields: JsonObject) -> FieldSet:
    """Return the set of fields of the JSON form."""
    return frozenset(_members(fields, ()))


def shown(path: FieldPath) -> str:
    """Return a field as messages name it: `.spec.containers[name="web"].image`."""
    return "".join(_shown_step(step) for step in path) or "."


def _walk(value: Any, schema: Schema, path: FieldPath) -> Iterator[tuple[FieldPath, Any]]:
    if isinstance(value, dict) and value and not schema.atomic:
        for name, member in value.items():
            yield from _walk(member, schema.of(name), (*path, f"f:{name}"))
    elif isinstance(value, list) and value and schema.list_type is not ListType.ATOMIC:
        for item in value:
            step = (*path, item_step(item, schema, path))
            yield step, True
            if schema.list_type is ListType.MAP:
                yield from _walk(item, schema.item, step)
    else:
        yield path, value


def _members(node: JsonObject, path: FieldPath) -> Iterator[FieldPath]:
    if path and (not node or "." in node):
        yield path
    for step, child in node.items():
        if step != ".":
            yield from _members(child, (*path, step))


def _without_lone_dots(node: JsonObject) -> JsonObject:
    """A leaf is written as {}; the dot is for fields that have others below them."""
    if node.keys() == {"."}:
        return {}
    return {step: _without_lone_dots(child) if step != "." else {} for step, child in node.items()}


def _shown_step(step: str) -> str:
    kind, _, rest = step.partition(":")
    if kind == "k":
        return f"[{','.join(f'{key}={_compact(value)}' for key, value in json.loads(rest).items())}]"
    return f"[={rest}]" if kind == "v" else f".{rest}"


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
