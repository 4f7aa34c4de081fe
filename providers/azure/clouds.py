"""The Azure clouds and where they answer."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from virtual_kubelet.errors import ConfigError

__all__ = ["CLOUDS", "PUBLIC", "Cloud", "endpoint", "named"]


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
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def named(name: str, where: str) -> Cloud:
    """Return the cloud called `name`; raise `ConfigError` that begins with `where`."""
    folded = name.casefold()
    folded = _ALIASES.get(folded, folded)
    for cloud in CLOUDS:
        if cloud.name.casefold() == folded:
            return cloud
    known = ", ".join(cloud.name for cloud in CLOUDS)
    raise ConfigError(f'{where}: "{name}" is not an Azure cloud; use one of {known}')


def endpoint(url: str, where: str) -> str:
    """Return an endpoint without the slash at its end.

    Secrets and tokens go there: plain http is for this machine only (a fake of ARM in a test).
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ConfigError(f'{where}: "{url}" is not an http or https address')
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise ConfigError(f'{where}: "{url}" must be https, for credentials are sent to it')
    return url.rstrip("/")
