"""The Azure clouds and where they answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from virtual_kubelet.errors import ConfigError

__all__ = ["CLOUDS", "PUBLIC", "Cloud", "endpoint", "is_known", "named"]


@dataclass(frozen=True)
class Cloud:
    """One cloud's endpoints, without a slash at the end."""

    name: str
    active_directory: str
    resource_manager: str


PUBLIC = Cloud("AzurePublicCloud", "https://login.microsoftonline.com", "https://management.azure.com")
CLOUDS = (
    PUBLIC,
    Cloud(
        "AzureUSGovernmentCloud", "https://login.microsoftonline.us", "https://management.usgovcloudapi.net"
    ),
    Cloud("AzureChinaCloud", "https://login.chinacloudapi.cn", "https://management.chinacloudapi.cn"),
)

# The Azure CLI and older files have names of their own for the same clouds.
_ALIASES = {
    "azurecloud": "azurepubliccloud",
    "azureusgovernment": "azureusgovernmentcloud",
}
_LOOPBACK = re.compile(r"localhost|127(\.\d+){3}|::1")


def named(name: str, where: str) -> Cloud:
    """Return the cloud called `name`; raise `ConfigError` that begins with `where`."""
    folded = name.casefold()
    folded = _ALIASES.get(folded, folded)
    for cloud in CLOUDS:
        if cloud.name.casefold() == folded:
            return cloud
    known = ", ".join(cloud.name for cloud in CLOUDS)
    raise ConfigError(f'{where}: "{name}" is not an Azure cloud; use one of {known}')


def is_known(active_directory: str) -> bool:
    """Tell whether an endpoint of Entra ID, without a slash at its end, is one of Azure's own clouds."""
    return any(cloud.active_directory == active_directory for cloud in CLOUDS)


def endpoint(url: str, where: str) -> str:
    """Return an endpoint without the slash at its end.

    Secrets and tokens go there: plain http is for this machine only (a fake of ARM in a test).
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f'{where}: "{url}" is not an http or https address')
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(parts.hostname):
        raise ConfigError(f'{where}: "{url}" must be https, for credentials are sent to it')
    return url.rstrip("/")
