"""Validation of new pods."""

from __future__ import annotations

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.objects import JsonObject

__all__ = ["validate_pod"]


def validate_pod(pod: JsonObject) -> list[FieldError]:
    """Return what is wrong with a new pod."""
    if not pod.get("spec", {}).get("containers"):
        return [FieldError.required("spec.containers")]
    return []
