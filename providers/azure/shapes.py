"""Parts of answers as what they should be: empty where they are missing, null, or of another type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["mapping", "mappings"]


def mapping(value: Any) -> Mapping[str, Any]:
    """Return `value` where it is an object, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects in `value` where it is an array, else none."""
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
