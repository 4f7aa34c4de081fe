"""How the fields of Kubernetes objects merge.

Two mechanisms of the API describe the same fields, and not always alike (podIPs merge by ip in both, hostIPs
only in the first):

- *strategic merge patch* (`patchStrategy`, `patchMergeKey` in the API's types): a list merges by one key of its
  items, or as a set of scalars; any other list is replaced.
- *server-side apply* (`listType`, `listMapKey`, `mapType`): a list is a map by one key or several, a set, or
  atomic; an object can be atomic too.

A `Schema` says both for one field. Fields that no schema names are objects that merge, and lists that do not.
The table of kinds is in `kinds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

__all__ = ["ATOMIC", "PLAIN", "SET", "ListType", "Schema", "keyed", "struct"]


class ListType(Enum):
    """How server-side apply takes a list."""

    ATOMIC = "atomic"
    SET = "set"
    MAP = "map"


@dataclass(frozen=True)
class Schema:
    """How one field merges, and what is below it."""

    fields: Mapping[str, Schema] = field(default_factory=dict)
    """Of an object: its fields that are worth a word."""

    element: Schema | None = None
    """Of a list: its items."""

    merge_key: str = ""
    """Strategic merge: the key of the list's items; "" where the list has none."""

    merge_set: bool = False
    """Strategic merge: the list is a set of scalars."""

    list_type: ListType = ListType.ATOMIC
    map_keys: tuple[str, ...] = ()
    """Server-side apply: the keys that together tell the list's items apart."""

    key_defaults: Mapping[str, str] = field(default_factory=dict)
    """Server-side apply: what a missing one of `map_keys` stands for."""

    atomic: bool = False
    """Server-side apply: an object taken whole."""

    def of(self, name: str) -> Schema:
        """Return the schema of a field of this object."""
        return self.fields.get(name, PLAIN)

    @property
    def item(self) -> Schema:
        """The schema of this list's items."""
        return self.element or PLAIN


PLAIN: Final = Schema()
"""Nothing special: an object merges field by field, a list is replaced."""

ATOMIC: Final = Schema(atomic=True)
"""An object that server-side apply takes whole, such as a label selector."""

SET: Final = Schema(merge_set=True, list_type=ListType.SET)
"""A list of scalars without order or repetition, such as finalizers."""


def struct(**fields: Schema) -> Schema:
    """Return the schema of an object with these fields."""
    return Schema(fields=fields)


def keyed(
    merge_key: str, element: Schema = PLAIN, *, map_keys: tuple[str, ...] | None = None, **defaults: str
) -> Schema:
    """Return the schema of a list whose items are told apart by a key.

    Args:
        merge_key: the key in a strategic merge; "" where the list is replaced.
        element: the items.
        map_keys: the keys in server-side apply where they are others; () where the list is atomic.
        defaults: what a missing one of `map_keys` stands for.
    """
    keys = (merge_key,) if map_keys is None else map_keys
    return Schema(
        element=element,
        merge_key=merge_key,
        list_type=ListType.MAP if keys else ListType.ATOMIC,
        map_keys=keys,
        key_defaults=defaults,
    )
