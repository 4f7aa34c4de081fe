"""Image pull secrets as ACI's imageRegistryCredentials. Pure.

Input is the decoded content of a secret: `{"auths": {server: entry}}` of kubernetes.io/dockerconfigjson, or
`{server: entry}` of kubernetes.io/dockercfg. ACI wants a server's name without scheme and path.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import JsonObject

__all__ = ["translate"]

# With an identity token in place of a password, Azure Container Registry wants this user name.
IDENTITY_USER = "00000000-0000-0000-0000-000000000000"


def translate(
    secrets: Iterable[JsonObject], servers: Iterable[str] = (), identity: str = ""
) -> list[JsonObject]:
    """Return one credential for each registry: the first that a secret has, else the node's `identity`.

    Raises:
        InvalidInput: a secret has an entry that cannot be used; names the server.
    """
    found: dict[str, JsonObject] = {}
    for secret in secrets:
        for server, credential in _entries(secret):
            found.setdefault(server, credential)
    for server in servers:
        found.setdefault(_host(server), {"server": _host(server), "identity": identity})
    return list(found.values())


def _entries(secret: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    auths = secret.get("auths", secret)
    if not isinstance(auths, Mapping):
        raise InvalidInput("an imagePullSecret has no object of registries in it")
    for address, entry in auths.items():
        if not isinstance(entry, Mapping):
            continue
        server = _host(str(address))
        username, password = _login(server, entry)
        if username and password:
            yield server, {"server": server, "username": username, "password": password}


def _login(server: str, entry: Mapping[str, Any]) -> tuple[str, str]:
    username, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if not username and entry.get("auth"):
        try:
            decoded = base64.b64decode(str(entry["auth"]), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"the imagePullSecret's auth for {server} is not base64 of user:password"
            ) from error
        # A password may have colons, a user name may not.
        username, _, password = decoded.partition(":")
    if not password and entry.get("identitytoken"):
        return IDENTITY_USER, str(entry["identitytoken"])
    return username, password


def _host(address: str) -> str:
    return address.partition("://")[2].partition("/")[0] if "://" in address else address.partition("/")[0]
