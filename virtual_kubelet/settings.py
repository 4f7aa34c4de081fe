"""One frozen dataclass with every setting of an agent; the command line and embedders both make it.

Flags, environment variables and files are the command line's business (`cli`): this module reads neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from virtual_kubelet.errors import ConfigError

__all__ = ["DEFAULT_TAINT_KEY", "Settings", "TaintSetting", "split_address"]

DEFAULT_TAINT_KEY = "virtual-kubelet.io/provider"
TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


@dataclass(frozen=True)
class TaintSetting:
    """A taint that the node carries."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"

    def __post_init__(self) -> None:
        if not self.key:
            raise ConfigError("taint: the key is empty; write KEY[=VALUE][:EFFECT]")
        if self.effect not in TAINT_EFFECTS:
            raise ConfigError(
                f'taint effect "{self.effect}" is not supported; use one of {", ".join(TAINT_EFFECTS)}'
            )


@dataclass(frozen=True)
class Settings:
    """Everything that an agent can be told. Durations are seconds; "" and 0 mean what the comment says."""

    # The Kubernetes API
    kubeconfig: str = (
        ""  # "": $KUBECONFIG and ~/.kube/config are the CLI's business; here it means in-cluster
    )
    namespace: str = ""  # "": pods of all namespaces
    kube_api_qps: float = 50  # 0 or less: no limit
    kube_api_burst: int = 100
    startup_timeout: float = 0  # how long to wait for an API server that cannot be reached; 0: for ever

    # The node
    node_name: str = "virtual-kubelet"
    operating_system: str = "Linux"
    provider: str = ""  # the provider's name, for the default taint and labels
    node_ip: str = ""  # "": found from the route to the API server
    node_labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[TaintSetting, ...] = ()
    not_ready_on_stop: bool = False
    cluster_domain: str = "cluster.local"
    cluster_dns: tuple[str, ...] = ()

    # Pods
    pod_sync_workers: int = 10
    full_resync_period: float = 60
    provider_sync_period: float = 5
    state_dir: str = ""  # "": a provider that needs one makes its own choice and says so

    # The kubelet's HTTPS server
    address: str = ""  # "": all interfaces
    port: int = 10250  # 0: any free one
    tls_cert_file: str = ""
    tls_private_key_file: str = ""
    client_ca_file: str = ""
    rotate_server_certificates: bool = False
    authorization_mode: str = "Webhook"  # or AlwaysAllow
    anonymous_auth: bool = False
    stream_idle_timeout: float = 4 * 3600
    stream_creation_timeout: float = 30
    metrics_addr: str = ""  # HOST:PORT of a plain listener for /metrics and /healthz; "": none

    def __post_init__(self) -> None:
        if self.pod_sync_workers < 1:
            raise ConfigError("pod sync workers must be greater than 0; set --pod-sync-workers")
        if not 0 <= self.port <= 65535:
            raise ConfigError(f"port {self.port} is not a port; use 0 to 65535")
        if self.metrics_addr:
            split_address(self.metrics_addr)
        if self.operating_system not in {"Linux", "Windows"}:
            raise ConfigError(
                f'operating system "{self.operating_system}" is not supported; use Linux or Windows'
            )
        if self.authorization_mode not in {"Webhook", "AlwaysAllow"}:
            raise ConfigError(
                f'authorization mode "{self.authorization_mode}" is not supported; use Webhook or AlwaysAllow'
            )
        if bool(self.tls_cert_file) != bool(self.tls_private_key_file):
            raise ConfigError(
                "a certificate needs its key: set both --tls-cert-file and --tls-private-key-file"
            )


def split_address(value: str) -> tuple[str, int]:
    """Return host and port of `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT`; without a host it is loopback."""
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not port.isascii() or not port.isdigit() or int(port) > 65535:
        raise ConfigError(f'--metrics-addr "{value}" is not HOST:PORT, for example 127.0.0.1:9090')
    return host or "127.0.0.1", int(port)
