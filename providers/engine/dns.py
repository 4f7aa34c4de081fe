"""A pod's DNS settings and hosts file. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from virtual_kubelet.objects import Pod

__all__ = ["Dns", "extra_hosts", "hostname", "hosts_file", "pod_dns", "subdomain"]

MAX_HOSTNAME = 63


@dataclass(frozen=True)
class Dns:
    """What resolv.conf says; empty: the engine's own."""

    servers: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


def pod_dns(pod: Pod, cluster_dns: Sequence[str], domain: str) -> Dns:
    """Return the DNS settings by dnsPolicy and dnsConfig, as the kubelet merges them."""
    spec = pod["spec"]
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    on_host = spec.get("hostNetwork")
    cluster = policy == "ClusterFirstWithHostNet" or (policy == "ClusterFirst" and not on_host)
    servers: list[str] = []
    search: list[str] = []
    options: dict[str, str] = {}
    if cluster and cluster_dns:
        namespace = pod["metadata"]["namespace"]
        servers += cluster_dns
        search += [f"{namespace}.svc.{domain}", f"svc.{domain}", domain] if domain else []
        options["ndots"] = "5"
    own = spec.get("dnsConfig") or {}
    servers += own.get("nameservers") or ()
    search += own.get("searches") or ()
    for option in own.get("options") or ():
        options[str(option["name"])] = str(option.get("value") or "")
    texts = tuple(f"{name}:{value}" if value else name for name, value in options.items())
    return Dns(tuple(dict.fromkeys(servers)), tuple(dict.fromkeys(search)), texts)


def hostname(pod: Pod) -> str:
    """Return the pod's host name."""
    name = str(pod["spec"].get("hostname") or pod["metadata"]["name"])
    return name[:MAX_HOSTNAME].rstrip("-.")


def subdomain(pod: Pod, domain: str) -> str:
    """Return the pod's domain, "" without `spec.subdomain`."""
    name = pod["spec"].get("subdomain")
    return f"{name}.{pod['metadata']['namespace']}.svc.{domain}" if name else ""


def extra_hosts(pod: Pod) -> list[str]:
    """Return hostAliases as the engine's ExtraHosts."""
    aliases = pod["spec"].get("hostAliases") or ()
    return [f"{name}:{alias['ip']}" for alias in aliases for name in alias.get("hostnames") or ()]


def hosts_file(pod: Pod, ips: Sequence[str], domain: str) -> str:
    """Return the hosts file that the containers of a pod with an address of its own see."""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    name, parent = hostname(pod), subdomain(pod, domain)
    names = f"{name}.{parent}\t{name}" if parent else name
    lines += [f"{ip}\t{names}" for ip in ips]
    aliases = pod["spec"].get("hostAliases") or ()
    if aliases:
        lines += ["", "# Entries added by HostAliases."]
        lines += ["\t".join((alias["ip"], *(alias.get("hostnames") or ()))) for alias in aliases]
    return "\n".join(lines) + "\n"
