"""The rows of every other kind, and which printer is whose."""

from __future__ import annotations

from typing import Any

from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.tables.columns import AGE, NAME, Column, Printer, or_none
from virtual_kubelet.devapi.tables.durations import age, human
from virtual_kubelet.devapi.tables.pods import PODS
from virtual_kubelet.objects import JsonObject

__all__ = ["printer_of"]

ROLE_LABEL = "node-role.kubernetes.io/"
OLD_ROLE_LABEL = "kubernetes.io/role"


def _name(obj: JsonObject) -> str:
    name: str = obj["metadata"]["name"]
    return name


def _age(obj: JsonObject, now: float) -> str:
    return age(obj["metadata"].get("creationTimestamp"), now)


# ---------------------------------------------------------------------------------------------------------
# Nodes


def _node(node: JsonObject, now: float) -> list[Any]:
    status = node.get("status") or {}
    info = status.get("nodeInfo") or {}
    return [
        _name(node),
        _node_status(node),
        or_none(",".join(_roles(node))),
        _age(node, now),
        info.get("kubeletVersion", ""),
        or_none(_address(status, "InternalIP")),
        or_none(_address(status, "ExternalIP")),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _node_status(node: JsonObject) -> str:
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = next((each for each in conditions if each.get("type") == "Ready"), None)
    words = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if (node.get("spec") or {}).get("unschedulable"):
        words.append("SchedulingDisabled")
    return ",".join(words)


def _roles(node: JsonObject) -> list[str]:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(ROLE_LABEL) for key in labels if key.startswith(ROLE_LABEL)}
    if labels.get(OLD_ROLE_LABEL):
        roles.add(labels[OLD_ROLE_LABEL])
    return sorted(role for role in roles if role)


def _address(status: JsonObject, type_: str) -> str:
    addresses = status.get("addresses") or ()
    return next((each.get("address", "") for each in addresses if each.get("type") == type_), "")


# ---------------------------------------------------------------------------------------------------------
# Events


def _event(event: JsonObject, now: float) -> list[Any]:
    about = event.get("involvedObject") or {}
    source = event.get("source") or {}
    series = event.get("series") or {}
    first = event.get("firstTimestamp") or event.get("eventTime")
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or first
    component = source.get("component") or event.get("reportingComponent", "")
    host = source.get("host") or event.get("reportingInstance", "")
    return [
        age(last, now),
        event.get("type", ""),
        event.get("reason", ""),
        f"{about.get('kind', '').lower()}/{about.get('name', '')}",
        about.get("fieldPath", ""),
        f"{component}, {host}" if host else component,
        event.get("message", "").strip(),
        age(first, now),
        series.get("count") or event.get("count") or 1,
        _name(event),
    ]


# ---------------------------------------------------------------------------------------------------------
# The rest


def _namespace(namespace: JsonObject, now: float) -> list[Any]:
    return [_name(namespace), (namespace.get("status") or {}).get("phase", ""), _age(namespace, now)]


def _config_map(config_map: JsonObject, now: float) -> list[Any]:
    count = len(config_map.get("data") or {}) + len(config_map.get("binaryData") or {})
    return [_name(config_map), count, _age(config_map, now)]


def _secret(secret: JsonObject, now: float) -> list[Any]:
    return [_name(secret), secret.get("type", ""), len(secret.get("data") or {}), _age(secret, now)]


def _service_account(account: JsonObject, now: float) -> list[Any]:
    return [_name(account), len(account.get("secrets") or ()), _age(account, now)]


def _service(service: JsonObject, now: float) -> list[Any]:
    spec = service.get("spec") or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted((spec.get("selector") or {}).items()))
    return [
        _name(service),
        spec.get("type", ""),
        or_none(spec.get("clusterIP", "")),
        or_none(spec.get("externalName") or ",".join(spec.get("externalIPs") or ())),
        or_none(",".join(_service_port(port) for port in spec.get("ports") or ())),
        _age(service, now),
        or_none(selector),
    ]


def _service_port(port: JsonObject) -> str:
    number = f"{port.get('port')}:{port['nodePort']}" if port.get("nodePort") else str(port.get("port"))
    return f"{number}/{port.get('protocol', 'TCP')}"


def _lease(lease: JsonObject, now: float) -> list[Any]:
    return [_name(lease), (lease.get("spec") or {}).get("holderIdentity", ""), _age(lease, now)]


def _signing_request(request: JsonObject, now: float) -> list[Any]:
    spec, status = request.get("spec") or {}, request.get("status") or {}
    seconds = spec.get("expirationSeconds")
    types = {condition.get("type") for condition in status.get("conditions") or ()}
    words = [word for word in ("Approved", "Denied", "Failed") if word in types] or ["Pending"]
    if status.get("certificate"):
        words.append("Issued")
    return [
        _name(request),
        _age(request, now),
        spec.get("signerName", ""),
        spec.get("username", ""),
        human(seconds) if seconds else "<none>",
        ",".join(words),
    ]


def _role(role: JsonObject, now: float) -> list[Any]:  # noqa: ARG001 - the printers' signature
    return [_name(role), role["metadata"].get("creationTimestamp", "")]


def _binding(binding: JsonObject, now: float) -> list[Any]:
    reference = binding.get("roleRef") or {}
    by_kind: dict[str, list[str]] = {}
    for subject in binding.get("subjects") or ():
        name = subject.get("name", "")
        if subject.get("kind") == "ServiceAccount":
            name = f"{subject.get('namespace', '')}/{name}"
        by_kind.setdefault(subject.get("kind", ""), []).append(name)
    return [
        _name(binding),
        f"{reference.get('kind', '')}/{reference.get('name', '')}",
        _age(binding, now),
        *(", ".join(by_kind.get(kind, ())) for kind in ("User", "Group", "ServiceAccount")),
    ]


def _anything(obj: JsonObject, now: float) -> list[Any]:
    return [_name(obj), _age(obj, now)]


CREATED_AT = Column("Created At")
BINDINGS = Printer(
    (
        NAME,
        Column("Role"),
        AGE,
        Column("Users", wide=True),
        Column("Groups", wide=True),
        Column("ServiceAccounts", wide=True),
    ),
    _binding,
)
ROLES = Printer((NAME, CREATED_AT), _role)

PRINTERS = {
    "configmaps": Printer((NAME, Column("Data", "integer"), AGE), _config_map),
    "events": Printer(
        (
            Column("Last Seen"),
            Column("Type"),
            Column("Reason"),
            Column("Object"),
            Column("Subobject", wide=True),
            Column("Source", wide=True),
            Column("Message"),
            Column("First Seen", wide=True),
            Column("Count", "integer", wide=True),
            Column("Name", wide=True, format="name"),
        ),
        _event,
    ),
    "namespaces": Printer((NAME, Column("Status"), AGE), _namespace),
    "nodes": Printer(
        (
            NAME,
            Column("Status"),
            Column("Roles"),
            AGE,
            Column("Version"),
            Column("Internal-IP", wide=True),
            Column("External-IP", wide=True),
            Column("OS-Image", wide=True),
            Column("Kernel-Version", wide=True),
            Column("Container-Runtime", wide=True),
        ),
        _node,
    ),
    "pods": PODS,
    "secrets": Printer((NAME, Column("Type"), Column("Data", "integer"), AGE), _secret),
    "serviceaccounts": Printer((NAME, Column("Secrets", "integer"), AGE), _service_account),
    "services": Printer(
        (
            NAME,
            Column("Type"),
            Column("Cluster-IP"),
            Column("External-IP"),
            Column("Port(s)"),
            AGE,
            Column("Selector", wide=True),
        ),
        _service,
    ),
    "leases.coordination.k8s.io": Printer((NAME, Column("Holder"), AGE), _lease),
    "certificatesigningrequests.certificates.k8s.io": Printer(
        (
            NAME,
            AGE,
            Column("SignerName"),
            Column("Requestor"),
            Column("RequestedDuration"),
            Column("Condition"),
        ),
        _signing_request,
    ),
    "clusterrolebindings.rbac.authorization.k8s.io": BINDINGS,
    "clusterroles.rbac.authorization.k8s.io": ROLES,
    "rolebindings.rbac.authorization.k8s.io": BINDINGS,
    "roles.rbac.authorization.k8s.io": ROLES,
}
ANYTHING = Printer((NAME, AGE), _anything)


def printer_of(kind: Kind) -> Printer:
    """Return how the objects of a kind are shown. Printers read stored objects, so views share one."""
    return PRINTERS.get(kind.stored, ANYTHING)
