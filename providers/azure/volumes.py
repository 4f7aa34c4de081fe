"""Volumes of pods as volumes of container groups. Pure.

A container group has four kinds: azureFile, emptyDir, gitRepo, and secret, a flat folder of small files. What
Kubernetes makes from configMaps, secrets, tokens and the downward API becomes a secret volume: its content is
fixed when the group is made.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.provider import File

__all__ = ["Files", "Volumes", "questions", "translate"]

Files = Mapping[str, Mapping[str, File]]
"""The files of each volume that has any, by the volume's name and the file's path."""

CSI_DRIVER = "file.csi.azure.com"
FILE_KINDS = ("secret", "configMap", "projected", "downwardAPI")
# Keys of an Azure Files secret: Kubernetes' own first, then those of early virtual-kubelet.
_ACCOUNT = ("azurestorageaccountname", "accountname", "StorageAccountName")
_KEY = ("azurestorageaccountkey", "accountkey", "StorageAccountKey")
_TOKEN_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105  # a folder


@dataclass(frozen=True)
class Volumes:
    """The volumes of a group, and the names of those that a Windows group has to do without."""

    volumes: list[JsonObject] = field(default_factory=list)
    dropped: frozenset[str] = frozenset()


def questions(pod: Pod) -> dict[str, JsonObject]:
    """Return the Kubernetes volumes whose files have to be asked for, by the name of the pod's volume.

    For Azure Files that is the Secret with the storage account's key, as if it were mounted.

    Raises:
        InvalidInput: a volume names its Secret in a way that cannot work.
    """
    asked: dict[str, JsonObject] = {}
    used = _used(pod)
    for index, volume in enumerate(pod["spec"].get("volumes") or ()):
        if volume["name"] not in used:
            continue
        if any(volume.get(kind) is not None for kind in FILE_KINDS):
            asked[volume["name"]] = volume
        elif secret := _account_secret(f"spec.volumes[{index}]", volume, pod["metadata"]["namespace"]):
            asked[volume["name"]] = {"name": volume["name"], "secret": {"secretName": secret}}
    return asked


def translate(pod: Pod, files: Files, *, operating_system: str) -> Volumes:
    """Return the volumes that containers of `pod` mount.

    Raises:
        InvalidInput: one of a kind that a container group does not have; names the field.
    """
    used = _used(pod)
    mounted = [
        (f"spec.volumes[{index}]", volume)
        for index, volume in enumerate(pod["spec"].get("volumes") or ())
        if volume["name"] in used
    ]
    if operating_system == "Windows":
        return _windows(pod, mounted)
    return Volumes([_volume(path, volume, files) for path, volume in mounted])


def _used(pod: Pod) -> set[str]:
    spec = pod["spec"]
    everything = [*spec["containers"], *(spec.get("initContainers") or ())]
    return {mount["name"] for container in everything for mount in container.get("volumeMounts") or ()}


def _windows(pod: Pod, mounted: list[tuple[str, JsonObject]]) -> Volumes:
    """Every pod gets a token volume by itself, which is no reason to refuse it; others are wanted."""
    tokens = {
        mount["name"]
        for container in pod["spec"]["containers"]
        for mount in container.get("volumeMounts") or ()
        if mount.get("mountPath") == _TOKEN_FOLDER
    }
    for path, volume in mounted:
        if volume["name"] not in tokens:
            raise InvalidInput(f"{path}: Windows container groups have no volumes")
    return Volumes(dropped=frozenset(tokens))


def _volume(path: str, volume: JsonObject, files: Files) -> JsonObject:
    name = volume["name"]
    if any(volume.get(kind) is not None for kind in FILE_KINDS):
        return _secret(path, name, files.get(name, {}))
    if volume.get("emptyDir") is not None:
        return {"name": name, "emptyDir": {}}
    if volume.get("azureFile") is not None:
        source = volume["azureFile"]
        share, read_only = source.get("shareName"), source.get("readOnly")
        return _azure_file(f"{path}.azureFile", name, share, read_only, files)
    if volume.get("csi") is not None:
        source = volume["csi"]
        if source.get("driver") != CSI_DRIVER:
            raise InvalidInput(f"{path}.csi.driver: container groups know {CSI_DRIVER} only")
        share = (source.get("volumeAttributes") or {}).get("shareName")
        return _azure_file(f"{path}.csi", name, share, source.get("readOnly"), files)
    if volume.get("gitRepo") is not None:
        fields = ("repository", "directory", "revision")
        source = volume["gitRepo"]
        return {"name": name, "gitRepo": {key: source[key] for key in fields if source.get(key)}}
    kind = next((key for key in volume if key != "name"), "volume")
    hint = f"; mount an Azure Files share (azureFile, or csi with {CSI_DRIVER})"
    raise InvalidInput(f"{path}.{kind}: container groups have no such volumes{hint}")


def _secret(path: str, name: str, files: Mapping[str, File]) -> JsonObject:
    for file in files:
        if "/" in file:
            raise InvalidInput(
                f'{path}: "{file}" is in a folder, and the volumes of a container group are flat'
            )
    if not files:
        return {"name": name, "emptyDir": {}}  # a secret volume must not be empty
    content = {file: base64.b64encode(item.content).decode() for file, item in sorted(files.items())}
    return {"name": name, "secret": content}


def _azure_file(path: str, name: str, share: Any, read_only: Any, files: Files) -> JsonObject:
    if not share:
        raise InvalidInput(f"{path}: the name of the share is missing (shareName)")
    secret = files.get(name, {})
    account, key = _first(secret, _ACCOUNT), _first(secret, _KEY)
    if not account or not key:
        raise InvalidInput(f"{path}: its Secret must have {_ACCOUNT[0]} and {_KEY[0]}")
    source = {
        "shareName": share,
        "readOnly": bool(read_only),
        "storageAccountName": account,
        "storageAccountKey": key,
    }
    return {"name": name, "azureFile": source}


def _first(files: Mapping[str, File], names: tuple[str, ...]) -> str:
    for name in names:
        if name in files:
            return files[name].content.decode(errors="replace").strip()
    return ""


def _account_secret(path: str, volume: JsonObject, namespace: str) -> str:
    if azure := volume.get("azureFile"):
        return str(azure.get("secretName") or "")
    csi = volume.get("csi")
    if not csi or csi.get("driver") != CSI_DRIVER:
        return ""
    attributes = csi.get("volumeAttributes") or {}
    elsewhere = attributes.get("secretNamespace")
    if elsewhere and elsewhere != namespace:
        raise InvalidInput(
            f"{path}.csi.volumeAttributes.secretNamespace: a node may read Secrets of the pod's namespace only"
        )
    return str((csi.get("nodePublishSecretRef") or {}).get("name") or attributes.get("secretName") or "")
