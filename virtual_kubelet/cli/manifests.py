"""Manifests from YAML files, and their way to the API server (server-side apply)."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import yaml

from virtual_kubelet.errors import ApiError, ConfigError
from virtual_kubelet.kube.client import APPLY_PATCH, Client
from virtual_kubelet.kube.resources import Resource

__all__ = ["Manifest", "apply", "key", "read"]

Manifest: TypeAlias = dict[str, Any]

FIELD_MANAGER = "virtual-kubelet-dev"


def read(path: str) -> list[Manifest]:
    """Return the objects of a YAML (or JSON) file, lists taken apart; raise `ConfigError`."""
    try:
        documents = list(yaml.safe_load_all(Path(path).read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError(f"manifest {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"manifest {path} is not YAML: {' '.join(str(error).split())}") from error
    objects: list[Manifest] = []
    for document in documents:
        if document is None:
            continue
        if not isinstance(document, dict):
            raise ConfigError(f"manifest {path}: a document is not an object")
        objects += document.get("items", []) if document.get("kind") == "List" else [document]
    for item in objects:
        if not (item.get("apiVersion") and item.get("kind") and item.get("metadata", {}).get("name")):
            raise ConfigError(f"manifest {path}: an object needs apiVersion, kind and metadata.name")
    return objects


def key(item: Manifest) -> str:
    """Return `namespace/name`."""
    metadata = item["metadata"]
    return f"{metadata.get('namespace', 'default')}/{metadata['name']}"


def apply(client: Client, item: Manifest) -> str:
    """Create or change the object; return how it is called."""
    resource = _resource(client, item["apiVersion"], item["kind"])
    metadata = item["metadata"]
    namespace = metadata.get("namespace", "default") if resource.namespaced else None
    called = f"{resource.plural}/{metadata['name']}"
    try:
        client.patch(
            resource,
            metadata["name"],
            item,
            namespace,
            content_type=APPLY_PATCH,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
        )
    except ApiError as error:
        raise ConfigError(f"{called} was not accepted: {error}") from error
    return called


def _resource(client: Client, api_version: str, kind: str) -> Resource:
    """Ask the API server which resource a kind is."""
    group, _, version = api_version.rpartition("/")
    path = f"/apis/{api_version}" if group else f"/api/{version}"
    for entry in client.get_path(path)["resources"]:
        if entry["kind"] == kind and "/" not in entry["name"]:
            return Resource(group, version, entry["name"], kind, entry["namespaced"])
    raise ConfigError(f"the API server knows no {kind} in {api_version}")
