"""The table of all kinds."""

from __future__ import annotations

from virtual_kubelet.devapi.registry.configuration import (
    ConfigMapStrategy,
    SecretStrategy,
    ServiceAccountStrategy,
)
from virtual_kubelet.devapi.registry.events import EventStrategy, NewEventStrategy
from virtual_kubelet.devapi.registry.kinds import Kind, Kinds, Subresource
from virtual_kubelet.devapi.registry.leases import LeaseStrategy
from virtual_kubelet.devapi.registry.namespaces import FinalizeRules, NamespaceStrategy
from virtual_kubelet.devapi.registry.new_events import from_core, to_core
from virtual_kubelet.devapi.registry.nodes import NodeStatusRules, NodeStrategy
from virtual_kubelet.devapi.registry.pods import (
    EphemeralContainersRules,
    PodStatusRules,
    PodStrategy,
    ResizeRules,
)
from virtual_kubelet.devapi.registry.roles import RoleStrategy
from virtual_kubelet.devapi.registry.services import ServiceStrategy
from virtual_kubelet.devapi.registry.signing_requests import (
    ApprovalRules,
    CertificateRules,
    SigningRequestStrategy,
)
from virtual_kubelet.devapi.registry.strategy import StatusRules

__all__ = ["KINDS"]

CHANGE = ("get", "patch", "update")
CONNECT = ("create", "get")
ANY_METHOD = ("create", "delete", "get", "patch", "update")

RBAC = "rbac.authorization.k8s.io"
AUTHENTICATION = "authentication.k8s.io"
AUTHORIZATION = "authorization.k8s.io"


def _question(group: str, plural: str, kind: str, *, namespaced: bool = False) -> Kind:
    """Return a kind that is asked with and not stored."""
    return Kind(group, "v1", plural, kind, namespaced=namespaced, verbs=("create",))


def _reading(group: str, version: str, plural: str, kind: str, *, namespaced: bool) -> Kind:
    """Return a kind that is measured when asked for, and not stored."""
    return Kind(group, version, plural, kind, namespaced=namespaced, verbs=("get", "list"))


KINDS = Kinds(
    [
        Kind("", "v1", "configmaps", "ConfigMap", ConfigMapStrategy(), short_names=("cm",)),
        Kind("", "v1", "events", "Event", EventStrategy(), short_names=("ev",)),
        Kind(
            "",
            "v1",
            "namespaces",
            "Namespace",
            NamespaceStrategy(),
            namespaced=False,
            short_names=("ns",),
            verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
            subresources=(
                Subresource("finalize", ("update",), FinalizeRules()),
                Subresource("status", CHANGE, StatusRules()),
            ),
        ),
        Kind(
            "",
            "v1",
            "nodes",
            "Node",
            NodeStrategy(),
            namespaced=False,
            short_names=("no",),
            subresources=(
                Subresource("proxy", CONNECT, kind="NodeProxyOptions"),
                Subresource("status", CHANGE, NodeStatusRules()),
            ),
        ),
        Kind(
            "",
            "v1",
            "pods",
            "Pod",
            PodStrategy(),
            short_names=("po",),
            categories=("all",),
            subresources=(
                Subresource("attach", CONNECT, kind="PodAttachOptions"),
                Subresource("binding", ("create",), kind="Binding"),
                Subresource("ephemeralcontainers", CHANGE, EphemeralContainersRules()),
                Subresource("eviction", ("create",), kind="Eviction", group="policy", version="v1"),
                Subresource("exec", CONNECT, kind="PodExecOptions"),
                Subresource("log", ("get",)),
                Subresource("portforward", CONNECT, kind="PodPortForwardOptions"),
                Subresource("proxy", ANY_METHOD, kind="PodProxyOptions"),
                Subresource("resize", CHANGE, ResizeRules()),
                Subresource("status", CHANGE, PodStatusRules()),
            ),
        ),
        Kind("", "v1", "secrets", "Secret", SecretStrategy()),
        Kind(
            "",
            "v1",
            "serviceaccounts",
            "ServiceAccount",
            ServiceAccountStrategy(),
            short_names=("sa",),
            subresources=(
                Subresource(
                    "token", ("create",), kind="TokenRequest", group="authentication.k8s.io", version="v1"
                ),
            ),
        ),
        Kind(
            "",
            "v1",
            "services",
            "Service",
            ServiceStrategy(),
            short_names=("svc",),
            categories=("all",),
            subresources=(Subresource("status", CHANGE, StatusRules()),),
        ),
        _question(AUTHENTICATION, "selfsubjectreviews", "SelfSubjectReview"),
        _question(AUTHENTICATION, "tokenreviews", "TokenReview"),
        _question(AUTHORIZATION, "localsubjectaccessreviews", "LocalSubjectAccessReview", namespaced=True),
        _question(AUTHORIZATION, "selfsubjectaccessreviews", "SelfSubjectAccessReview"),
        _question(AUTHORIZATION, "selfsubjectrulesreviews", "SelfSubjectRulesReview"),
        _question(AUTHORIZATION, "subjectaccessreviews", "SubjectAccessReview"),
        Kind(
            "certificates.k8s.io",
            "v1",
            "certificatesigningrequests",
            "CertificateSigningRequest",
            SigningRequestStrategy(),
            namespaced=False,
            short_names=("csr",),
            subresources=(
                Subresource("approval", CHANGE, ApprovalRules()),
                Subresource("status", CHANGE, CertificateRules()),
            ),
        ),
        Kind("coordination.k8s.io", "v1", "leases", "Lease", LeaseStrategy()),
        Kind(
            "events.k8s.io",
            "v1",
            "events",
            "Event",
            NewEventStrategy(),
            short_names=("ev",),
            bucket="events",
            outward=from_core,
            inward=to_core,
        ),
        _reading("metrics.k8s.io", "v1beta1", "nodes", "NodeMetrics", namespaced=False),
        _reading("metrics.k8s.io", "v1beta1", "pods", "PodMetrics", namespaced=True),
        Kind(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", RoleStrategy(), namespaced=False),
        Kind(RBAC, "v1", "clusterroles", "ClusterRole", RoleStrategy(), namespaced=False),
        Kind(RBAC, "v1", "rolebindings", "RoleBinding", RoleStrategy()),
        Kind(RBAC, "v1", "roles", "Role", RoleStrategy()),
    ]
)
