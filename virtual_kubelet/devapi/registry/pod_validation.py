"""Validation of new pods (`ValidatePodCreate`, Kubernetes 1.36), in the order in which the real server complains."""

from __future__ import annotations

from collections.abc import Iterable

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.container_validation import validate_container, validate_resources
from virtual_kubelet.devapi.registry.pod_defaults import containers_of
from virtual_kubelet.devapi.registry.volume_validation import validate_volumes
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["validate_pod", "validate_tolerations"]

RESTART_POLICIES = ("Always", "Never", "OnFailure")
DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
EFFECTS = ("NoExecute", "NoSchedule", "PreferNoSchedule")
OPERATORS = ("Equal", "Exists", "Gt", "Lt")
NODE_OPERATORS = ("DoesNotExist", "Exists", "Gt", "In", "Lt", "NotIn")
INT32_MAX = (1 << 31) - 1


def validate_pod(pod: JsonObject) -> list[FieldError]:
    """Return what is wrong with a new pod."""
    spec = pod.get("spec") or {}
    found = validate_volumes(spec.get("volumes") or (), "spec.volumes")
    found += _validate_containers(spec)
    found += _validate_policies(spec)
    found += _validate_places(spec)
    found += _validate_names(spec)
    found += validate_tolerations(spec.get("tolerations") or (), "spec.tolerations")
    if spec.get("ephemeralContainers"):
        found.append(FieldError.forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("resources"):
        found += validate_resources(spec["resources"], "spec.resources")
    return found


def _validate_containers(spec: JsonObject) -> list[FieldError]:
    found = []
    if not spec.get("containers"):
        found.append(FieldError.required("spec.containers"))
    volumes = {volume.get("name", ""): volume for volume in spec.get("volumes") or ()}
    seen: set[str] = set()
    host_ports: set[tuple[int, str, str]] = set()
    for path, container in containers_of(spec, ephemeral=False):
        found += validate_container(container, path, volumes)
        name = container.get("name", "")
        if name and name in seen:
            found.append(FieldError.duplicate(f"{path}.name", name))
        seen.add(name)
        found += _validate_host_ports(container, path, host_ports, on_host=bool(spec.get("hostNetwork")))
        if path.startswith("spec.initContainers"):
            found += _validate_init(container, path)
    return found


def _validate_init(container: JsonObject, path: str) -> list[FieldError]:
    if container.get("restartPolicy") == "Always":
        return []
    found = [
        FieldError.forbidden(
            f"{path}.{field}", "may not be set for init containers without restartPolicy=Always"
        )
        for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
        if field in container
    ]
    if container.get("restartPolicy") not in {None, *RESTART_POLICIES}:
        found.append(
            FieldError.not_supported(f"{path}.restartPolicy", container["restartPolicy"], RESTART_POLICIES)
        )
    return found


def _validate_host_ports(
    container: JsonObject, path: str, seen: set[tuple[int, str, str]], *, on_host: bool
) -> list[FieldError]:
    found = []
    for index, port in enumerate(container.get("ports") or ()):
        host_port = port.get("hostPort")
        if not host_port:
            continue
        key = (host_port, port.get("protocol", "TCP"), port.get("hostIP", ""))
        if key in seen:
            found.append(FieldError.duplicate(f"{path}.ports[{index}].hostPort", host_port))
        seen.add(key)
        if on_host and host_port != port.get("containerPort"):
            complaint = "must match `hostPort` when `hostNetwork` is true"
            found.append(
                FieldError.invalid(
                    f"{path}.ports[{index}].containerPort", port.get("containerPort"), complaint
                )
            )
    return found


def _validate_policies(spec: JsonObject) -> list[FieldError]:
    found = []
    for field, allowed in (("restartPolicy", RESTART_POLICIES), ("dnsPolicy", DNS_POLICIES)):
        value = spec.get(field)
        if not value:
            found.append(FieldError.required(f"spec.{field}"))
        elif value not in allowed:
            found.append(FieldError.not_supported(f"spec.{field}", value, allowed))
    grace = spec.get("terminationGracePeriodSeconds", 0)
    if grace < 0:
        found.append(
            FieldError.invalid(
                "spec.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0"
            )
        )
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= INT32_MAX:
        complaint = f"must be between 1 and {INT32_MAX}, inclusive"
        found.append(FieldError.invalid("spec.activeDeadlineSeconds", deadline, complaint))
    dns = spec.get("dnsConfig") or {}
    if spec.get("dnsPolicy") == "None" and not dns.get("nameservers"):
        found.append(
            FieldError.required(
                "spec.dnsConfig.nameservers",
                "must provide at least one DNS nameserver when `dnsPolicy` is None",
            )
        )
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        complaint = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(FieldError.invalid("spec.shareProcessNamespace", True, complaint))
    return found


def _validate_places(spec: JsonObject) -> list[FieldError]:
    """Check what says where the pod may go."""
    found = []
    for key, value in (spec.get("nodeSelector") or {}).items():
        found += [FieldError.invalid("spec.nodeSelector", key, text) for text in names.label_key(key)]
        found += [FieldError.invalid("spec.nodeSelector", value, text) for text in names.label_value(value)]
    affinity = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    path = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
    if required is not None:
        terms = required.get("nodeSelectorTerms") or ()
        if not terms:
            found.append(FieldError.required(path, "must have at least one node selector term"))
        for index, term in enumerate(terms):
            for number, expression in enumerate(term.get("matchExpressions") or ()):
                found += _validate_expression(expression, f"{path}[{index}].matchExpressions[{number}]")
    return found


def _validate_expression(expression: JsonObject, path: str) -> list[FieldError]:
    operator, values = expression.get("operator", ""), expression.get("values") or ()
    found = []
    if operator not in NODE_OPERATORS:
        found.append(FieldError.invalid(f"{path}.operator", operator, "not a valid selector operator"))
    elif operator in {"In", "NotIn"} and not values:
        complaint = "must be specified when `operator` is 'In' or 'NotIn'"
        found.append(FieldError.required(f"{path}.values", complaint))
    elif operator in {"Exists", "DoesNotExist"} and values:
        complaint = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        found.append(FieldError.forbidden(f"{path}.values", complaint))
    elif operator in {"Gt", "Lt"} and len(values) != 1:
        complaint = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        found.append(FieldError.required(f"{path}.values", complaint))
    key = expression.get("key", "")
    return found + [FieldError.invalid(f"{path}.key", key, text) for text in names.label_key(key)]


def _validate_names(spec: JsonObject) -> list[FieldError]:
    found = []
    for field, rule in (
        ("nodeName", names.dns_subdomain),
        ("serviceAccountName", names.dns_subdomain),
        ("hostname", names.dns_label),
        ("subdomain", names.dns_label),
    ):
        value = spec.get(field, "")
        if value:
            found += [FieldError.invalid(f"spec.{field}", value, text) for text in rule(value)]
    for index, gate in enumerate(spec.get("readinessGates") or ()):
        type_ = gate.get("conditionType", "")
        path = f"spec.readinessGates[{index}].conditionType"
        found += [FieldError.invalid(path, type_, text) for text in names.label_key(type_)]
    return found


def validate_tolerations(tolerations: Iterable[JsonObject], path: str) -> list[FieldError]:
    """Return what is wrong with tolerations."""
    found = []
    for index, toleration in enumerate(tolerations):
        here = f"{path}[{index}]"
        key, operator = toleration.get("key", ""), toleration.get("operator", "Equal")
        effect = toleration.get("effect", "")
        if key:
            found += [FieldError.invalid(f"{here}.key", key, text) for text in names.label_key(key)]
        elif operator != "Exists":
            complaint = (
                'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            )
            found.append(FieldError.invalid(f"{here}.operator", operator, complaint))
        if toleration.get("tolerationSeconds") is not None and effect != "NoExecute":
            complaint = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            found.append(FieldError.invalid(f"{here}.effect", effect, complaint))
        if operator not in OPERATORS:
            found.append(FieldError.not_supported(f"{here}.operator", operator, OPERATORS[:2]))
        elif operator == "Exists" and toleration.get("value"):
            complaint = "value must be empty when `operator` is 'Exists'"
            found.append(FieldError.invalid(f"{here}.operator", toleration["value"], complaint))
        if effect and effect not in EFFECTS:
            found.append(FieldError.not_supported(f"{here}.effect", effect, EFFECTS))
    return found
