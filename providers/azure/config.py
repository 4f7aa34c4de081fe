"""The provider's configuration, checked as a whole: what `settings` read, made into values that can be used."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure import credentials, settings
from virtual_kubelet.providers.azure.credentials import Credential

__all__ = ["AzureConfig", "KubeProxy", "LogAnalytics", "Subnet", "load"]

API_VERSION = "2023-05-01"
READS_PER_MINUTE = 180
OPERATING_SYSTEMS = ("Linux", "Windows")
_REGION = re.compile(r"[a-z0-9]+")
_SUBNET = re.compile(
    r"/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Network/virtualNetworks/[^/]+/subnets/[^/]+",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Subnet:
    """A delegated subnet that container groups join; `cidr` is set where we may create it."""

    id: str
    cidr: str = ""


@dataclass(frozen=True)
class LogAnalytics:
    """A Log Analytics workspace that container groups send their logs to."""

    workspace_id: str
    workspace_key: str = field(repr=False)
    cluster_resource_id: str = ""


@dataclass(frozen=True)
class KubeProxy:
    """What the kube-proxy extension of a container group in a virtual network needs."""

    kubeconfig: str = field(repr=False)  # base64
    cluster_cidr: str = ""


@dataclass(frozen=True)
class AzureConfig:
    """Everything about one node whose pods are container groups."""

    node_name: str
    subscription_id: str
    resource_group: str
    region: str
    credential: Credential
    operating_system: str = "Linux"
    cluster_domain: str = "cluster.local"
    cluster_id: str = ""

    cpu: str = ""  # "": from the region's usage
    memory: str = ""
    pods: str = ""
    others: Mapping[str, str] = field(default_factory=dict)

    subnet: Subnet | None = None
    dns_servers: tuple[str, ...] = ()
    public_ip: bool = True
    kube_proxy: KubeProxy | None = None

    identities: tuple[str, ...] = ()
    registry_identity: str = ""
    registry_servers: tuple[str, ...] = ()
    priority: str = ""
    zones: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    gpu_type: str = ""
    log_analytics: LogAnalytics | None = None
    realtime_metrics: bool = False

    reads_per_minute: int = READS_PER_MINUTE
    api_version: str = API_VERSION
    extra_user_agent: str = ""


def load(given: ProviderConfig) -> AzureConfig:
    """Return the configuration of the node that `given` describes.

    Raises:
        ConfigError: one line that names the setting and the remedy.
    """
    values, sources = settings.read(given.config_path, given.environ)
    credential, place = credentials.gather(values)
    values = {**place.values, **values}
    defaults = (
        "identities",
        "registry_identity",
        "registry_servers",
        "priority",
        "zones",
        "tags",
        "gpu_type",
    )
    behaviour = ("realtime_metrics", "cluster_id", "reads_per_minute", "api_version", "extra_user_agent")
    offers = ("cpu", "memory", "pods", "others", "dns_servers", "public_ip")
    return AzureConfig(
        node_name=given.node_name,
        subscription_id=place.subscription_id,
        resource_group=_required(values, "resource_group", "ResourceGroup", "ACI_RESOURCE_GROUP"),
        region=_region(values, sources),
        credential=credential,
        operating_system=_operating_system(given.operating_system, values, sources),
        cluster_domain=given.cluster_domain,
        subnet=_subnet(values, place.subscription_id),
        kube_proxy=_kube_proxy(values),
        log_analytics=_log_analytics(values),
        **{name: values[name] for name in (*defaults, *behaviour, *offers) if name in values},
    )


def _required(values: Mapping[str, Any], name: str, key: str, variable: str) -> str:
    value: str = values.get(name, "")
    if not value:
        raise ConfigError(f"{key} is missing: set {variable}, or {key} in the file of --provider-config")
    return value


def _region(values: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    name = _required(values, "region", "Region", "ACI_REGION")
    region = name.replace(" ", "").lower()  # "West Europe", as the portal writes it
    if not _REGION.fullmatch(region):
        where = sources.get("region", "the region")
        raise ConfigError(f'{where} "{name}" is not the name of an Azure region, such as westeurope')
    return region


def _operating_system(flag: str, values: Mapping[str, Any], sources: Mapping[str, str]) -> str:
    """Return the node's system: the file's, or the flag's; a flag other than its default must agree."""
    written: str = values.get("operating_system", "")
    if not written:
        return flag
    for name in OPERATING_SYSTEMS:
        if written.casefold() == name.casefold():
            if flag != OPERATING_SYSTEMS[0] and flag != name:
                raise ConfigError(
                    f"{sources['operating_system']} is {name}, but --os is {flag}; make them agree"
                )
            return name
    raise ConfigError(
        f'{sources["operating_system"]} "{written}" is not one of {", ".join(OPERATING_SYSTEMS)}'
    )


def _subnet(values: Mapping[str, Any], subscription: str) -> Subnet | None:
    name, cidr = values.get("subnet_name", ""), values.get("subnet_cidr", "")
    if not name:
        if cidr:
            raise ConfigError("SubnetCIDR without a subnet: set SubnetName (or ACI_SUBNET_NAME) too")
        return None
    if _SUBNET.fullmatch(name):
        return Subnet(name, cidr)
    network = _required(values, "vnet_name", "VnetName", "ACI_VNET_NAME")
    group = _required(values, "vnet_resource_group", "VnetResourceGroup", "ACI_VNET_RESOURCE_GROUP")
    owner = values.get("vnet_subscription_id") or subscription
    return Subnet(
        f"/subscriptions/{owner}/resourceGroups/{group}/providers/Microsoft.Network"
        f"/virtualNetworks/{network}/subnets/{name}",
        cidr,
    )


def _kube_proxy(values: Mapping[str, Any]) -> KubeProxy | None:
    path = values.get("kube_proxy_kubeconfig")
    if not path:
        return None
    if not values.get("subnet_name"):
        raise ConfigError("KubeProxyKubeconfig needs a subnet: set SubnetName (or ACI_SUBNET_NAME)")
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"KubeProxyKubeconfig {path}: {error.strerror}") from error
    return KubeProxy(base64.b64encode(content).decode(), values.get("cluster_cidr", ""))


def _log_analytics(values: Mapping[str, Any]) -> LogAnalytics | None:
    workspace, key = values.get("log_analytics_id", ""), values.get("log_analytics_key", "")
    if path := values.get("log_analytics_location"):
        document = credentials.load_file(path, "LOG_ANALYTICS_AUTH_LOCATION")
        workspace = workspace or document.get("workspaceID") or document.get("workspaceId") or ""
        key = key or document.get("workspaceKey") or ""
    if not workspace and not key:
        return None
    if not workspace or not key:
        missing = "LOG_ANALYTICS_KEY" if workspace else "LOG_ANALYTICS_ID"
        raise ConfigError(f"half a Log Analytics workspace: set {missing} too")
    return LogAnalytics(str(workspace), str(key), values.get("cluster_resource_id", ""))
