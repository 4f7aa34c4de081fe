"""Validation of a container's environment."""

from __future__ import annotations

import re
from collections.abc import Iterable

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["validate_env", "validate_env_from"]

SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
ENV_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
ENV_RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
SUBSCRIPT = re.compile(r"(metadata\.(?:labels|annotations))\['(.*)'\]")
# All printable ASCII but the equals sign (RelaxedEnvironmentVariableValidation, on since 1.32).
ENV_NAME = re.compile(r"[ -<>-~]+")


def validate_env(variables: Iterable[JsonObject], path: str) -> list[FieldError]:
    """Return what is wrong with a container's variables."""
    found = []
    for index, variable in enumerate(variables):
        here = f"{path}[{index}]"
        name = variable.get("name", "")
        if not name:
            found.append(FieldError.required(f"{here}.name"))
        elif not ENV_NAME.fullmatch(name):
            found.append(
                FieldError.invalid(
                    f"{here}.name",
                    name,
                    "a valid environment variable name must consist only of printable ASCII characters "
                    "other than '='",
                )
            )
        if "valueFrom" in variable:
            found += _validate_value_from(variable, f"{here}.valueFrom")
    return found


def _validate_value_from(variable: JsonObject, path: str) -> list[FieldError]:
    source = variable["valueFrom"]
    found = []
    named = [each for each in SOURCES if each in source]
    if not named:
        found.append(
            FieldError.invalid(
                path,
                "",
                "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`",
            )
        )
    if len(named) > 1:
        found.append(FieldError.invalid(path, "", "may not have more than one field specified at a time"))
    if variable.get("value"):
        found.append(FieldError.invalid(path, "", "may not be specified when `value` is not empty"))
    if "fieldRef" in source:
        found += _validate_field_ref(source["fieldRef"], f"{path}.fieldRef")
    if "resourceFieldRef" in source:
        found += _validate_resource_ref(source["resourceFieldRef"], f"{path}.resourceFieldRef")
    for each in ("configMapKeyRef", "secretKeyRef"):
        if each in source:
            found += _validate_key_ref(source[each], f"{path}.{each}")
    return found


def _validate_field_ref(reference: JsonObject, path: str) -> list[FieldError]:
    field = reference.get("fieldPath", "")
    if not field:
        return [FieldError.required(f"{path}.fieldPath")]
    match = SUBSCRIPT.fullmatch(field)
    if match:
        rule = names.label_key if match[1] == "metadata.labels" else names.annotation_key
        return [FieldError.invalid(path, match[2], text) for text in rule(match[2])]
    if field not in ENV_FIELDS:
        return [FieldError.not_supported(f"{path}.fieldPath", field, ENV_FIELDS)]
    return []


def _validate_resource_ref(reference: JsonObject, path: str) -> list[FieldError]:
    resource = reference.get("resource", "")
    if not resource:
        return [FieldError.required(f"{path}.resource")]
    if resource in ENV_RESOURCES or re.match(r"(limits|requests)\.hugepages-", resource):
        return []
    return [FieldError.not_supported(f"{path}.resource", resource, ENV_RESOURCES)]


def _validate_key_ref(reference: JsonObject, path: str) -> list[FieldError]:
    found = []
    if not reference.get("name"):
        found.append(FieldError.required(f"{path}.name"))
    key = reference.get("key", "")
    if not key:
        found.append(FieldError.required(f"{path}.key"))
    else:
        found += [FieldError.invalid(f"{path}.key", key, text) for text in names.config_map_key(key)]
    return found


def validate_env_from(sources: Iterable[JsonObject], path: str) -> list[FieldError]:
    """Return what is wrong with the sources of a container's variables."""
    found = []
    for index, source in enumerate(sources):
        here = f"{path}[{index}]"
        prefix = source.get("prefix", "")
        if prefix and not ENV_NAME.fullmatch(prefix):
            found.append(FieldError.invalid(f"{here}.prefix", prefix, "must be printable ASCII without '='"))
        named = [each for each in ("configMapRef", "secretRef") if each in source]
        if not named:
            found.append(FieldError.invalid(here, "", "must specify one of: `configMapRef` or `secretRef`"))
        if len(named) > 1:
            found.append(FieldError.invalid(here, "", "may not have more than one field specified at a time"))
        for each in named:
            if not source[each].get("name"):
                found.append(FieldError.required(f"{here}.{each}.name"))
    return found
