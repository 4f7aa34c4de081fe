"""Kubeconfig files for the control plane."""

from __future__ import annotations

import base64
import os
import tempfile
from pathlib import Path

import yaml

from virtual_kubelet.objects import JsonObject

__all__ = ["kubeconfig", "write_private"]

NAME = "virtual-kubelet-dev"


def kubeconfig(url: str, ca: bytes, token: str) -> JsonObject:
    """Return a kubeconfig with one cluster, one user and one context."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(ca).decode()}
    context = {"cluster": NAME, "user": "admin", "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": NAME, "cluster": cluster}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": context}],
        "current-context": NAME,
    }


def write_private(path: str | Path, content: JsonObject) -> None:
    """Write YAML to a file that only its owner can read; what was there is replaced at one stroke."""
    target = Path(path)
    descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")  # mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yaml.safe_dump(content, file, sort_keys=False)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
