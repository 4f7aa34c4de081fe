"""Every option of `run`, in one table: flag, environment variables, file key, help.

The flag beats the environment, which beats the file, which beats the default. An option `--node-ip` is
`VKUBELET_NODE_IP` in the environment and `node-ip` in the file; further names in the environment are those that
users of the Go original know. An empty value means "not set".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from virtual_kubelet.cli import values

__all__ = ["GROUPS", "OPTIONS", "RETIRED", "RETIRED_PREFIXES", "Option", "add_to"]


@dataclass(frozen=True)
class Option:
    """One option; `parse` turns text, or a value of the file, into the value."""

    flag: str
    parse: Callable[[Any], Any]
    group: str
    help: str
    default: str = ""  # as the help shows it
    environment: tuple[str, ...] = ()  # names beside VKUBELET_<FLAG>
    metavar: str = ""
    repeatable: bool = False

    @property
    def key(self) -> str:
        """The name in Python: that of the field of `Settings` where there is one."""
        return self.flag.replace("-", "_")

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, first wins."""
        own = f"VKUBELET_{self.key.upper()}"
        return (own, *(name for name in self.environment if name != own))

    @property
    def is_boolean(self) -> bool:
        """Whether the bare flag means true."""
        return self.parse is values.boolean


CLUSTER, NODE, PODS, SERVER, PROCESS = "Kubernetes API", "node", "pods", "kubelet server", "process"
GROUPS = (CLUSTER, NODE, PODS, SERVER, PROCESS)

_SECONDS = "DURATION"
OPTIONS: tuple[Option, ...] = (
    Option(
        "kubeconfig",
        values.text,
        CLUSTER,
        "kubeconfig file",
        "~/.kube/config, else in-cluster",
        ("KUBECONFIG",),
        "FILE",
    ),
    Option("namespace", values.namespace, CLUSTER, "serve only the pods of this namespace", "all"),
    Option("kube-api-qps", values.number, CLUSTER, "requests a second to the API server; 0: no limit", "50"),
    Option("kube-api-burst", values.integer, CLUSTER, "how many requests may exceed it for a moment", "100"),
    Option(
        "startup-timeout",
        values.duration,
        CLUSTER,
        "give up when the API server cannot be reached for so long; 0: never",
        "0",
        metavar=_SECONDS,
    ),
    Option(
        "nodename", values.text, NODE, "name of the node", "virtual-kubelet", ("DEFAULT_NODE_NAME",), "NAME"
    ),
    Option("os", values.text, NODE, "operating system of the node: Linux or Windows", "Linux"),
    Option(
        "node-ip",
        values.ip_address,
        NODE,
        "the node's internal address",
        "found by itself",
        ("VKUBELET_POD_IP",),
        "IP",
    ),
    Option("node-labels", values.labels, NODE, "more labels for the node", metavar="KEY=VALUE,..."),
    Option(
        "taint",
        values.taint,
        NODE,
        "taint of the node, repeatable; VKUBELET_TAINT_KEY, _VALUE and _EFFECT change parts of the default",
        "virtual-kubelet.io/provider=PROVIDER:NoSchedule",
        metavar="KEY[=VALUE][:EFFECT]",
        repeatable=True,
    ),
    Option("disable-taint", values.boolean, NODE, "no taint at all", "false"),
    Option(
        "not-ready-on-stop", values.boolean, NODE, "report the node not ready when the agent stops", "false"
    ),
    Option("cluster-domain", values.text, NODE, "DNS domain of the cluster", "cluster.local"),
    Option(
        "cluster-dns", values.ip_addresses, NODE, "addresses of the cluster's DNS servers", metavar="IP,..."
    ),
    Option(
        "provider",
        values.text,
        PODS,
        "what runs the pods; `virtual-kubelet providers` lists them",
        metavar="NAME",
    ),
    Option("provider-config", values.text, PODS, "the provider's own configuration file", metavar="FILE"),
    Option("pod-sync-workers", values.integer, PODS, "pods that are worked on at once", "10"),
    Option(
        "full-resync-period",
        values.duration,
        PODS,
        "each pod is looked at again after so long",
        "1m",
        metavar=_SECONDS,
    ),
    Option(
        "provider-sync-period",
        values.duration,
        PODS,
        "how often a provider that does not push is asked for its pods",
        "5s",
        metavar=_SECONDS,
    ),
    Option(
        "state-dir",
        values.text,
        PODS,
        "where what must outlive the agent is kept, in a directory for each node",
        "/var/lib/virtual-kubelet, or ~/.local/state/virtual-kubelet",
        metavar="DIR",
    ),
    Option("address", values.text, SERVER, "address to listen on", "all", metavar="IP"),
    Option("port", values.integer, SERVER, "port to listen on; 0: any free one", "10250", ("KUBELET_PORT",)),
    Option(
        "tls-cert-file",
        values.text,
        SERVER,
        "serving certificate",
        "self-signed",
        ("APISERVER_CERT_LOCATION",),
        "FILE",
    ),
    Option("tls-private-key-file", values.text, SERVER, "its key", "", ("APISERVER_KEY_LOCATION",), "FILE"),
    Option(
        "client-ca-file",
        values.text,
        SERVER,
        "who signs the certificates of those who may call",
        "",
        ("APISERVER_CA_CERT_LOCATION",),
        "FILE",
    ),
    Option(
        "rotate-server-certificates",
        values.boolean,
        SERVER,
        "ask the cluster for a serving certificate (a CSR that somebody has to approve), and renew it",
        "false",
    ),
    Option(
        "authorization-mode",
        values.text,
        SERVER,
        "Webhook (the cluster decides) or AlwaysAllow (trials)",
        "Webhook",
    ),
    Option(
        "anonymous-auth",
        values.boolean,
        SERVER,
        "let callers in who do not say who they are (trials)",
        "false",
    ),
    Option(
        "stream-idle-timeout",
        values.duration,
        SERVER,
        "end exec, attach and port-forward sessions after so long without a byte",
        "4h",
        metavar=_SECONDS,
    ),
    Option(
        "stream-creation-timeout",
        values.duration,
        SERVER,
        "how long a session may take to open its streams",
        "30s",
        metavar=_SECONDS,
    ),
    Option(
        "metrics-addr",
        values.text,
        SERVER,
        "HOST:PORT of a plain listener for /metrics and /healthz",
        "off",
        metavar="HOST:PORT",
    ),
    Option(
        "shutdown-timeout", values.duration, PROCESS, "how long stopping may take", "20s", metavar=_SECONDS
    ),
    Option("config", values.text, PROCESS, "TOML file with these same names", metavar="FILE"),
    Option("log-level", values.text, PROCESS, "debug, info, warning or error", "info"),
    Option("log-format", values.text, PROCESS, "text or json", "text"),
)

# Flags of the Go original that have no meaning here: accepted, so that an old unit file starts.
RETIRED = frozenset(
    {"--enable-node-lease", "--trace-exporter", "--trace-service-name", "--trace-tag", "--trace-sample-rate"}
)
RETIRED_PREFIXES = ("--klog.",)


def add_to(parser: argparse.ArgumentParser, options: Iterable[Option] = OPTIONS) -> None:
    """Add options to `parser`, by group. What is not given is not in the parsed result."""
    groups = {name: parser.add_argument_group(name) for name in GROUPS}
    for option in options:
        group = groups[option.group]
        if option.is_boolean:
            group.add_argument(
                f"--{option.flag}",
                dest=option.key,
                help=_help(option),
                nargs="?",
                const="true",
                metavar="true|false",
                default=argparse.SUPPRESS,
            )
        else:
            group.add_argument(
                f"--{option.flag}",
                dest=option.key,
                help=_help(option),
                metavar=option.metavar or option.parse.__name__.upper(),
                action="append" if option.repeatable else "store",
                default=argparse.SUPPRESS,
            )


def _help(option: Option) -> str:
    default = f" (default: {option.default})" if option.default else ""
    return f"{option.help}{default} [${', $'.join(option.variables)}]".replace("%", "%%")
