"""JSON merge patch (RFC 7386): objects merge, null removes, everything else replaces."""

from __future__ import annotations

from typing import Any

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.json_values import same, without_nulls

__all__ = ["merge_diff", "merge_patch"]


def merge_patch(document: Any, patch: Any) -> Any:
    """Return `document` with a JSON merge patch applied.

    Neither argument is changed; the result shares with them what was not touched.
    """
    if not isinstance(patch, dict):
        return patch
    merged = dict(document) if isinstance(document, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            merged[key] = merge_patch(merged.get(key), value)
        else:
            merged[key] = value
    return merged


def merge_diff(original: JsonObject, modified: JsonObject) -> JsonObject:
    """Return the smallest JSON merge patch that makes `modified` of `original`; {} when they are the same.

    A member that is null in `modified` counts as not there: a merge patch cannot say otherwise.
    """
    patch: JsonObject = {
        key: None for key, value in original.items() if value is not None and modified.get(key) is None
    }
    for key, value in modified.items():
        before = original.get(key)
        if value is None or (before is not None and same(before, value)):
            continue
        if isinstance(value, dict) and isinstance(before, dict):
            change = merge_diff(before, value)
            if change:
                patch[key] = change
        else:
            patch[key] = without_nulls(value)
    return patch
