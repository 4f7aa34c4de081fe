"""NodeRestriction: the admission plugin that keeps a node's identity to its own objects.

The authorizer says which objects a node may touch at all; this says what it may write into them.
"""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.access.node_authorizer import node_name
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.identity import User
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import JsonObject

__all__ = ["restrict_create", "restrict_token", "restrict_update"]

MIRROR = "kubernetes.io/config.mirror"
OWN_LABELS = frozenset(
    {
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/instance-type",
        "beta.kubernetes.io/os",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "kubernetes.io/arch",
        "kubernetes.io/hostname",
        "kubernetes.io/os",
        "node.kubernetes.io/instance-type",
        "node.kubernetes.io/windows-build",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
OWN_PREFIXES = ("kubelet.kubernetes.io", "node.kubernetes.io")
RESERVED = ("kubernetes.io", "k8s.io")


def restrict_create(cluster: Cluster, kind: Kind, obj: JsonObject, options: WriteOptions) -> None:  # noqa: ARG001 - the signature of plugins
    """Check what a node creates."""
    node = node_name(User(options.user, options.groups))
    if not node:
        return
    name = obj["metadata"].get("name", "")
    if kind.resource == "nodes":
        if name != node:
            raise _forbidden(kind, name, f'node "{node}" is not allowed to modify node "{name}"')
        _check_labels(kind, name, node, obj["metadata"].get("labels") or {}, {})
    elif kind.resource == "pods":
        spec = obj.get("spec") or {}
        if MIRROR not in (obj["metadata"].get("annotations") or {}):
            raise _forbidden(
                kind,
                name,
                f'pod does not have "{MIRROR}" annotation, node "{node}" can only create mirror pods',
            )
        if spec.get("nodeName") != node:
            raise _forbidden(
                kind, name, f'node "{node}" can only create pods with spec.nodeName set to itself'
            )
    elif kind.plural == "leases" and name != node:
        raise _forbidden(kind, name, "can only access node lease with the same name as the requesting node")


def restrict_update(
    cluster: Cluster,  # noqa: ARG001 - the signature of plugins
    kind: Kind,
    new: JsonObject,
    old: JsonObject,
    options: WriteOptions,
) -> None:
    """Check what a node changes."""
    node = node_name(User(options.user, options.groups))
    if not node:
        return
    name = old["metadata"]["name"]
    if kind.resource == "nodes":
        if name != node:
            raise _forbidden(kind, name, f'node "{node}" is not allowed to modify node "{name}"')
        if (new.get("spec") or {}).get("taints") != (old.get("spec") or {}).get("taints"):
            raise _forbidden(kind, name, f'node "{node}" is not allowed to modify taints')
        _check_labels(
            kind, name, node, new["metadata"].get("labels") or {}, old["metadata"].get("labels") or {}
        )
    elif kind.resource == "pods":
        if old["spec"].get("nodeName") != node:
            own = "pods with spec.nodeName set to itself"
            raise _forbidden(kind, name, f'node "{node}" can only update pod status for {own}')
        if new["metadata"].get("labels") != old["metadata"].get("labels"):
            raise _forbidden(kind, name, f'node "{node}" cannot update labels through pod status')


def _check_labels(kind: Kind, name: str, node: str, new: JsonObject, old: JsonObject) -> None:
    changed = {key for key in new.keys() | old.keys() if new.get(key) != old.get(key)}
    forbidden = sorted(key for key in changed if not _is_own(key))
    if forbidden:
        raise _forbidden(
            kind, name, f'is not allowed to modify labels: {", ".join(forbidden)} (node "{node}")'
        )


def _is_own(label: str) -> bool:
    prefix = label.rpartition("/")[0]
    if label in OWN_LABELS or _is_below(prefix, OWN_PREFIXES):
        return True
    return not _is_below(prefix, RESERVED)


def _is_below(prefix: str, domains: tuple[str, ...]) -> bool:
    return any(prefix == domain or prefix.endswith(f".{domain}") for domain in domains)


def restrict_token(user: User, account: str, pod: JsonObject | None, audiences: list[str], own: str) -> None:
    """Check a node's request for a token: for a pod of its own, and for an audience that the pod names.

    `own` is the API server's audience, which needs no mention.
    """
    node = node_name(user)
    if not node:
        return
    text = f'serviceaccounts "{account}" is forbidden: '
    if pod is None or pod["spec"].get("nodeName") != node:
        raise failures.forbidden(f"{text}node requested token not bound to a pod of its own")
    named = {own}
    for volume in pod["spec"].get("volumes") or ():
        for source in (volume.get("projected") or {}).get("sources") or ():
            named.add((source.get("serviceAccountToken") or {}).get("audience") or own)
    for audience in audiences:
        if audience not in named:
            raise failures.forbidden(f'{text}audience "{audience}" not found in pod spec volume')


def _forbidden(kind: Kind, name: str, why: str) -> ApiError:
    details = {"name": name, "kind": kind.plural, **({"group": kind.group} if kind.group else {})}
    return failures.forbidden(f'{kind.resource} "{name}" is forbidden: {why}', details=details)
