"""Validation of containers (core/v1, Kubernetes 1.36): what the real server refuses, with its field paths."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.env_validation import validate_env, validate_env_from
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names, quantity

__all__ = ["validate_container", "validate_port_number", "validate_resources"]

PULL_POLICIES = ("Always", "IfNotPresent", "Never")
MESSAGE_POLICIES = ("FallbackToLogsOnError", "File")
PROTOCOLS = ("SCTP", "TCP", "UDP")
SCHEMES = ("HTTP", "HTTPS")
PROBE_ACTIONS = ("exec", "httpGet", "tcpSocket", "grpc")
HOOK_ACTIONS = ("exec", "httpGet", "tcpSocket", "sleep")


def validate_container(container: JsonObject, path: str, volumes: dict[str, JsonObject]) -> list[FieldError]:
    """Return what is wrong with a container; `volumes` are the pod's, by name."""
    found = _validate_name_and_image(container, path)
    found += _choice(container, "terminationMessagePolicy", MESSAGE_POLICIES, path)
    found += _choice(container, "imagePullPolicy", PULL_POLICIES, path)
    found += _validate_ports(container.get("ports") or (), f"{path}.ports")
    found += validate_env(container.get("env") or (), f"{path}.env")
    found += validate_env_from(container.get("envFrom") or (), f"{path}.envFrom")
    found += _validate_mounts(container.get("volumeMounts") or (), f"{path}.volumeMounts", volumes)
    found += validate_resources(container.get("resources") or {}, f"{path}.resources")
    for field in ("livenessProbe", "readinessProbe", "startupProbe"):
        if field in container:
            found += _validate_probe(container[field], f"{path}.{field}", once=field != "readinessProbe")
    for field in ("postStart", "preStop"):
        hook = (container.get("lifecycle") or {}).get(field)
        if hook is not None:
            found += _validate_action(hook, HOOK_ACTIONS, f"{path}.lifecycle.{field}")
    return found


def _validate_name_and_image(container: JsonObject, path: str) -> list[FieldError]:
    found = []
    name, image = container.get("name", ""), container.get("image", "")
    if not name:
        found.append(FieldError.required(f"{path}.name"))
    else:
        found += [FieldError.invalid(f"{path}.name", name, text) for text in names.dns_label(name)]
    if not image:
        found.append(FieldError.required(f"{path}.image"))
    elif image != image.strip():
        found.append(
            FieldError.invalid(f"{path}.image", image, "must not have leading or trailing whitespace")
        )
    return found


def _choice(obj: JsonObject, field: str, allowed: Iterable[str], path: str) -> list[FieldError]:
    value = obj.get(field)
    if value is None or value in allowed:
        return []
    return [FieldError.not_supported(f"{path}.{field}", value, allowed)]


# ---------------------------------------------------------------------------------------------------------
# Ports


def validate_port_number(port: Any, path: str) -> list[FieldError]:
    """Check a port's number."""
    if isinstance(port, int) and 1 <= port <= 65535:
        return []
    return [FieldError.invalid(path, port, "must be between 1 and 65535, inclusive")]


def _validate_ports(ports: Iterable[JsonObject], path: str) -> list[FieldError]:
    found = []
    seen = set()
    for index, port in enumerate(ports):
        here = f"{path}[{index}]"
        name = port.get("name", "")
        if name:
            found += [FieldError.invalid(f"{here}.name", name, text) for text in names.port_name(name)]
            if name in seen:
                found.append(FieldError.duplicate(f"{here}.name", name))
            seen.add(name)
        if not port.get("containerPort"):
            found.append(FieldError.required(f"{here}.containerPort"))
        else:
            found += validate_port_number(port["containerPort"], f"{here}.containerPort")
        if port.get("hostPort"):
            found += validate_port_number(port["hostPort"], f"{here}.hostPort")
        found += _choice(port, "protocol", PROTOCOLS, here)
    return found


# ---------------------------------------------------------------------------------------------------------
# Mounts and resources


def _validate_mounts(
    mounts: Iterable[JsonObject], path: str, volumes: dict[str, JsonObject]
) -> list[FieldError]:
    found = []
    places = set()
    for index, mount in enumerate(mounts):
        here = f"{path}[{index}]"
        name, place = mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            found.append(FieldError.required(f"{here}.name"))
        elif name not in volumes:
            found.append(FieldError.not_found(f"{here}.name", name))
        if not place:
            found.append(FieldError.required(f"{here}.mountPath"))
        elif place in places:
            found.append(FieldError.invalid(f"{here}.mountPath", place, "must be unique"))
        places.add(place)
        if mount.get("subPath") and mount.get("subPathExpr"):
            found.append(
                FieldError.invalid(
                    f"{here}.subPathExpr",
                    mount["subPathExpr"],
                    "subPathExpr and subPath are mutually exclusive",
                )
            )
        for field in ("subPath", "subPathExpr"):
            if mount.get(field):
                found += validate_below(mount[field], f"{here}.{field}")
    return found


def validate_below(path_value: str, path: str) -> list[FieldError]:
    """Check a path that must lead down from where it is laid."""
    found = []
    if path_value.startswith("/"):
        found.append(FieldError.invalid(path, path_value, "must be a relative path"))
    if ".." in path_value.split("/"):
        found.append(FieldError.invalid(path, path_value, "must not contain '..'"))
    return found


def validate_resources(resources: JsonObject, path: str) -> list[FieldError]:
    """Check amounts, and that no request exceeds its limit."""
    found = []
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            here = f"{path}.{field}.{name}"
            found += [FieldError.invalid(f"{path}.{field}", name, text) for text in names.label_key(name)]
            standard = (
                name in {"cpu", "memory", "ephemeral-storage"} or "/" in name or name.startswith("hugepages-")
            )
            if not standard:
                found.append(
                    FieldError.invalid(here, name, "must be a standard resource type or fully qualified")
                )
            if quantity.parse(amount) < quantity.ZERO:
                found.append(FieldError.invalid(here, amount, "must be greater than or equal to 0"))
    for name, amount in requests.items():
        limit = limits.get(name)
        if limit is not None and quantity.parse(amount) > quantity.parse(limit):
            complaint = f"must be less than or equal to {name} limit of {limit}"
            found.append(FieldError.invalid(f"{path}.requests", amount, complaint))
        if limit is None and "/" in name:
            found.append(
                FieldError.required(f"{path}.limits", "Limit must be set for non overcommitable resources")
            )
    return found


# ---------------------------------------------------------------------------------------------------------
# Probes and hooks


def _validate_probe(probe: JsonObject, path: str, *, once: bool) -> list[FieldError]:
    found = _validate_action(probe, PROBE_ACTIONS, path)
    for field in (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    ):
        value = probe.get(field, 0)
        if value < 0:
            found.append(FieldError.invalid(f"{path}.{field}", value, "must be greater than or equal to 0"))
    if once and probe.get("successThreshold", 1) != 1:
        found.append(FieldError.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    grace = probe.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        found.append(
            FieldError.invalid(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0")
        )
    return found


def _validate_action(action: JsonObject, allowed: tuple[str, ...], path: str) -> list[FieldError]:
    named = [each for each in allowed if each in action]
    if not named:
        return [FieldError.required(path, "must specify a handler type")]
    found = [
        FieldError.forbidden(f"{path}.{each}", "may not specify more than 1 handler type")
        for each in named[1:]
    ]
    return found + _ACTIONS[named[0]](action[named[0]], f"{path}.{named[0]}")


def _validate_exec(action: JsonObject, path: str) -> list[FieldError]:
    return [] if action.get("command") else [FieldError.required(f"{path}.command")]


def _validate_http_get(action: JsonObject, path: str) -> list[FieldError]:
    found = [] if action.get("path") else [FieldError.required(f"{path}.path")]
    return (
        found
        + _validate_target(action.get("port"), f"{path}.port")
        + _choice(action, "scheme", SCHEMES, path)
    )


def _validate_tcp(action: JsonObject, path: str) -> list[FieldError]:
    return _validate_target(action.get("port"), f"{path}.port")


def _validate_grpc(action: JsonObject, path: str) -> list[FieldError]:
    return validate_port_number(action.get("port"), f"{path}.port")


def _validate_sleep(action: JsonObject, path: str) -> list[FieldError]:
    seconds = action.get("seconds", 0)
    return [] if seconds >= 0 else [FieldError.invalid(path, seconds, "must be non-negative")]


def _validate_target(port: Any, path: str) -> list[FieldError]:
    if isinstance(port, str):
        return [FieldError.invalid(path, port, text) for text in names.port_name(port)]
    return validate_port_number(port, path)


_ACTIONS: dict[str, Callable[[JsonObject, str], list[FieldError]]] = {
    "exec": _validate_exec,
    "httpGet": _validate_http_get,
    "tcpSocket": _validate_tcp,
    "grpc": _validate_grpc,
    "sleep": _validate_sleep,
}
