"""What the server adds to new objects and refuses beyond validation: the admission plugins that every cluster has."""

from __future__ import annotations

from typing import Final

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Admission, Cluster
from virtual_kubelet.devapi.node_restriction import restrict_create
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.registry.metadata import ALPHABET
from virtual_kubelet.devapi.registry.pod_defaults import containers_of
from virtual_kubelet.devapi.service_addresses import service_address
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.objects import JsonObject

__all__ = ["DEFAULT_PLUGINS", "NOT_READY", "TOKEN_DIRECTORY", "UNREACHABLE"]

NOT_READY: Final = "node.kubernetes.io/not-ready"
UNREACHABLE: Final = "node.kubernetes.io/unreachable"
TOLERATION_SECONDS = 300
TOKEN_DIRECTORY: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
TOKEN_SECONDS = 3607  # as the real server asks for, so that what the cluster signed can be told apart


def namespace_lifecycle(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Refuse objects in namespaces that are not there, or ending."""
    if not kind.namespaced:
        return
    name = obj["metadata"].get("namespace", "")
    record = cluster.storage.get("namespaces", "", name)
    if record is None:
        raise failures.not_found("namespaces", name)
    if "deletionTimestamp" in record.body["metadata"]:
        raise failures.forbidden(
            f'{kind.resource} "{obj["metadata"].get("name", "")}" is forbidden: unable to create new content '
            f"in namespace {name} because it is being terminated",
            details={
                "name": obj["metadata"].get("name", ""),
                "kind": kind.plural,
                "causes": [
                    {
                        "reason": "NamespaceTerminating",
                        "message": f"namespace {name} is being terminated",
                        "field": "metadata.namespace",
                    }
                ],
            },
        )


def taint_new_nodes(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Keep pods off a new node until it is Ready (TaintNodesByCondition)."""
    if kind.resource != "nodes":
        return
    taints = obj.setdefault("spec", {}).setdefault("taints", [])
    if not any(taint.get("key") == NOT_READY for taint in taints):
        taints.append({"key": NOT_READY, "effect": "NoSchedule"})


def priority(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Give pods the default priority (Priority)."""
    if kind.resource != "pods":
        return
    spec = obj.setdefault("spec", {})
    builtin = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
    name = spec.get("priorityClassName", "")
    if name and name not in builtin:
        raise failures.forbidden(
            f'pods "{obj["metadata"].get("name", "")}" is forbidden: no PriorityClass with name {name} was found'
        )
    spec["priority"] = builtin.get(name, 0)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")


def default_tolerations(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Let pods stay five minutes on a node that is lost (DefaultTolerationSeconds)."""
    if kind.resource != "pods":
        return
    tolerations = obj.setdefault("spec", {}).setdefault("tolerations", [])
    for key in (NOT_READY, UNREACHABLE):
        if not any(_tolerates(toleration, key) for toleration in tolerations):
            tolerations.append(
                {
                    "key": key,
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": TOLERATION_SECONDS,
                }
            )


def _tolerates(toleration: JsonObject, key: str) -> bool:
    return toleration.get("key", key) in {key, ""} and toleration.get("effect", "") in {"", "NoExecute"}


def service_account(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Give pods an account and mount its token (ServiceAccount)."""
    if kind.resource != "pods" or "kubernetes.io/config.mirror" in obj["metadata"].get("annotations", {}):
        return
    spec = obj.setdefault("spec", {})
    name = spec.setdefault("serviceAccountName", "default")
    spec["serviceAccount"] = name
    namespace = obj["metadata"]["namespace"]
    record = cluster.storage.get("serviceaccounts", namespace, name)
    if record is None:
        raise failures.forbidden(
            f'pods "{obj["metadata"].get("name", "")}" is forbidden: error looking up service account '
            f'{namespace}/{name}: serviceaccount "{name}" not found'
        )
    if not spec.get("imagePullSecrets") and record.body.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(secret) for secret in record.body["imagePullSecrets"]]
    wanted = spec.get("automountServiceAccountToken", record.body.get("automountServiceAccountToken", True))
    if wanted and cluster.mount_tokens:
        _mount_token(cluster, spec)


def _mount_token(cluster: Cluster, spec: JsonObject) -> None:
    """Mount token, CA and namespace into each container that has nothing of its own in that place."""
    volumes = spec.get("volumes") or []
    name = next((v["name"] for v in volumes if v.get("name", "").startswith("kube-api-access-")), "")
    needed = False
    chosen = name or "kube-api-access-" + "".join(cluster.random.choices(ALPHABET, k=5))
    for _, container in containers_of(spec, ephemeral=False):
        mounts = container.setdefault("volumeMounts", [])
        if any(mount.get("mountPath") == TOKEN_DIRECTORY for mount in mounts):
            continue
        mounts.append({"name": chosen, "readOnly": True, "mountPath": TOKEN_DIRECTORY})
        needed = True
    if needed and not name:
        spec["volumes"] = [*volumes, {"name": chosen, "projected": _token_sources()}]


def _token_sources() -> JsonObject:
    return {
        "defaultMode": 0o644,
        "sources": [
            {"serviceAccountToken": {"expirationSeconds": TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {
                "downwardAPI": {
                    "items": [
                        {
                            "path": "namespace",
                            "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"},
                        }
                    ]
                }
            },
        ],
    }


def signing_request(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Take down who asks for a certificate."""
    if kind.plural != "certificatesigningrequests":
        return
    spec = obj.setdefault("spec", {})
    spec["username"] = options.user
    spec["groups"] = list(options.groups)
    spec.pop("uid", None)
    spec.pop("extra", None)


DEFAULT_PLUGINS: Final[tuple[Admission, ...]] = (
    namespace_lifecycle,
    restrict_create,
    service_address,
    signing_request,
    taint_new_nodes,
    priority,
    default_tolerations,
    service_account,
)
