"""Reading ConfigMaps, Secrets and Services for a pod, and what is said when they cannot be had.

Reasons and texts of events are those that operators of the original know and alert on.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Final, Protocol

from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import ConfigMap, Secret, Service
from virtual_kubelet.pure.problems import Problem
from virtual_kubelet.pure.references import CONFIG_MAP

__all__ = ["Lookups", "Source", "read"]


class Lookups(Protocol):
    """Gives objects by namespace and name: None where there is none; raises `ApiError` where it cannot tell."""

    def config_map(self, namespace: str, name: str, /) -> ConfigMap | None:
        """Return a ConfigMap."""

    def secret(self, namespace: str, name: str, /) -> Secret | None:
        """Return a Secret."""

    def services(self, namespace: str, /) -> Iterable[Service]:
        """Return the Services of a namespace."""


class Source:
    """The content of one ConfigMap or Secret, decoded where it is asked for."""

    def __init__(self, found: ConfigMap | Secret, *, secret: bool) -> None:
        self._found = found
        self.secret = secret

    def keys(self) -> list[str]:
        """Return the keys of `data`, sorted."""
        return sorted(self._found.get("data") or ())

    def text(self, key: str) -> str | None:
        """Return a value of `data`; None where there is none.

        Raises:
            ValueError: it is not text that an environment variable can hold; the message is about "the value".
        """
        value = (self._found.get("data") or {}).get(key)
        if value is None:
            return None
        if self.secret:
            try:
                value = _decoded(value).decode()
            except UnicodeDecodeError as error:
                raise ValueError("the value is not UTF-8 text") from error
        if "\0" in value:
            raise ValueError("the value holds a NUL")
        return value

    def files(self) -> Mapping[str, bytes]:
        """Return all content as files have it: `data`, and for a ConfigMap `binaryData` too.

        Raises:
            ValueError: something that must be base64 is not.
        """
        data = self._found.get("data") or {}
        if self.secret:
            return {key: _decoded(value) for key, value in data.items()}
        files = {key: value.encode() for key, value in data.items()}
        binary: Mapping[str, str] = self._found.get("binaryData") or {}  # type: ignore[assignment]  # not a Secret here
        return files | {key: _decoded(value) for key, value in binary.items()}


_WORDS: Final = {True: ("Secret", "secret"), False: ("ConfigMap", "configmap")}


def read(
    lookups: Lookups,
    kind: str,
    namespace: str,
    name: str,
    *,
    optional: bool,
    variable: str = "",
    container: str = "",
) -> Source | Problem:
    """Return the content of a ConfigMap or Secret, or what to say of its absence.

    An optional object may be missing; that the API server cannot tell just now is another thing, and blocks:
    else a pod would start without half its settings because of a moment's outage.

    Args:
        lookups: where to look.
        kind: `ConfigMap` or `Secret`.
        namespace: the pod's.
        name: the object's.
        optional: whether the pod can do without.
        variable: the environment variable that is skipped where it is optional; "" for envFrom.
        container: for the problem.
    """
    secret = kind != CONFIG_MAP
    title, word = _WORDS[secret]
    skipping = f'skipping optional envvar "{variable}": ' if optional and variable else ""
    try:
        found = lookups.secret(namespace, name) if secret else lookups.config_map(namespace, name)
    except ApiError as error:
        blocking = not optional or error.retryable
        failed = f'failed to read {word} "{name}"'
        return Problem(
            f"FailedToRead{'Optional' if optional else 'Mandatory'}{title}",
            failed if blocking else skipping + failed,
            blocking,
            error=f"{failed}: {error}",
            container=container,
        )
    if found is not None:
        return Source(found, secret=secret)
    return Problem(
        f"{'Optional' if optional else 'Mandatory'}{title}NotFound",
        f'{skipping}{word} "{name}" not found',
        not optional,
        container=container,
    )


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        raise ValueError("the value is not base64") from error
