"""Validation of a pod's volumes."""

from __future__ import annotations

from collections.abc import Iterable

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.container_validation import validate_below
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["validate_volumes"]

MODE_LIMIT = 0o777
HOST_PATH_TYPES = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
REQUIRED = {
    "hostPath": "path",
    "secret": "secretName",
    "configMap": "name",
    "persistentVolumeClaim": "claimName",
    "nfs": "server",
    "csi": "driver",
}
WITH_ITEMS = ("secret", "configMap")
SHORTEST_TOKEN, LONGEST_TOKEN = 600, 1 << 32  # seconds


def validate_volumes(volumes: Iterable[JsonObject], path: str) -> list[FieldError]:
    """Return what is wrong with a pod's volumes."""
    found = []
    seen = set()
    for index, volume in enumerate(volumes):
        here = f"{path}[{index}]"
        name = volume.get("name", "")
        if not name:
            found.append(FieldError.required(f"{here}.name"))
        else:
            found += [FieldError.invalid(f"{here}.name", name, text) for text in names.dns_label(name)]
        if name in seen:
            found.append(FieldError.duplicate(f"{here}.name", name))
        seen.add(name)
        found += _validate_source(volume, here)
    return found


def _validate_source(volume: JsonObject, path: str) -> list[FieldError]:
    kinds = [field for field in volume if field != "name"]
    if not kinds:
        return [FieldError.required(path, "must specify a volume type")]
    found = [
        FieldError.forbidden(f"{path}.{kind}", "may not specify more than 1 volume type")
        for kind in kinds[1:]
    ]
    kind = kinds[0]
    source, here = volume[kind], f"{path}.{kind}"
    if kind in REQUIRED and not source.get(REQUIRED[kind]):
        found.append(FieldError.required(f"{here}.{REQUIRED[kind]}"))
    if kind in WITH_ITEMS:
        found += _validate_mode(source, "defaultMode", here) + _validate_items(source, here)
    elif kind == "hostPath" and source.get("type", "") not in HOST_PATH_TYPES:
        found.append(FieldError.not_supported(f"{here}.type", source["type"], HOST_PATH_TYPES))
    elif kind == "downwardAPI":
        found += _validate_mode(source, "defaultMode", here) + _validate_downward(source, here)
    elif kind == "projected":
        found += _validate_mode(source, "defaultMode", here)
        found += _validate_projections(source.get("sources") or (), f"{here}.sources")
    return found


def _validate_mode(source: JsonObject, field: str, path: str) -> list[FieldError]:
    mode = source.get(field)
    if mode is None or 0 <= mode <= MODE_LIMIT:
        return []
    return [
        FieldError.invalid(
            f"{path}.{field}", mode, "must be a number between 0 and 0777 (octal), both inclusive"
        )
    ]


def _validate_items(source: JsonObject, path: str) -> list[FieldError]:
    found = []
    for index, item in enumerate(source.get("items") or ()):
        here = f"{path}.items[{index}]"
        found += [FieldError.required(f"{here}.{each}") for each in ("key", "path") if not item.get(each)]
        found += validate_below(item.get("path", ""), f"{here}.path") + _validate_mode(item, "mode", here)
    return found


def _validate_downward(source: JsonObject, path: str) -> list[FieldError]:
    found = []
    for index, item in enumerate(source.get("items") or ()):
        here = f"{path}.items[{index}]"
        if not item.get("path"):
            found.append(FieldError.required(f"{here}.path"))
        found += validate_below(item.get("path", ""), f"{here}.path") + _validate_mode(item, "mode", here)
        if "fieldRef" not in item and "resourceFieldRef" not in item:
            found.append(FieldError.required(here, "one of fieldRef and resourceFieldRef is required"))
        elif "resourceFieldRef" in item and not item["resourceFieldRef"].get("containerName"):
            found.append(FieldError.required(f"{here}.resourceFieldRef.containerName"))
    return found


def _validate_projections(sources: Iterable[JsonObject], path: str) -> list[FieldError]:
    found = []
    for index, source in enumerate(sources):
        here = f"{path}[{index}]"
        if len(source) > 1:
            found.append(FieldError.forbidden(here, "may not specify more than 1 volume type per source"))
        for kind in WITH_ITEMS:
            if kind in source:
                if not source[kind].get("name"):
                    found.append(FieldError.required(f"{here}.{kind}.name"))
                found += _validate_items(source[kind], f"{here}.{kind}")
        if "downwardAPI" in source:
            found += _validate_downward(source["downwardAPI"], f"{here}.downwardAPI")
        if "serviceAccountToken" in source:
            found += _validate_token(source["serviceAccountToken"], f"{here}.serviceAccountToken")
    return found


def _validate_token(source: JsonObject, path: str) -> list[FieldError]:
    found = [] if source.get("path") else [FieldError.required(f"{path}.path")]
    seconds = source.get("expirationSeconds", SHORTEST_TOKEN)
    if seconds < SHORTEST_TOKEN:
        complaint = "may not specify a duration less than 10 minutes"
        found.append(FieldError.invalid(f"{path}.expirationSeconds", seconds, complaint))
    if seconds > LONGEST_TOKEN:
        complaint = "may not specify a duration larger than 2^32 seconds"
        found.append(FieldError.invalid(f"{path}.expirationSeconds", seconds, complaint))
    return found
