"""The provider's settings as a table: key of the TOML file, environment variables, how the value is read.

Keys are compared without regard to case, hyphens and underscores; environment variables beat the file. The
variables are those of both generations of the Go provider, so that an old Deployment keeps working.
"""

from __future__ import annotations

import difflib
import ipaddress
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.pure import quantity

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["SETTINGS", "Setting", "read"]


class WrongValue(ValueError):
    """What a setting must be, and is not."""


TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def text(value: Any) -> str:
    """Read a string; numbers are taken as they are written."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise WrongValue("must be a string")
    return str(value).strip()


def boolean(value: Any) -> bool:
    """Read true or false."""
    word = str(value).strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise WrongValue("must be true or false")


def count(value: Any) -> int:
    """Read a whole number above 0."""
    try:
        number = int(text(value))
    except ValueError as error:
        raise WrongValue("must be a whole number") from error
    if number < 1:
        raise WrongValue("must be at least 1")
    return number


def amount(value: Any) -> str:
    """Read a resource quantity."""
    word = text(value)
    if not word:
        return ""
    try:
        parsed = quantity.parse(word)
    except ValueError as error:
        raise WrongValue("must be a resource quantity such as 20, 500m or 100Gi") from error
    if parsed.nanos < 0:
        raise WrongValue("must not be negative")
    return word


def texts(value: Any) -> tuple[str, ...]:
    """Read a list of the file, or a comma-separated string."""
    items = value if isinstance(value, list) else text(value).split(",")
    words = tuple(text(item) for item in items)
    return tuple(word for word in words if word)


def amounts(value: Any) -> Mapping[str, str]:
    """Read a table of resource quantities."""
    return {name: amount(item) for name, item in table(value).items()}


def table(value: Any) -> Mapping[str, str]:
    """Read a table of strings, or `name=value` pairs with commas between them."""
    if isinstance(value, str):
        pairs = [item.partition("=") for item in value.split(",") if item.strip()]
        if any(not equals for _, equals, _ in pairs):
            raise WrongValue("must be pairs such as name=value,name=value")
        return {name.strip(): item.strip() for name, _, item in pairs}
    if not isinstance(value, dict):
        raise WrongValue("must be a table")
    return {name: text(item) for name, item in value.items()}


def addresses(value: Any) -> tuple[str, ...]:
    """Read IP addresses."""
    words = texts(value)
    for word in words:
        try:
            ipaddress.ip_address(word)
        except ValueError as error:
            raise WrongValue(f'must be IP addresses, and "{word}" is none') from error
    return words


def network(value: Any) -> str:
    """Read a network in CIDR form."""
    word = text(value)
    if word:
        try:
            ipaddress.ip_network(word)
        except ValueError as error:
            raise WrongValue(f"must be a network such as 10.241.0.0/16 ({error})") from error
    return word


def one_of(*allowed: str) -> Callable[[Any], str]:
    """Return a reader of one of `allowed`, whatever the case of its letters."""

    def parse(value: Any) -> str:
        word = text(value)
        for item in allowed:
            if word.casefold() == item.casefold():
                return item
        if word:
            raise WrongValue(f"must be one of {', '.join(allowed)}")
        return ""

    return parse


@dataclass(frozen=True)
class Setting:
    """One setting; its Python name is the key of `read`'s answer."""

    name: str
    key: str
    parse: Callable[[Any], Any]
    environment: tuple[str, ...] = ()


SETTINGS = (
    Setting("resource_group", "ResourceGroup", text, ("ACI_RESOURCE_GROUP",)),
    Setting("region", "Region", text, ("ACI_REGION",)),
    Setting("operating_system", "OperatingSystem", text),
    # What the node offers
    Setting("cpu", "CPU", amount, ("ACI_QUOTA_CPU",)),
    Setting("memory", "Memory", amount, ("ACI_QUOTA_MEMORY",)),
    Setting("pods", "Pods", amount, ("ACI_QUOTA_POD",)),
    Setting("others", "Others", amounts),
    # Who we are
    Setting("cloud", "Cloud", text, ("AZURE_CLOUD", "AZURE_ENVIRONMENT")),
    Setting("auth_location", "AuthLocation", text, ("AZURE_AUTH_LOCATION",)),
    Setting(
        "aks_location",
        "AksCredentialLocation",
        text,
        ("AKS_CREDENTIAL_LOCATION", "ACS_CREDENTIAL_LOCATION"),
    ),
    Setting("subscription_id", "SubscriptionId", text, ("AZURE_SUBSCRIPTION_ID",)),
    Setting("tenant_id", "TenantId", text, ("AZURE_TENANT_ID",)),
    Setting("client_id", "ClientId", text, ("AZURE_CLIENT_ID",)),
    Setting("client_secret", "", text, ("AZURE_CLIENT_SECRET",)),  # never in the file
    Setting("federated_token_file", "FederatedTokenFile", text, ("AZURE_FEDERATED_TOKEN_FILE",)),
    Setting("identity_client_id", "UserIdentityClientId", text, ("VIRTUALNODE_USER_IDENTITY_CLIENTID",)),
    Setting("managed_identity", "ManagedIdentity", boolean),
    Setting("active_directory", "ActiveDirectoryEndpoint", text, ("AZURE_AUTHORITY_HOST",)),
    Setting("resource_manager", "ResourceManagerEndpoint", text, ("AZURE_RESOURCE_MANAGER_ENDPOINT",)),
    # Where pods are reached
    Setting("vnet_subscription_id", "VnetSubscriptionId", text, ("ACI_VNET_SUBSCRIPTION_ID",)),
    Setting("vnet_resource_group", "VnetResourceGroup", text, ("ACI_VNET_RESOURCE_GROUP",)),
    Setting("vnet_name", "VnetName", text, ("ACI_VNET_NAME",)),
    Setting("subnet_name", "SubnetName", text, ("ACI_SUBNET_NAME",)),
    Setting("subnet_cidr", "SubnetCIDR", network, ("ACI_SUBNET_CIDR",)),
    Setting("dns_servers", "DnsServers", addresses, ("KUBE_DNS_IP",)),
    Setting("public_ip", "PublicIP", boolean),
    Setting("kube_proxy_kubeconfig", "KubeProxyKubeconfig", text),
    Setting("cluster_cidr", "ClusterCIDR", network, ("CLUSTER_CIDR",)),
    # What every container group gets
    Setting("identities", "Identities", texts),
    Setting("registry_identity", "ImageRegistryIdentity", text),
    Setting("registry_servers", "ImageRegistryServers", texts),
    Setting("priority", "Priority", one_of("Regular", "Spot")),
    Setting("zones", "Zones", texts),
    Setting("tags", "Tags", table),
    Setting("gpu_type", "GpuType", text),
    Setting("log_analytics_location", "LogAnalyticsAuthLocation", text, ("LOG_ANALYTICS_AUTH_LOCATION",)),
    Setting("log_analytics_id", "LogAnalyticsId", text, ("LOG_ANALYTICS_ID",)),
    Setting("log_analytics_key", "", text, ("LOG_ANALYTICS_KEY",)),  # never in the file
    Setting("cluster_resource_id", "ClusterResourceId", text, ("CLUSTER_RESOURCE_ID",)),
    Setting("realtime_metrics", "RealTimeMetrics", boolean, ("ENABLE_REAL_TIME_METRICS",)),
    # How we behave
    Setting("cluster_id", "ClusterId", text),
    Setting("reads_per_minute", "ReadsPerMinute", count),
    Setting("api_version", "ApiVersion", text),
    Setting("extra_user_agent", "ExtraUserAgent", text, ("ACI_EXTRA_USER_AGENT",)),
)

_BY_KEY = {setting.key.lower(): setting for setting in SETTINGS if setting.key}
_ONLY_IN_ENVIRONMENT = {
    "clientsecret": "AZURE_CLIENT_SECRET",
    "loganalyticskey": "LOG_ANALYTICS_KEY",
}


def read(path: str, environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values that are set, by Python name, and where each comes from.

    Raises:
        ConfigError: one line that names the file or variable and what would be right.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for setting, raw, where in (*_from_file(path), *_from_environment(environ)):
        try:
            value = setting.parse(raw)
        except ValueError as error:
            raise ConfigError(f"{where} {error}") from error
        if value in ("", (), {}):
            continue
        values[setting.name], sources[setting.name] = value, where
    return values, sources


def _from_environment(environ: Mapping[str, str]) -> list[tuple[Setting, Any, str]]:
    found = []
    for setting in SETTINGS:
        for name in setting.environment:
            if environ.get(name, "").strip():
                found.append((setting, environ[name], f"environment variable {name}"))
                break
    return found


def _from_file(path: str) -> list[tuple[Setting, Any, str]]:
    if not path:
        return []
    found = []
    for key, raw in _load(path).items():
        setting = _BY_KEY.get(_folded(key))
        if setting is None:
            raise ConfigError(f"azure provider config {path}: {_unknown(key)}")
        found.append((setting, raw, f"azure provider config {path}: {key}"))
    return found


def _load(path: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = tomllib.loads(Path(path).read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"azure provider config {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"azure provider config {path} is not TOML: {error}") from error
    return document


def _folded(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _unknown(key: str) -> str:
    if variable := _ONLY_IN_ENVIRONMENT.get(_folded(key)):
        return f"{key} is a secret and does not belong into the file; set {variable}"
    near = difflib.get_close_matches(_folded(key), list(_BY_KEY), n=1)
    hint = f"; did you mean {_BY_KEY[near[0]].key}?" if near else ""
    return f"unknown setting {key}{hint}"
