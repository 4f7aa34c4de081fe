"""What a container group cannot do for a pod, found before any call. Pure.

Two classes. What would change what the pod does is *refused*, by field path, so that it is never silently
dropped. What only asks for less privilege, or cannot be seen from outside, is *noted*: the pod runs, and an event
says once what is not enforced. The rules are those of the ACI REST API 2023-05-01.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject, Pod, PodSpec

__all__ = ["check", "containers", "notes"]

_POD_FLAGS = {
    "hostNetwork": "container groups have no host network",
    "hostPID": "container groups do not share a host's processes",
    "hostIPC": "container groups do not share a host's IPC",
    "shareProcessNamespace": "the containers of a group do not share processes",
    "hostAliases": "container groups have no entries of their own in /etc/hosts",
    "resourceClaims": "container groups have no dynamic resources",
    "ephemeralContainers": "containers cannot be added to a container group",
}
_CONTAINER_FIELDS = {
    "startupProbe": "container groups have no startup probes",
    "lifecycle": "container groups have no lifecycle hooks",
    "workingDir": "the working directory is the image's",
    "volumeDevices": "container groups have no block devices",
    "restartPolicy": "only the pod as a whole has a restart policy (no sidecar containers)",
    "restartPolicyRules": "only the pod as a whole has a restart policy",
}
_INIT_FIELDS = {
    "ports": "init containers of a container group have no ports",
    "livenessProbe": "init containers of a container group have no probes",
    "readinessProbe": "init containers of a container group have no probes",
}
_MOUNT_FIELDS = {
    "subPath": "a volume is mounted as a whole",
    "subPathExpr": "a volume is mounted as a whole",
}
_UNENFORCED_POD = (
    "runAsNonRoot",
    "runAsUser",
    "runAsGroup",
    "fsGroup",
    "supplementalGroups",
    "seLinuxOptions",
    "windowsOptions",
    "seccompProfile",
    "appArmorProfile",
)
_UNENFORCED = (
    "runAsNonRoot",
    "runAsUser",
    "runAsGroup",
    "capabilities",
    "allowPrivilegeEscalation",
    "readOnlyRootFilesystem",
    "procMount",
    "seLinuxOptions",
    "windowsOptions",
    "seccompProfile",
    "appArmorProfile",
)
# What a confidential container group takes of a security context.
_CONFIDENTIAL = {"runAsUser", "runAsGroup", "capabilities", "allowPrivilegeEscalation"}


def containers(spec: PodSpec) -> Iterator[tuple[str, Container, bool]]:
    """Yield field path, container, and whether it is an init container."""
    for index, container in enumerate(spec.get("initContainers") or ()):
        yield f"spec.initContainers[{index}]", container, True
    for index, container in enumerate(spec["containers"]):
        yield f"spec.containers[{index}]", container, False


def check(pod: Pod, *, operating_system: str, confidential: bool) -> None:
    """Raise `InvalidInput` that names every field of `pod` which a container group cannot honour."""
    complaints = list(_complaints(pod["spec"], operating_system, confidential=confidential))
    if complaints:
        raise InvalidInput("Azure Container Instances cannot run this pod: " + "; ".join(complaints))


def notes(pod: Pod, *, confidential: bool) -> list[str]:
    """Return the paths of what is asked for and not enforced."""
    spec = pod["spec"]
    found = _set_fields(
        "spec.securityContext", spec.get("securityContext"), _UNENFORCED_POD, confidential=confidential
    )
    for path, container, _ in containers(spec):
        context = container.get("securityContext")
        found += _set_fields(f"{path}.securityContext", context, _UNENFORCED, confidential=confidential)
        if container.get("stdin"):
            found.append(f"{path}.stdin")
        if container.get("imagePullPolicy") == "Never":
            found.append(f"{path}.imagePullPolicy")
    for index, volume in enumerate(spec.get("volumes") or ()):
        empty = volume.get("emptyDir") or {}
        found += [
            f"spec.volumes[{index}].emptyDir.{name}" for name in ("medium", "sizeLimit") if empty.get(name)
        ]
    return found


def _set_fields(
    path: str, context: JsonObject | None, names: tuple[str, ...], *, confidential: bool
) -> list[str]:
    context = context or {}
    return [
        f"{path}.{name}"
        for name in names
        if context.get(name) not in (None, [], {})
        and not (confidential and name in _CONFIDENTIAL)
        and not _is_default(name, context[name])
    ]


def _is_default(name: str, value: Any) -> bool:
    """Tell whether `value` is what a container group does anyway."""
    if name in {"runAsNonRoot", "readOnlyRootFilesystem"}:
        return value is False
    if name == "allowPrivilegeEscalation":
        return value is True
    if name in {"seccompProfile", "appArmorProfile"}:
        return isinstance(value, dict) and value.get("type") == "RuntimeDefault"
    return name == "procMount" and value == "Default"


def _complaints(spec: PodSpec, operating_system: str, *, confidential: bool) -> Iterator[str]:
    for field, why in _POD_FLAGS.items():
        if spec.get(field):
            yield f"spec.{field}: {why}"
    fields: JsonObject = {**spec}  # `os` is not among those that the rest of the package reads
    system = (fields.get("os") or {}).get("name", "")
    if system and system != operating_system.lower():
        yield f"spec.os.name: this node runs {operating_system}"
    if (spec.get("securityContext") or {}).get("sysctls"):
        yield "spec.securityContext.sysctls: container groups have no kernel parameters of their own"
    for path, container, is_init in containers(spec):
        yield from _container(path, container, is_init=is_init, confidential=confidential)


def _container(path: str, container: Container, *, is_init: bool, confidential: bool) -> Iterator[str]:
    for field, why in {**_CONTAINER_FIELDS, **(_INIT_FIELDS if is_init else {})}.items():
        if container.get(field):
            yield f"{path}.{field}: {why}"
    if container.get("args") and not container.get("command"):
        yield (
            f"{path}.args: args need a command, for a container group cannot keep the image's entrypoint;"
            " write the entrypoint as command"
        )
    if is_init:
        for kind in ("requests", "limits"):
            if (container.get("resources") or {}).get(kind):
                yield f"{path}.resources.{kind}: init containers of a container group have no resources of their own"
    context = container.get("securityContext") or {}
    if context.get("privileged") and not confidential:
        yield f"{path}.securityContext.privileged: only confidential container groups can be privileged"
    yield from _ports(path, container)
    yield from _mounts(path, container)


def _ports(path: str, container: Container) -> Iterator[str]:
    for index, port in enumerate(container.get("ports") or ()):
        where = f"{path}.ports[{index}]"
        if port.get("hostPort"):
            yield f"{where}.hostPort: container groups have no host; use the pod's own address"
        if port.get("protocol", "TCP") not in {"TCP", "UDP"}:
            yield f"{where}.protocol: only TCP and UDP"


def _mounts(path: str, container: Container) -> Iterator[str]:
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{index}]"
        for field, why in _MOUNT_FIELDS.items():
            if mount.get(field):
                yield f"{where}.{field}: {why}"
        if mount.get("mountPropagation", "None") != "None":
            yield f"{where}.mountPropagation: mounts of container groups do not propagate"
        if mount.get("recursiveReadOnly", "Disabled") == "Enabled":
            yield f"{where}.recursiveReadOnly: cannot be promised"
