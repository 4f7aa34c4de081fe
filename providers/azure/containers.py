"""The containers of a pod as containers of a group. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject, PodSpec
from virtual_kubelet.providers.azure import probes
from virtual_kubelet.pure.expansion import command_line

__all__ = ["ContainerWriter"]


class ContainerWriter:
    """Writes the containers of one pod."""

    def __init__(
        self,
        spec: PodSpec,
        secret_names: Mapping[str, frozenset[str]],
        *,
        dropped: frozenset[str] = frozenset(),
        confidential: bool = False,
    ) -> None:
        """See `translate.Materials` for `secret_names`; `dropped` are volumes that are not mounted."""
        self._spec = spec
        self._secret_names = secret_names
        self._dropped = dropped
        self._confidential = confidential

    def containers(self, sizes: Sequence[JsonObject]) -> list[JsonObject]:
        """Return the containers, with `sizes` as their `resources`."""
        return [
            self._whole(f"spec.containers[{index}]", container, size)
            for index, (container, size) in enumerate(zip(self._spec["containers"], sizes, strict=True))
        ]

    def init_containers(self) -> list[JsonObject]:
        """Return the init containers."""
        return [
            self._plain(f"spec.initContainers[{index}]", container)
            for index, container in enumerate(self._spec.get("initContainers") or ())
        ]

    def _whole(self, path: str, container: Container, size: JsonObject) -> JsonObject:
        result = self._plain(path, container)
        properties = result["properties"]
        properties["resources"] = size
        if ports := container.get("ports"):
            properties["ports"] = [
                {"port": port["containerPort"], "protocol": port.get("protocol", "TCP")} for port in ports
            ]
        if probe := container.get("livenessProbe"):
            properties["livenessProbe"] = probes.translate(f"{path}.livenessProbe", probe, container)
        if probe := container.get("readinessProbe"):
            properties["readinessProbe"] = probes.translate(f"{path}.readinessProbe", probe, container)
        return result

    def _plain(self, path: str, container: Container) -> JsonObject:
        """Return what init containers have and the others have too."""
        secret_names = self._secret_names.get(container["name"], frozenset())
        variables, values = _environment(path, container, secret_names)
        command, args = command_line(container, values)
        properties: JsonObject = {"image": container.get("image", "")}
        optional = {
            "command": [*command, *args],
            "environmentVariables": variables,
            "volumeMounts": _mounts(container, self._dropped),
            "securityContext": _security(container, self._spec) if self._confidential else None,
        }
        properties.update({name: value for name, value in optional.items() if value})
        return {"name": container["name"], "properties": properties}


def _environment(
    path: str, container: Container, secret_names: frozenset[str]
) -> tuple[list[JsonObject], dict[str, str]]:
    """Return the variables as ACI has them, and all values by name.

    ACI takes no empty value: such a variable is left out. What came from a Secret is a secureValue, which
    nobody can read back.
    """
    variables: list[JsonObject] = []
    values: dict[str, str] = {}
    for index, variable in enumerate(container.get("env") or ()):
        name = variable["name"]
        if variable.get("valueFrom"):
            raise InvalidInput(f"{path}.env[{index}]: {_unknown(name, variable['valueFrom'])}")
        value = values[name] = variable.get("value") or ""
        if value:
            variables.append({"name": name, "secureValue" if name in secret_names else "value": value})
    if container.get("envFrom"):
        raise InvalidInput(f"{path}.envFrom: has not been resolved")
    return list({item["name"]: item for item in variables}.values()), values


def _unknown(name: str, source: JsonObject) -> str:
    field_path = (source.get("fieldRef") or {}).get("fieldPath")
    if field_path:
        return (
            f"{name} is {field_path}, which is known only once the container group runs,"
            " and its environment cannot be changed then"
        )
    return f"{name} has not been resolved"


def _mounts(container: Container, dropped: frozenset[str]) -> list[JsonObject]:
    return [
        {"name": mount["name"], "mountPath": mount["mountPath"], "readOnly": bool(mount.get("readOnly"))}
        for mount in container.get("volumeMounts") or ()
        if mount["name"] not in dropped
    ]


def _security(container: Container, spec: PodSpec) -> JsonObject:
    """Return the securityContext of a container of a confidential group: the others have none."""
    shared = spec.get("securityContext") or {}
    own = container.get("securityContext") or {}
    merged: JsonObject = {key: shared[key] for key in ("runAsUser", "runAsGroup") if key in shared}
    merged.update(own)
    fields = ("privileged", "allowPrivilegeEscalation", "runAsUser", "runAsGroup")
    result: JsonObject = {name: merged[name] for name in fields if merged.get(name) is not None}
    if capabilities := merged.get("capabilities"):
        result["capabilities"] = {
            kind: list(capabilities[kind]) for kind in ("add", "drop") if capabilities.get(kind)
        }
    return result
