"""What a kind adds to creation, update and deletion; the plain case, which most kinds override in part.

The order is the real server's: decoded and defaulted, prepared (what a client may not set is taken from the old
object or dropped), validated, committed. `prepare_*` changes the new object in place; `validate_*` changes
nothing. The old object is always read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["Field", "StatusRules", "Strategy", "UpdateRules"]

Field = Callable[[JsonObject], str]
"""How a field selector reads a field of an object; "" where it is absent."""


def metadata_name(obj: JsonObject) -> str:
    """Return `metadata.name`."""
    name: str = obj["metadata"]["name"]
    return name


def metadata_namespace(obj: JsonObject) -> str:
    """Return `metadata.namespace`."""
    namespace: str = obj["metadata"].get("namespace", "")
    return namespace


class UpdateRules:
    """How one aspect of an object (the whole, its status, ...) may be changed."""

    restored: tuple[str, ...] = ()
    """What `prepare_update` takes from the old object in any case, so that nobody need look at it before."""

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back what this aspect may not change."""

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Return what is wrong with the change."""
        return []


class Strategy(UpdateRules):
    """The rules of a kind that has none of its own."""

    create_on_update = False
    """Whether PUT makes an object that is not there."""
    unconditional_update = True
    """Whether PUT without a resourceVersion is allowed."""
    has_generation = False
    """Whether `metadata.generation` counts changes of the spec."""
    returns_deleted = False
    """Whether DELETE answers with the object rather than with a Status."""
    has_status = False
    """Whether the status belongs to a subresource, out of reach of the main resource's writers."""
    name_rule: Callable[[str], list[str]] = staticmethod(names.dns_subdomain)
    fields: ClassVar[Mapping[str, Field]] = {
        "metadata.name": metadata_name,
        "metadata.namespace": metadata_namespace,
    }
    """What field selectors may name."""

    def default(self, obj: JsonObject) -> None:
        """Fill in the defaults, which decoding does on the real server: in requests and after patches."""

    def prepare_create(self, obj: JsonObject) -> None:
        """Drop what a client may not set."""
        if self.has_status:
            obj.pop("status", None)

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Return what is wrong with a new object."""
        return []

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Keep the status, and count changes of the spec."""
        if self.has_status:
            _keep(new, old, "status")
        if self.has_generation and new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1

    def grace_period(self, obj: JsonObject, requested: int | None) -> int | None:
        """Return the seconds between a delete and the end; None: the kind goes at once."""
        return None

    def begin_delete(self, obj: JsonObject) -> None:
        """Change what else a first delete changes, where it does not end the object at once."""

    def may_go(self, obj: JsonObject) -> bool:
        """Tell whether a deleted object without finalizers may vanish; namespaces have a second list of them."""
        return True


class StatusRules(UpdateRules):
    """PUT and PATCH of a status: everything but status and plain metadata stays."""

    restored = ("spec",)

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back the spec."""
        _keep(new, old, "spec")


def _keep(new: JsonObject, old: JsonObject, field: str) -> None:
    if field in old:
        new[field] = old[field]
    else:
        new.pop(field, None)
