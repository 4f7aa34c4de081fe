"""`metadata`: what the server fills in, keeps, and refuses (apimachinery `api/validation/objectmeta.go`)."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from functools import lru_cache

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names, times

__all__ = ["fill_new", "generate_name", "keep_system_fields", "validate", "validate_update"]

ANNOTATIONS_LIMIT = 256 * 1024
GENERATED_SUFFIX = 5
MAX_GENERATED_BASE = 63 - GENERATED_SUFFIX
ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # without vowels and look-alikes, as apimachinery's rand

# The same few keys come again and again, and objects are validated with each write.
_label_key = lru_cache(4096)(names.label_key)
_label_value = lru_cache(4096)(names.label_value)
_annotation_key = lru_cache(4096)(names.annotation_key)

IMMUTABLE = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
)


def generate_name(base: str, choose: random.Random) -> str:
    """Return `base` with a random suffix, for metadata.generateName."""
    return base[:MAX_GENERATED_BASE] + "".join(choose.choices(ALPHABET, k=GENERATED_SUFFIX))


def fill_new(metadata: JsonObject, now: float, choose: random.Random, *, generation: bool) -> None:
    """Fill in the system's fields of an object that is being created."""
    for field in ("selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
        metadata.pop(field, None)
    metadata["uid"] = str(uuid.UUID(int=choose.getrandbits(128), version=4))
    metadata["creationTimestamp"] = times.rfc3339(now)
    if generation:
        metadata["generation"] = 1
    _tidy(metadata)


def keep_system_fields(new: JsonObject, old: JsonObject) -> None:
    """Carry over what an update leaves out and may not change, silently as the real server."""
    new.pop("selfLink", None)
    new.setdefault("uid", old["uid"])
    new["creationTimestamp"] = old["creationTimestamp"]
    if "generation" in old:
        new["generation"] = old["generation"]
    else:
        new.pop("generation", None)
    if "deletionTimestamp" in old:
        new["deletionTimestamp"] = old["deletionTimestamp"]
    else:
        new.pop("deletionTimestamp", None)
    if "deletionGracePeriodSeconds" in old:
        new.setdefault("deletionGracePeriodSeconds", old["deletionGracePeriodSeconds"])
    _tidy(new)


def _tidy(metadata: JsonObject) -> None:
    for field in ("labels", "annotations", "finalizers", "ownerReferences", "managedFields"):
        if not metadata.get(field, True):
            del metadata[field]


def validate(
    metadata: JsonObject, *, namespaced: bool, name_rule: Callable[[str], list[str]]
) -> list[FieldError]:
    """Return what is wrong with an object's metadata."""
    found = []
    name = metadata.get("name", "")
    if not name:
        found.append(FieldError.required("metadata.name", "name or generateName is required"))
    else:
        found += [FieldError.invalid("metadata.name", name, text) for text in name_rule(name)]
        # Whatever the kind's rule says, a name is one segment of a path.
        if "/" in name or "%" in name or name in {".", ".."}:
            found.append(FieldError.invalid("metadata.name", name, "may not contain '/' or '%'"))
    namespace = metadata.get("namespace", "")
    if namespaced and namespace:
        found += [
            FieldError.invalid("metadata.namespace", namespace, text) for text in names.dns_label(namespace)
        ]
    elif namespaced:
        found.append(FieldError.required("metadata.namespace"))
    elif namespace:
        found.append(FieldError.forbidden("metadata.namespace", "not allowed on this type"))
    return found + _validate_maps(metadata) + _validate_references(metadata)


def _validate_maps(metadata: JsonObject) -> list[FieldError]:
    found = []
    for key, value in metadata.get("labels", {}).items():
        found += [FieldError.invalid("metadata.labels", key, text) for text in _label_key(key)]
        found += [FieldError.invalid("metadata.labels", value, text) for text in _label_value(value)]
    annotations = metadata.get("annotations", {})
    for key in annotations:
        found += [FieldError.invalid("metadata.annotations", key, text) for text in _annotation_key(key)]
    if sum(len(key) + len(value) for key, value in annotations.items()) > ANNOTATIONS_LIMIT:
        found.append(FieldError.too_long("metadata.annotations", ANNOTATIONS_LIMIT))
    for finalizer in metadata.get("finalizers", []):
        found += [
            FieldError.invalid("metadata.finalizers", finalizer, text) for text in names.label_key(finalizer)
        ]
    return found


def _validate_references(metadata: JsonObject) -> list[FieldError]:
    found = []
    references = metadata.get("ownerReferences", [])
    for reference in references:
        for field, complaint in (
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ):
            if not reference.get(field):
                found.append(FieldError.invalid(f"metadata.ownerReferences.{field}", "", complaint))
    controllers = [f"{r.get('kind')}/{r.get('name')}" for r in references if r.get("controller")]
    if len(controllers) > 1:
        found.append(
            FieldError.invalid(
                "metadata.ownerReferences",
                references,
                'Only one reference can have Controller set to true. Found "true" in references for '
                f"{controllers[0]} and {controllers[1]}",
            )
        )
    return found


def validate_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Return which fixed fields of the metadata an update tries to change."""
    found = []
    for field in IMMUTABLE:
        if new.get(field) != old.get(field):
            found.append(FieldError.invalid(f"metadata.{field}", new.get(field), "field is immutable"))
    if "deletionTimestamp" in old:
        added = sorted(set(new.get("finalizers", [])) - set(old.get("finalizers", [])))
        if added:
            shown = ", ".join(f'"{finalizer}"' for finalizer in added)
            found.append(
                FieldError.forbidden(
                    "metadata.finalizers",
                    "no new finalizers can be added if the object is being deleted, "
                    f"found new finalizers []string{{{shown}}}",
                )
            )
    return found
