"""Addresses, names and extensions of container groups. Pure.

In a subnet a group has a private address and can be told the cluster's DNS. Without one it has no address, or,
where a container declares a port, a public one.
"""

from __future__ import annotations

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.providers.azure.config import AzureConfig
from virtual_kubelet.providers.azure.wishes import Wishes

__all__ = ["DELEGATION", "translate"]

NAME_SERVERS, SEARCH_DOMAINS, SEARCH_LENGTH = 3, 6, 256  # what a group's dnsConfig can hold
KUBE_VERSION = "v1.9.10"  # what the kube-proxy extension is written for
DELEGATION = "Microsoft.ContainerInstance/containerGroups"


def translate(pod: Pod, config: AzureConfig, wishes: Wishes, cluster_dns: tuple[str, ...]) -> JsonObject:
    """Return the network part of a group's properties.

    Raises:
        InvalidInput: what the pod wants is not to be had; names the field.
    """
    subnet = wishes.subnet or (config.subnet.id if config.subnet else "")
    if not subnet:
        if pod["spec"].get("dnsPolicy") == "None":
            raise InvalidInput("spec.dnsPolicy: None needs a container group in a subnet (SubnetName)")
        return _public(pod, config, wishes)
    if wishes.dns_name_label:
        raise InvalidInput("metadata.annotations: a DNS name label needs a public address, not a subnet")
    properties: JsonObject = {"subnetIds": [{"id": subnet}]}
    if dns := _dns(pod, config, wishes, config.dns_servers or cluster_dns):
        properties["dnsConfig"] = dns
    if extensions := _extensions(config, wishes):
        properties["extensions"] = extensions
    return properties


def _public(pod: Pod, config: AzureConfig, wishes: Wishes) -> JsonObject:
    ports = _ports(pod)
    if not ports or not config.public_ip:
        if wishes.dns_name_label:
            raise InvalidInput("metadata.annotations: a DNS name label needs a container with a port")
        return {}
    address: JsonObject = {"type": "Public", "ports": ports}
    if wishes.dns_name_label:
        address["dnsNameLabel"] = wishes.dns_name_label
    return {"ipAddress": address}


def _ports(pod: Pod) -> list[JsonObject]:
    """Return each port once: the containers of a group share one address, as those of a pod do."""
    found: dict[tuple[int, str], JsonObject] = {}
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            number, protocol = port["containerPort"], port.get("protocol", "TCP")
            found.setdefault((number, protocol), {"port": number, "protocol": protocol})
    return list(found.values())


def _dns(pod: Pod, config: AzureConfig, wishes: Wishes, servers: tuple[str, ...]) -> JsonObject | None:
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    own = spec.get("dnsConfig") or {}
    names: list[str] = []
    domains: list[str] = []
    options: list[str] = []
    if policy.startswith("ClusterFirst") and servers and wishes.cluster_dns:
        domain = config.cluster_domain
        names += servers
        domains += [f"{pod['metadata']['namespace']}.svc.{domain}", f"svc.{domain}", domain]
        options.append("ndots:5")
    names += own.get("nameservers") or ()
    domains += own.get("searches") or ()
    options += [_option(item) for item in own.get("options") or ()]
    names, domains = list(dict.fromkeys(names)), list(dict.fromkeys(domains))
    if not names:
        if policy == "None":
            raise InvalidInput("spec.dnsConfig.nameservers: dnsPolicy None needs at least one")
        return None
    return {"nameServers": names[:NAME_SERVERS], **_search(domains), **_options(options)}


def _search(domains: list[str]) -> JsonObject:
    text = ""
    for domain in domains[:SEARCH_DOMAINS]:
        longer = f"{text} {domain}".strip()
        if len(longer) > SEARCH_LENGTH:
            break
        text = longer
    return {"searchDomains": text} if text else {}


def _options(options: list[str]) -> JsonObject:
    # The pod's own come last and win, as they do in a kubelet's resolv.conf.
    by_name = {option.partition(":")[0]: option for option in options}
    return {"options": " ".join(by_name.values())} if by_name else {}


def _option(item: JsonObject) -> str:
    return f"{item['name']}:{item['value']}" if item.get("value") is not None else str(item["name"])


def _extensions(config: AzureConfig, wishes: Wishes) -> list[JsonObject]:
    """Return the extensions of a group: names and versions are those that ACI documents for virtual-kubelet."""
    extensions: list[JsonObject] = []
    # A kube-proxy would break what confidential groups guarantee.
    if config.kube_proxy and wishes.kube_proxy and not wishes.confidential:
        settings = {"kubeVersion": KUBE_VERSION}
        if config.kube_proxy.cluster_cidr:
            settings["clusterCidr"] = config.kube_proxy.cluster_cidr
        properties = {
            "extensionType": "kube-proxy",
            "version": "1.0",
            "settings": settings,
            "protectedSettings": {"kubeConfig": config.kube_proxy.kubeconfig},
        }
        extensions.append({"name": "kube-proxy", "properties": properties})
    if config.realtime_metrics:
        properties = {"extensionType": "realtime-metrics", "version": "1.0", "settings": {}}
        extensions.append({"name": "vk-realtime-metrics", "properties": properties})
    return extensions
