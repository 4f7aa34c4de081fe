"""Kubeconfig files: reading, merging, and picking the cluster and user of the current context.

The `kubernetes` package can do this too, but its import costs 20 to 40 MB and a third of a second; a node on
a small VM keeps that for credentials that need it (`credentials.py`: plug-ins and OIDC).

Rules of merging are kubectl's: of several files the first one that names a thing wins, and paths in a file
are relative to it.
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from virtual_kubelet.errors import ConfigError

__all__ = ["Entry", "KubeConfig", "read"]


@dataclass(frozen=True)
class Entry:
    """The cluster or user of a context, and the file that it stands in."""

    file: Path
    section: str  # for messages: 'cluster "prod"'
    values: Mapping[str, Any]

    def text(self, key: str) -> str:
        """Return a string value, "" where there is none."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.error(f"{key} has to be a string")
        return value

    def flag(self, key: str) -> bool:
        """Return a boolean value, False where there is none."""
        value = self.values.get(key)
        if value is not None and not isinstance(value, bool):
            raise self.error(f"{key} has to be true or false")
        return bool(value)

    def path(self, key: str) -> str:
        """Return a path, made absolute by the file's directory; "" where there is none. The file must exist."""
        value = self.text(key)
        if not value:
            return ""
        path = self.file.parent / Path(value).expanduser()
        if not path.is_file():
            raise self.error(f"{key} {path}: no such file")
        return str(path)

    def data(self, key: str) -> bytes:
        """Return a base64 value decoded, b"" where there is none."""
        try:
            return base64.b64decode("".join(self.text(key).split()), validate=True)
        except binascii.Error as error:
            raise self.error(f"{key} is not base64") from error

    def error(self, problem: str) -> ConfigError:
        """Return an error that names the file and this entry."""
        return ConfigError(f"kubeconfig {self.file}: {self.section}: {problem}")


@dataclass(frozen=True)
class KubeConfig:
    """What the current context points to."""

    files: str  # as given: one path, or several with os.pathsep between
    context: str
    cluster: Entry
    user: Entry


def read(files: str) -> KubeConfig:
    """Read `files` (one path, or several with `os.pathsep` between) and follow the current context.

    Raises `ConfigError`, one line that names the file, the thing and the remedy.
    """
    paths = [Path(part).expanduser() for part in files.split(os.pathsep) if part]
    present = [path for path in paths if path.exists()]
    if not present:
        raise ConfigError(f"kubeconfig {files}: no such file; name another one with --kubeconfig")
    documents = [(path.absolute(), _load(path)) for path in present]
    name = next((doc["current-context"] for _, doc in documents if doc.get("current-context")), None)
    if name is None:
        raise ConfigError(
            f"kubeconfig {files}: no current-context; choose one: kubectl config use-context NAME"
        )
    context = _find(documents, "contexts", "context", name)
    cluster_name = context.text("cluster")
    if not cluster_name:
        raise context.error("names no cluster")
    user_name = context.text("user")
    return KubeConfig(
        files=files,
        context=str(name),
        cluster=_find(documents, "clusters", "cluster", cluster_name),
        user=_find(documents, "users", "user", user_name)
        if user_name
        else Entry(context.file, "no user", {}),
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"kubeconfig {path}: cannot be read: {_reason(error)}") from error
    except yaml.YAMLError as error:
        # Not the parser's own text: it quotes the lines, and those may hold a key.
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"kubeconfig {path}: not valid YAML{where}") from None
    if document is None:
        raise ConfigError(f"kubeconfig {path}: the file is empty")
    if not isinstance(document, dict):
        raise ConfigError(f"kubeconfig {path}: not a kubeconfig: a mapping was expected at the top")
    return document


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _find(documents: list[tuple[Path, dict[str, Any]]], plural: str, single: str, name: object) -> Entry:
    for path, document in documents:
        items = document.get(plural) or []
        if not isinstance(items, list):
            raise ConfigError(f"kubeconfig {path}: {plural} has to be a list")
        for item in items:
            if isinstance(item, dict) and item.get("name") == name:
                values = item.get(single) or {}
                if not isinstance(values, dict):
                    raise ConfigError(f'kubeconfig {path}: {single} "{name}" has to be a mapping')
                return Entry(path, f'{single} "{name}"', values)
    known = [
        str(item["name"])
        for _, document in documents
        for item in document.get(plural) or []
        if isinstance(item, dict) and "name" in item
    ]
    there = f"there: {', '.join(known)}" if known else "there is none at all"
    raise ConfigError(f'kubeconfig {documents[0][0]}: no {single} "{name}" ({there})')
