"""Names of images, and which credentials fit them. Pure.

Matching follows the kubelet: an entry's registry may have `*` in parts of its host name and a path, of which the
longest that fits comes first. Sources: distribution's reference grammar; "Images" in the Kubernetes documentation.
"""

from __future__ import annotations

import base64
import binascii
import fnmatch
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.objects import JsonObject

__all__ = ["Reference", "auth_header", "credentials_for", "parse"]

HUB = "docker.io"
HUB_SERVER = "https://index.docker.io/v1/"
HUB_NAMES = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})

_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<name>(?:(?:[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::[0-9]+)?/)?{_NAME}(?:/{_NAME})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?:@(?P<digest>[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[0-9a-fA-F]{32,}))?"
)


@dataclass(frozen=True)
class Reference:
    """An image's name in parts."""

    name: str  # as written, without tag and digest
    tag: str
    digest: str

    @property
    def pull_tag(self) -> str:
        """What identifies it within its repository."""
        return self.digest or self.tag or "latest"

    @property
    def whole(self) -> str:
        """The name with what identifies it."""
        return f"{self.name}@{self.digest}" if self.digest else f"{self.name}:{self.tag or 'latest'}"

    @property
    def registry(self) -> str:
        """The registry's host."""
        first, slash, _ = self.name.partition("/")
        return first if slash and ("." in first or ":" in first or first == "localhost") else HUB

    @property
    def repository(self) -> str:
        """The path within the registry."""
        if self.registry != HUB or self.name.startswith(f"{HUB}/"):
            path = self.name.partition("/")[2]
        else:
            path = self.name
        return f"library/{path}" if self.registry == HUB and "/" not in path else path


def parse(text: str) -> Reference:
    """Return the parts of an image's name; raise `ValueError`."""
    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise ValueError(f'couldn\'t parse image name "{text}": invalid reference format')
    return Reference(match["name"], match["tag"] or "", match["digest"] or "")


def credentials_for(reference: Reference, secrets: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the credentials to try, best first, as the API's AuthConfig.

    Args:
        reference: the image.
        secrets: decoded contents of `kubernetes.io/dockerconfigjson` or `kubernetes.io/dockercfg`.
    """
    found = [entry for secret in secrets for entry in _entries(secret) if _fits(entry[0], reference)]
    found.sort(key=lambda entry: len(entry[0]), reverse=True)
    return [auth for _, auth in found]


def _entries(secret: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    entries = secret.get("auths", secret)
    if not isinstance(entries, Mapping):
        return
    for server, entry in entries.items():
        if isinstance(entry, Mapping):
            auth = _auth(str(server), entry)
            if auth:
                yield _bare(str(server)), auth


def _auth(server: str, entry: Mapping[str, Any]) -> JsonObject:
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth") and not user:
        try:
            decoded = base64.b64decode(str(entry["auth"])).decode()
        except (binascii.Error, UnicodeDecodeError):
            return {}
        user, _, password = decoded.partition(":")
    auth: JsonObject = {"username": user, "password": password, "serveraddress": server}
    for key, name in (
        ("identitytoken", "identitytoken"),
        ("registrytoken", "registrytoken"),
        ("email", "email"),
    ):
        if entry.get(key):
            auth[name] = str(entry[key])
    return auth if user or "identitytoken" in auth or "registrytoken" in auth else {}


def _bare(server: str) -> str:
    """Return host and path of a registry's entry, without scheme and the API's version."""
    text = server.partition("://")[2] or server
    text = text.rstrip("/")
    for ending in ("/v1", "/v2"):
        text = text.removesuffix(ending)
    return text


def _fits(server: str, reference: Reference) -> bool:
    host, _, path = server.partition("/")
    registry = reference.registry
    same = registry in HUB_NAMES if host in HUB_NAMES else _same_host(registry, host)
    return same and (not path or f"{reference.repository}/".startswith(f"{path}/"))


def _same_host(registry: str, pattern: str) -> bool:
    name, _, port = registry.partition(":")
    wanted, _, wanted_port = pattern.partition(":")
    parts, patterns = name.split("."), wanted.split(".")
    return (
        port == wanted_port
        and len(parts) == len(patterns)
        and all(fnmatch.fnmatchcase(part, item) for part, item in zip(parts, patterns, strict=True))
    )


def auth_header(auth: JsonObject) -> dict[str, str]:
    """Return the header `X-Registry-Auth`."""
    return {"X-Registry-Auth": base64.urlsafe_b64encode(codec.dumps(auth)).decode()}
