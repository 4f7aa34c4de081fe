"""`$setElementOrder`: the order of a merged list.

The patch lists the keys (or scalars) of those items that its author knows, in the order wished. Items that the
author does not know stay where they were in relation to the neighbours that had a place in the old list.
"""

from __future__ import annotations

from typing import Any

from virtual_kubelet.pure.patches.error import PatchError
from virtual_kubelet.pure.patches.json_values import same

__all__ = ["put_in_order"]


def put_in_order(
    items: list[Any], *, order: Any, before: list[Any], changes: Any, key: str, path: str
) -> list[Any]:
    """Return `items`, the merged list, in the order that a patch wishes.

    Args:
        items: the list after the merge.
        order: the directive: objects that hold only the key, or scalars.
        before: the list before the merge.
        changes: what the patch itself does to the list; must keep to `order`.
        key: the merge key, "" for a list of scalars.
        path: the field, for errors.

    Raises:
        PatchError: the directive is malformed, or `changes` contradict it.
    """
    if not isinstance(order, list) or not isinstance(changes, list):
        raise PatchError(f"{path}: a list and its $setElementOrder are lists")
    wished = [_identity(item, key) for item in order]
    _check(changes, wished, key, path)
    old = [_identity(item, key) for item in before]
    known = sorted(
        (item for item in items if _index(wished, item, key) >= 0), key=lambda item: _index(wished, item, key)
    )
    others = [item for item in items if _index(wished, item, key) < 0]
    others.sort(key=lambda item: _index(old, item, key))
    return _interleave(others, known, old, key)


def _check(changes: list[Any], wished: list[Any], key: str, path: str) -> None:
    """Each item that the patch sets must be in the wished order, and in that order."""
    last = -1
    for change in changes:
        if isinstance(change, dict) and "$patch" in change:
            continue
        position = _index(wished, change, key)
        if position < last or position < 0:
            raise PatchError(f"{path}: the order in patch list doesn't match $setElementOrder list")
        last = position


def _interleave(others: list[Any], known: list[Any], old: list[Any], key: str) -> list[Any]:
    """Merge two ordered lists: an unknown item goes first only where it stood before the known one of old."""
    merged = []
    while others and known:
        left, right = _index(old, others[0], key), _index(old, known[0], key)
        merged.append(others.pop(0) if 0 <= left < right else known.pop(0))
    return merged + others + known


def _identity(item: Any, key: str) -> Any:
    return item.get(key) if key and isinstance(item, dict) else item


def _index(identities: list[Any], item: Any, key: str) -> int:
    identity = _identity(item, key)
    for position, one in enumerate(identities):
        if same(one, identity):
            return position
    return -1
