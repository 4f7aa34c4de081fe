"""Validation of changed pods."""

from __future__ import annotations

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.objects import JsonObject

__all__ = ["keep_all_but_resources", "validate_ephemeral", "validate_resize", "validate_update"]


def validate_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    return []


def validate_ephemeral(new: JsonObject, old: JsonObject) -> list[FieldError]:
    return []


def keep_all_but_resources(new: JsonObject, old: JsonObject) -> None:
    return


def validate_resize(new: JsonObject, old: JsonObject) -> list[FieldError]:
    return []
