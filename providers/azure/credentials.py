"""Who we are to Azure: put together from files and settings, and told apart by kind.

Three sources, the later beats the earlier: the file of `az ad sp create-for-rbac --sdk-auth`
(AZURE_AUTH_LOCATION), the azure.json of an AKS node (AKS_CREDENTIAL_LOCATION), settings and environment.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.providers.azure import clouds

__all__ = ["Credential", "Kind", "Place", "gather", "load_file"]

# PowerShell redirects text as UTF-16; the longer mark first, for UTF-32 LE begins with UTF-16 LE's.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_AUTH_FILE = {
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "subscriptionId": "subscription_id",
    "tenantId": "tenant_id",
    "userIdentityClientId": "identity_client_id",
    "activeDirectoryEndpointUrl": "active_directory",
    "resourceManagerEndpointUrl": "resource_manager",
}
_AKS_FILE = {
    "cloud": "cloud",
    "tenantId": "tenant_id",
    "subscriptionId": "subscription_id",
    "aadClientId": "client_id",
    "aadClientSecret": "client_secret",
    "userAssignedIdentityID": "identity_client_id",
    "resourceGroup": "resource_group",
    "location": "region",
    "vnetName": "vnet_name",
    "vnetResourceGroup": "vnet_resource_group",
}
_MSI = "msi"  # what azure.json has in place of a client id and secret on a node with a managed identity


class Kind(Enum):
    """How a token is got."""

    SERVICE_PRINCIPAL = "service principal"
    WORKLOAD_IDENTITY = "workload identity"
    MANAGED_IDENTITY = "managed identity"


@dataclass(frozen=True)
class Credential:
    """Everything that a token request needs. The secret is not shown by `repr`."""

    kind: Kind
    active_directory: str
    resource_manager: str
    tenant_id: str = ""
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    federated_token_file: str = ""
    audience: str = ""  # of Resource Manager, as the file or setting writes its endpoint

    @property
    def resource(self) -> str:
        """What a token is for, as the v1 endpoint of Entra ID wants it."""
        return self.audience or f"{self.resource_manager}/"


@dataclass(frozen=True)
class Place:
    """Where things are: what an AKS node's azure.json says about that, and the subscription."""

    subscription_id: str
    values: Mapping[str, str] = field(default_factory=dict)


def gather(values: Mapping[str, Any]) -> tuple[Credential, Place]:
    """Return the credential and the place that the settings `values` and the files they name amount to.

    Raises:
        ConfigError: a file is not as it should be, or something is missing; names the remedy.
    """
    merged: dict[str, Any] = {}
    if path := values.get("auth_location"):
        merged.update(_from_file(path, _AUTH_FILE, "AZURE_AUTH_LOCATION"))
    place: dict[str, str] = {}
    if path := values.get("aks_location"):
        node = _from_file(path, _AKS_FILE, "AKS_CREDENTIAL_LOCATION")
        if node.get("client_id", "").casefold() == _MSI:
            node.pop("client_id")
            node.pop("client_secret", None)
            merged["managed_identity"] = True
        merged.update(node)
        place = node
    merged.update(values)
    return _credential(merged), Place(_subscription(merged), place)


def _subscription(merged: Mapping[str, Any]) -> str:
    subscription: str = merged.get("subscription_id", "")
    if not subscription:
        raise ConfigError(
            "no Azure subscription: set AZURE_SUBSCRIPTION_ID, or subscriptionId in the AZURE_AUTH_LOCATION file"
        )
    return subscription


def _credential(merged: Mapping[str, Any]) -> Credential:
    kind = _kind(merged)
    cloud = clouds.named(merged["cloud"], "Cloud") if merged.get("cloud") else clouds.PUBLIC
    tenant = merged.get("tenant_id", "")
    if not tenant and kind is not Kind.MANAGED_IDENTITY:
        raise ConfigError(f"no Azure tenant for the {kind.value}: set AZURE_TENANT_ID")
    name = "identity_client_id" if kind is Kind.MANAGED_IDENTITY else "client_id"
    return Credential(
        kind=kind,
        active_directory=clouds.endpoint(
            merged.get("active_directory") or cloud.active_directory, "the Active Directory endpoint"
        ),
        resource_manager=clouds.endpoint(
            merged.get("resource_manager") or cloud.resource_manager, "the Resource Manager endpoint"
        ),
        tenant_id=tenant,
        client_id=merged.get(name, ""),
        client_secret=merged.get("client_secret", "") if kind is Kind.SERVICE_PRINCIPAL else "",
        federated_token_file=merged.get("federated_token_file", ""),
        audience=merged.get("resource_manager", ""),
    )


def _kind(merged: Mapping[str, Any]) -> Kind:
    if merged.get("client_id") and merged.get("client_secret"):
        return Kind.SERVICE_PRINCIPAL
    if merged.get("client_id") and merged.get("federated_token_file"):
        return Kind.WORKLOAD_IDENTITY
    if merged.get("identity_client_id") or merged.get("managed_identity"):
        return Kind.MANAGED_IDENTITY
    if merged.get("client_id"):
        raise ConfigError(
            "an Azure client id without its secret: set AZURE_CLIENT_SECRET (or clientSecret in the"
            " AZURE_AUTH_LOCATION file), AZURE_FEDERATED_TOKEN_FILE for workload identity, or"
            " VIRTUALNODE_USER_IDENTITY_CLIENTID for a managed identity"
        )
    raise ConfigError(
        "no Azure credentials: set AZURE_AUTH_LOCATION to the file of az ad sp create-for-rbac --sdk-auth,"
        " or AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID, or ManagedIdentity = true"
    )


def _from_file(path: str, names: Mapping[str, str], source: str) -> dict[str, str]:
    document = load_file(path, source)
    found: dict[str, str] = {}
    for key, name in names.items():
        value = document.get(key)
        if value in (None, ""):
            continue
        if not isinstance(value, str):
            raise ConfigError(f"{source} {path}: {key} must be a string")
        found[name] = value.strip()
    return found


def load_file(path: str, source: str) -> dict[str, Any]:
    """Return the JSON object of a file with secrets; `ConfigError` begins with `source`."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{source} {path}: {error.strerror}") from error
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        document = codec.loads(content.decode(encoding))
    except ValueError as error:
        # The parser's words may quote the file, which holds a secret.
        raise ConfigError(
            f"{source} {path}: not JSON (in UTF-8, or UTF-16 with a byte order mark)"
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(f"{source} {path}: must hold a JSON object")
    return document
