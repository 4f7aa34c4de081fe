"""How lists merge, as OpenAPI says it: kubectl before 1.28 makes its patches by that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.schema.model import Form, Message, message_of
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import patches
from virtual_kubelet.pure.patches.schema import PLAIN, ListType, Schema

__all__ = ["extensions", "merge_rules"]

UNIONS = frozenset({"volumes"})
"""Lists whose items are one of several things: a client that sets one has the others removed."""


def merge_rules(kinds: Iterable[Kind]) -> Mapping[Message, Schema]:
    """Return the merge rules of each message, collected from the kinds that it is part of."""
    found: dict[Message, Schema] = {}
    for kind in kinds:
        message, schema = message_of(kind.group, kind.kind), patches.schema_of(kind.group, kind.kind)
        if message is not None and schema is not None:
            _collect(message, schema, found)
    return found


def _collect(message: Message, schema: Schema, found: dict[Message, Schema]) -> None:
    if not schema.fields or message in found:
        return
    found[message] = schema
    for name, field in message.by_json_name.items():
        below = schema.of(name)
        if field.type.message is not None:
            _collect(field.type.message, below.item if field.type.form is Form.LIST else below, found)


def extensions(name: str, schema: Schema, *, is_list: bool) -> JsonObject:
    """Return the `x-kubernetes-` fields of the property `name`."""
    said: JsonObject = {}
    if schema is PLAIN:
        return said
    if schema.merge_key:
        said["x-kubernetes-patch-merge-key"] = schema.merge_key
    if schema.merge_key or schema.merge_set:
        said["x-kubernetes-patch-strategy"] = "merge,retainKeys" if name in UNIONS else "merge"
    if is_list:
        said["x-kubernetes-list-type"] = schema.list_type.value
        if schema.list_type is ListType.MAP:
            said["x-kubernetes-list-map-keys"] = list(schema.map_keys)
    elif schema.atomic:
        said["x-kubernetes-map-type"] = "atomic"
    return said
