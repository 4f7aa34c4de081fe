"""Namespaces: what each begins with, and how one ends."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.registry.namespaces import FINALIZER
from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.verbs.create import create
from virtual_kubelet.devapi.verbs.delete import DeleteOptions, delete
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiAlreadyExists, ApiError, ApiNotFound
from virtual_kubelet.objects import JsonObject

__all__ = ["ROOT_CA", "NamespaceController", "furnish_new"]

ROOT_CA = "kube-root-ca.crt"
USER = WriteOptions(user="system:serviceaccount:kube-system:namespace-controller")


def furnish_new(cluster: Cluster, kind: Kind, obj: JsonObject) -> None:
    """Furnish a namespace before its creator goes on: its first pod needs the account."""
    if kind.resource == "namespaces":
        furnish(cluster, obj["metadata"]["name"])


def furnish(cluster: Cluster, namespace: str) -> None:
    """Make what every namespace has: the default ServiceAccount and the CA's certificate."""
    config_map = {"metadata": {"name": ROOT_CA}, "data": {"ca.crt": cluster.root_ca.decode()}}
    for plural, body in (("serviceaccounts", {"metadata": {"name": "default"}}), ("configmaps", config_map)):
        try:
            create(cluster, cluster.kind(plural), namespace, body, USER)
        except ApiAlreadyExists:
            continue


class NamespaceController:
    """Keeps the furniture of live namespaces, and empties those that end."""

    buckets: Sequence[str] = ("namespaces", "serviceaccounts", "configmaps")
    period = 1.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._unfurnished: set[str] = set()
        self._ending: set[str] = set()

    def urgent(self, change: Change) -> bool:
        """Look at once at namespaces and at lost furniture."""
        return change.bucket == "namespaces" or change.deleted

    def see(self, change: Change) -> None:
        """Take note of new and ending namespaces, and of lost furniture."""
        record = change.record
        if change.bucket == "namespaces":
            self._unfurnished.discard(record.name)
            self._ending.discard(record.name)
            if change.deleted:
                return
            if "deletionTimestamp" in record.body["metadata"]:
                self._ending.add(record.name)
            elif change.previous is None:
                self._unfurnished.add(record.name)
        elif change.deleted and record.name in {"default", ROOT_CA}:
            self._unfurnished.add(record.namespace)

    def act(self) -> None:
        """Furnish and empty."""
        unfurnished, self._unfurnished = self._unfurnished, set()
        for name in unfurnished:
            try:
                furnish(self._cluster, name)
            except ApiError:
                continue  # it is ending, or gone
        for name in sorted(self._ending):
            if self._empty(name):
                self._finalize(name)

    def _empty(self, namespace: str) -> bool:
        """Delete what is in the namespace; tell whether nothing is left."""
        left = False
        for kind in self._kinds():
            for record in self._cluster.storage.records(kind.stored, namespace)[0]:
                left = not self._delete(kind, record) or left
        return not left

    def _kinds(self) -> list[Kind]:
        return [k for k in self._cluster.kinds if k.namespaced and not k.bucket and "delete" in k.verbs]

    def _delete(self, kind: Kind, record: Record) -> bool:
        try:
            return delete(self._cluster, kind, record.namespace, record.name, DeleteOptions())[1]
        except ApiNotFound:
            return True

    def _finalize(self, name: str) -> None:
        def let_go(old: Record) -> JsonObject:
            namespace = old.copy()
            finalizers = (namespace.get("spec") or {}).get("finalizers") or []
            namespace["spec"] = {"finalizers": [each for each in finalizers if each != FINALIZER]}
            return namespace

        namespaces = self._cluster.kind("namespaces")
        finalize = namespaces.subresource("finalize")
        assert finalize is not None
        try:
            modify(self._cluster, namespaces, "", name, let_go, USER, rules=finalize.rules)
        except ApiNotFound:
            return
