"""Namespaces: a delete only begins their end; they go when they are empty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from virtual_kubelet.devapi.registry.strategy import Field, Strategy, UpdateRules
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["FinalizeRules", "NamespaceStrategy"]

FINALIZER = "kubernetes"
NAME_LABEL = "kubernetes.io/metadata.name"


class NamespaceStrategy(Strategy):
    """The main resource."""

    has_status = True
    returns_deleted = True
    name_rule = staticmethod(names.dns_label)
    fields: ClassVar[Mapping[str, Field]] = {
        **Strategy.fields,
        "status.phase": lambda namespace: str(namespace.get("status", {}).get("phase", "")),
    }

    def default(self, obj: JsonObject) -> None:
        """Label it with its name, so that label selectors can choose it."""
        meta = obj["metadata"]
        if meta.get("name"):
            meta["labels"] = {**(meta.get("labels") or {}), NAME_LABEL: meta["name"]}

    def prepare_create(self, obj: JsonObject) -> None:
        """Begin as active, held by the finalizer of the namespace controller."""
        obj["status"] = {"phase": "Active"}
        finalizers = (obj.get("spec") or {}).get("finalizers") or []
        if FINALIZER not in finalizers:
            finalizers = [*finalizers, FINALIZER]
        obj["spec"] = {"finalizers": finalizers}

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Keep finalizers and status, which have subresources of their own."""
        new["spec"] = old["spec"]
        new["status"] = old["status"]

    def begin_delete(self, obj: JsonObject) -> None:
        """Say that it is ending."""
        obj["status"] = {**obj.get("status", {}), "phase": "Terminating"}
        # The controller, not a grace period, decides when it goes.
        obj["metadata"].pop("deletionGracePeriodSeconds", None)

    def may_go(self, obj: JsonObject) -> bool:
        """Tell whether the controller has let go."""
        return not obj.get("spec", {}).get("finalizers")


class FinalizeRules(UpdateRules):
    """namespaces/finalize: the list of `spec.finalizers`, nothing else."""

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back all but the finalizers."""
        new["status"] = old.get("status", {})
        finalizers = (new.get("spec") or {}).get("finalizers") or []
        new["spec"] = {"finalizers": finalizers} if finalizers else {}
