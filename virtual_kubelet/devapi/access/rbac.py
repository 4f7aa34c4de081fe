"""RBAC (rbac.authorization.k8s.io/v1): the rules that roles and bindings give a user."""

from __future__ import annotations

from collections.abc import Iterator

from virtual_kubelet.devapi.access.attributes import Attributes
from virtual_kubelet.devapi.identity import AUTHENTICATED, MASTERS, User
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.objects import JsonObject

__all__ = ["DEFAULTS", "allows", "rules_for"]

GROUP = "rbac.authorization.k8s.io"
ACCOUNT_PREFIX = "system:serviceaccount:"


def _cluster_role(name: str, *rules: JsonObject) -> tuple[str, JsonObject]:
    return "clusterroles", {"metadata": {"name": name}, "rules": list(rules)}


def _cluster_binding(role: str, *groups: str) -> tuple[str, JsonObject]:
    subjects = [{"kind": "Group", "apiGroup": GROUP, "name": group} for group in groups]
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": role}
    return "clusterrolebindings", {"metadata": {"name": role}, "roleRef": reference, "subjects": subjects}


DISCOVERY = ["/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/"]
HEALTH = ["/healthz", "/livez", "/readyz", "/version", "/version/"]

DEFAULTS = (
    _cluster_role(
        "cluster-admin",
        {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
        {"nonResourceURLs": ["*"], "verbs": ["*"]},
    ),
    _cluster_role(
        "system:basic-user",
        {
            "apiGroups": ["authorization.k8s.io"],
            "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"],
            "verbs": ["create"],
        },
        {"apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"], "verbs": ["create"]},
    ),
    _cluster_role("system:discovery", {"nonResourceURLs": [*DISCOVERY, *HEALTH], "verbs": ["get"]}),
    _cluster_role(
        "system:auth-delegator",
        {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]},
        {"apiGroups": ["authorization.k8s.io"], "resources": ["subjectaccessreviews"], "verbs": ["create"]},
    ),
    _cluster_binding("cluster-admin", MASTERS),
    _cluster_binding("system:basic-user", AUTHENTICATED),
    _cluster_binding("system:discovery", AUTHENTICATED),
)
"""What every cluster begins with: plural and object."""


def rules_for(storage: MemoryStorage, user: User, namespace: str) -> Iterator[JsonObject]:
    """Yield the rules that hold for `user` in `namespace` ("": for the whole cluster only)."""
    for binding in storage.records(f"clusterrolebindings.{GROUP}")[0]:
        if _is_subject(binding.body, user, ""):
            yield from _rules(storage, binding.body.get("roleRef") or {}, "")
    if not namespace:
        return
    for binding in storage.records(f"rolebindings.{GROUP}", namespace)[0]:
        if _is_subject(binding.body, user, namespace):
            yield from _rules(storage, binding.body.get("roleRef") or {}, namespace)


def _is_subject(binding: JsonObject, user: User, namespace: str) -> bool:
    for subject in binding.get("subjects") or ():
        kind, name = subject.get("kind"), subject.get("name", "")
        if kind == "User" and name == user.name:
            return True
        if kind == "Group" and name in user.groups:
            return True
        if kind == "ServiceAccount":
            where = subject.get("namespace") or namespace
            if user.name == f"{ACCOUNT_PREFIX}{where}:{name}":
                return True
    return False


def _rules(storage: MemoryStorage, reference: JsonObject, namespace: str) -> list[JsonObject]:
    if reference.get("kind") == "ClusterRole":
        record = storage.get(f"clusterroles.{GROUP}", "", reference.get("name", ""))
    else:
        record = storage.get(f"roles.{GROUP}", namespace, reference.get("name", ""))
    return [] if record is None else record.body.get("rules") or []


def allows(rule: JsonObject, attributes: Attributes) -> bool:
    """Tell whether one rule allows what is asked."""
    if not _has(rule.get("verbs"), attributes.verb):
        return False
    if not attributes.resource:
        return any(_path_matches(path, attributes.path) for path in rule.get("nonResourceURLs") or ())
    if not _has(rule.get("apiGroups"), attributes.group):
        return False
    if not _resource_matches(rule.get("resources") or (), attributes):
        return False
    names = rule.get("resourceNames")
    return not names or attributes.name in names


def _has(values: list[str] | None, wanted: str) -> bool:
    return wanted in (values or ()) or "*" in (values or ())


def _resource_matches(resources: list[str] | tuple[()], attributes: Attributes) -> bool:
    wanted = {"*", attributes.full_resource}
    if attributes.subresource:
        wanted.add(f"*/{attributes.subresource}")
    return any(resource in wanted for resource in resources)


def _path_matches(pattern: str, path: str) -> bool:
    return pattern in {"*", path} or (pattern.endswith("*") and path.startswith(pattern[:-1]))
