"""What every cluster begins with: namespaces, roles, and the Service by which pods find the API server."""

from __future__ import annotations

from virtual_kubelet import codec
from virtual_kubelet.devapi.access import rbac
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.strategy import UpdateRules
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.create import create
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.objects import JsonObject

__all__ = ["bootstrap", "publish"]

NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
WRITER = WriteOptions(user="system:apiserver")


def bootstrap(cluster: Cluster) -> None:
    """Fill an empty storage."""
    for name in NAMESPACES:
        create(cluster, cluster.kind("namespaces"), "", {"metadata": {"name": name}}, WRITER)
    for plural, body in rbac.DEFAULTS:
        create(cluster, cluster.kind(plural, rbac.GROUP), "", codec.copy(body), WRITER)


def publish(cluster: Cluster, address: str, port: int) -> None:
    """Say where the API server is, in the Service `kubernetes`, from which pods get variables.

    Its address is the real one, since nothing here routes to virtual addresses.
    """
    services = cluster.kind("services")
    spec: JsonObject = {
        "clusterIP": address,
        "clusterIPs": [address],
        "ports": [{"name": "https", "port": port, "protocol": "TCP", "targetPort": port}],
    }
    if cluster.storage.get(services.stored, "default", "kubernetes") is None:
        labels = {"component": "apiserver", "provider": "kubernetes"}
        body = {"metadata": {"name": "kubernetes", "labels": labels}, "spec": spec}
        create(cluster, services, "default", body, WRITER)
        return

    def moved(old: Record) -> JsonObject:
        service = old.copy()
        service["spec"].update(spec)
        return service

    modify(cluster, services, "default", "kubernetes", moved, WRITER, rules=UpdateRules())
