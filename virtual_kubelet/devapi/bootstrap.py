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


def publish(cluster: Cluster, address: str, port: int, client_cas: bytes) -> None:
    """Say where the API server is, and by whom the certificates of callers are signed (PEM).

    The Service `kubernetes`, from which pods get variables, has the real address, since nothing here routes to
    virtual ones. The CAs, the one of this server's own calls to kubelets among them, are where nodes look for them.
    """
    spec: JsonObject = {
        "clusterIP": address,
        "clusterIPs": [address],
        "ports": [{"name": "https", "port": port, "protocol": "TCP", "targetPort": port}],
    }
    labels = {"component": "apiserver", "provider": "kubernetes"}
    _put(cluster, "services", "default", {"name": "kubernetes", "labels": labels}, {"spec": spec})
    data = {"client-ca-file": client_cas.decode()}
    _put(cluster, "configmaps", "kube-system", {"name": "extension-apiserver-authentication"}, {"data": data})


def _put(
    cluster: Cluster, plural: str, namespace: str, metadata: JsonObject, content: dict[str, JsonObject]
) -> None:
    """Create an object, or give the one that is there this content."""
    kind, name = cluster.kind(plural), metadata["name"]
    if cluster.storage.get(kind.stored, namespace, name) is None:
        create(cluster, kind, namespace, {"metadata": metadata, **content}, WRITER)
        return

    def renewed(old: Record) -> JsonObject:
        body = old.copy()
        for section, fields in content.items():
            body[section] = {**body.get(section, {}), **fields}
        return body

    modify(cluster, kind, namespace, name, renewed, WRITER, rules=UpdateRules())
