"""What all kinds of patches need to know of JSON values."""

from __future__ import annotations

from typing import Any

__all__ = ["same", "without_nulls"]


def same(left: Any, right: Any) -> bool:
    """Tell whether two JSON values are equal; unlike `==`, true is not 1 and false is not 0."""
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(value, right[key]) for key, value in left.items())
        )
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(same(one, other) for one, other in zip(left, right))  # noqa: B905  # the lengths are equal
        )
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def without_nulls(value: Any) -> Any:
    """Return `value` without the members that are null, at any depth of objects.

    In a patch null means "not there"; what stands below an array is a value and stays.
    """
    if not isinstance(value, dict):
        return value
    return {key: without_nulls(item) for key, item in value.items() if item is not None}
