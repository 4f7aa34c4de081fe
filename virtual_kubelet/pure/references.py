"""Which ConfigMaps and Secrets a pod refers to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from virtual_kubelet.objects import Container, JsonObject, Pod

__all__ = ["CONFIG_MAP", "SECRET", "Reference", "containers_of", "references"]

CONFIG_MAP: Final = "ConfigMap"
SECRET: Final = "Secret"  # noqa: S105  # a kind, not a secret

_SECRET_REFERENCES: Final = ("secretRef", "nodePublishSecretRef")
"""Fields of volume sources (csi, cephfs, rbd and the like) that name a Secret of the pod's namespace."""


@dataclass(frozen=True, order=True)
class Reference:
    """A ConfigMap or Secret that a pod names."""

    kind: str
    namespace: str
    name: str
    optional: bool = False


def references(pod: Pod) -> list[Reference]:
    """Return what the environment, the volumes and the image pulls of a pod refer to, each once, sorted.

    What is named more than once is optional only where every mention is. Secrets for image pulls always are:
    a pod starts without them. The service account's token is no Secret's.
    """
    mandatory: dict[tuple[str, str], bool] = {}
    for kind, source in _mentions(pod):
        name = source.get("name") or ""
        if name:
            needed = not source.get("optional")
            mandatory[kind, name] = mandatory.get((kind, name), False) or needed
    namespace = pod["metadata"]["namespace"]
    return sorted(Reference(kind, namespace, name, not needed) for (kind, name), needed in mandatory.items())


def containers_of(pod: Pod) -> Iterator[Container]:
    """Yield the pod's init, app and ephemeral containers, in the order in which they start."""
    spec = pod["spec"]
    yield from spec.get("initContainers") or ()
    yield from spec.get("containers") or ()
    yield from spec.get("ephemeralContainers") or ()


def _mentions(pod: Pod) -> Iterator[tuple[str, JsonObject]]:
    """Yield each mention as its kind and an object with `name` and `optional`."""
    for container in containers_of(pod):
        yield from _environment(container)
    for volume in pod["spec"].get("volumes") or ():
        yield from _volume(volume)
    for secret in pod["spec"].get("imagePullSecrets") or ():
        yield SECRET, {"name": secret.get("name"), "optional": True}


def _environment(container: Container) -> Iterator[tuple[str, JsonObject]]:
    for source in container.get("envFrom") or ():
        yield CONFIG_MAP, source.get("configMapRef") or {}
        yield SECRET, source.get("secretRef") or {}
    for variable in container.get("env") or ():
        value_from = variable.get("valueFrom") or {}
        yield CONFIG_MAP, value_from.get("configMapKeyRef") or {}
        yield SECRET, value_from.get("secretKeyRef") or {}


def _volume(volume: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    yield CONFIG_MAP, volume.get("configMap") or {}
    secret = volume.get("secret") or {}
    yield SECRET, {"name": secret.get("secretName"), "optional": secret.get("optional")}
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield CONFIG_MAP, source.get("configMap") or {}
        yield SECRET, source.get("secret") or {}
    azure = volume.get("azureFile") or {}
    yield SECRET, {"name": azure.get("secretName")}
    for source in volume.values():
        if isinstance(source, dict):
            for field in _SECRET_REFERENCES:
                yield SECRET, {"name": (source.get(field) or {}).get("name")}
