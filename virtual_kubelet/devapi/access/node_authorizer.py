"""What a node's own identity may do (the node authorizer of Kubernetes 1.36, and the rules it is limited by).

A kubelet that works with its certificate from a CSR meets these rules in any real cluster: it sees only itself,
the pods bound to it, and the Secrets and ConfigMaps that those pods name.
"""

from __future__ import annotations

from typing import cast

from virtual_kubelet.devapi.access.attributes import Attributes
from virtual_kubelet.devapi.identity import User
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.pure import references, selectors

__all__ = ["node_allows", "node_name"]

PREFIX = "system:node:"
GROUP = "system:nodes"
LEASES = "kube-node-lease"

CHANGES = frozenset({"update", "patch"})
READS = frozenset({"get", "list", "watch"})
BY_REFERENCE = {"configmaps": references.CONFIG_MAP, "secrets": references.SECRET}

FREE: dict[tuple[str, str], frozenset[str]] = {
    ("", "services"): READS,
    ("", "events"): frozenset({"create", "patch", "update"}),
    ("events.k8s.io", "events"): frozenset({"create", "patch", "update"}),
    ("authentication.k8s.io", "tokenreviews"): frozenset({"create"}),
    ("authorization.k8s.io", "subjectaccessreviews"): frozenset({"create"}),
    ("authorization.k8s.io", "localsubjectaccessreviews"): frozenset({"create"}),
    ("certificates.k8s.io", "certificatesigningrequests"): READS | {"create"},
}
"""What every node may do with every object of a kind."""


def node_name(user: User) -> str:
    """Return the node whose identity this is, "" for other users."""
    return user.name.removeprefix(PREFIX) if user.name.startswith(PREFIX) and GROUP in user.groups else ""


def node_allows(storage: MemoryStorage, node: str, asked: Attributes) -> bool:
    """Tell whether the identity of `node` may do what is asked."""
    if not asked.resource:
        return False
    free = FREE.get((asked.group, asked.full_resource))
    if free is not None:
        return asked.verb in free
    if asked.group == "coordination.k8s.io" and asked.resource == "leases":
        return _lease(node, asked)
    if asked.group:
        return False
    if asked.resource == "nodes":
        return _node(node, asked)
    if asked.resource == "pods":
        return _pod(storage, node, asked)
    if asked.resource in BY_REFERENCE and not asked.subresource:
        return _referenced(storage, node, asked)
    if asked.full_resource == "serviceaccounts/token":
        return asked.verb == "create" and _runs(storage, node, asked.namespace, asked.name)
    return False


def _lease(node: str, asked: Attributes) -> bool:
    if asked.namespace != LEASES or asked.verb in {"list", "watch", "deletecollection"}:
        return False
    return asked.verb == "create" or asked.name == node


def _node(node: str, asked: Attributes) -> bool:
    if asked.subresource == "status":
        return asked.verb in CHANGES and asked.name == node
    if asked.subresource:
        return False
    if asked.verb in {"list", "watch"} and not asked.name:
        return _selects(asked, "metadata.name", node)
    return asked.verb == "create" or (asked.verb in CHANGES | {"get", "watch"} and asked.name == node)


def _pod(storage: MemoryStorage, node: str, asked: Attributes) -> bool:
    if asked.verb in {"list", "watch"} and not asked.subresource:
        return _selects(asked, "spec.nodeName", node)
    if asked.verb == "create" and not asked.subresource:
        return True  # mirror pods; admission looks closer
    record = storage.get("pods", asked.namespace, asked.name)
    if record is None:
        return True  # and 404
    if record.body["spec"].get("nodeName") != node:
        return False
    allowed = {"": {"get", "delete"}, "status": CHANGES, "eviction": {"create"}}
    return asked.verb in allowed.get(asked.subresource, set())


def _selects(asked: Attributes, field: str, value: str) -> bool:
    try:
        terms = selectors.field_selector(asked.field_selector).terms
    except ValueError:
        return False
    return any(term.field == field and term.equal and term.value == value for term in terms)


def _referenced(storage: MemoryStorage, node: str, asked: Attributes) -> bool:
    if asked.verb not in READS:
        return False
    name = asked.name
    if asked.verb != "get" and not name:
        try:
            terms = selectors.field_selector(asked.field_selector).terms
        except ValueError:
            return False
        name = next((term.value for term in terms if term.field == "metadata.name" and term.equal), "")
    kind = BY_REFERENCE[asked.resource]
    return bool(name) and any(
        (reference.kind, reference.name) == (kind, name)
        for pod in _pods(storage, node, asked.namespace)
        for reference in references.references(cast("Pod", pod))
    )


def _runs(storage: MemoryStorage, node: str, namespace: str, account: str) -> bool:
    return any(
        pod["spec"].get("serviceAccountName", "default") == account for pod in _pods(storage, node, namespace)
    )


def _pods(storage: MemoryStorage, node: str, namespace: str) -> list[JsonObject]:
    records, _ = storage.records("pods", namespace)
    return [record.body for record in records if record.body["spec"].get("nodeName") == node]
