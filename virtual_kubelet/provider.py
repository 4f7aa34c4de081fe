"""The contract between the agent and a provider.

A provider is any object with the nine methods of `Provider`. Everything else is an *ability*: one small
Protocol each, looked for once when the agent starts. What a provider has not, the agent answers with 501.

What the agent promises: methods are called from several threads, never two at once that change the same pod;
the pod handed to `create_pod` and `update_pod` is the provider's to keep and change; its environment is
resolved (`value` filled in; what is known only later, such as `status.podIP`, stays as `valueFrom`, and what
refers to that as it is written); command and args are as the user wrote them, for `pure.expansion.command_line`
to put the final environment in; `metadata.uid` tells pods of one name apart; a pod handed to `delete_pod` always has
`metadata.deletionGracePeriodSeconds`.

What a provider promises: `create_pod` and `delete_pod` begin the work and return; both may be called again
for the same pod and then do no harm; `get_pods` returns all pods of this node or raises, never a part; pods and
statuses that it hands out (also by `notify_pods`) are read long after: it gives copies, or never changes them.
Errors are those of `virtual_kubelet.errors` below `ProviderError`; any other exception counts as one that
may pass.

What is not promised: that a deleted pod is told of more than once; that calls come in any order between
different pods; that the API server has seen what the provider reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias, runtime_checkable

from virtual_kubelet.objects import Condition, Container, JsonObject, Node, NodeAddress, Pod, PodStatus
from virtual_kubelet.pure.volumes import VolumeFile as File

__all__ = [
    "Attaching",
    "Binding",
    "Closing",
    "ConfiguringNode",
    "ExecIO",
    "Executing",
    "File",
    "ForwardStream",
    "KeepingLogs",
    "LogOptions",
    "LogStream",
    "Measuring",
    "NodeAddresses",
    "NotifyCallback",
    "Notifying",
    "Pinging",
    "PodContext",
    "PortForwarding",
    "Provider",
    "ProviderConfig",
    "Purging",
    "ResourceMetrics",
    "TerminalSize",
]


@dataclass(frozen=True)
class ProviderConfig:
    """What a provider is made from: every provider's module has `create(config) -> Provider`.

    `create` raises `ConfigError`, one line that names the setting and the remedy; it starts nothing.
    """

    node_name: str
    operating_system: str = "Linux"
    config_path: str = ""  # --provider-config, "" where none was given
    internal_ip: str = ""  # --node-ip, "" where none was given
    daemon_port: int = 10250
    cluster_domain: str = "cluster.local"
    state_dir: str = (
        ""  # a directory of this node's own for what must outlive the agent; "" where there is none
    )
    environ: Mapping[str, str] = field(default_factory=dict)  # the process's environment variables


@runtime_checkable
class Provider(Protocol):
    """The nine methods that every provider has."""

    def create_pod(self, pod: Pod) -> None:
        """Begin to run `pod`. Called again after an error, and after a crash of the agent in between."""

    def update_pod(self, pod: Pod) -> None:
        """Apply the changes of a pod that runs: image, labels, annotations, resources, deadlines."""

    def delete_pod(self, pod: Pod) -> None:
        """Begin to end `pod` within `metadata.deletionGracePeriodSeconds`; `NotFound` when it is not there.

        The pod stays in `get_pods`, with its containers terminated, or vanishes from it: both mean gone.
        """

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        """Return the pod as the backend has it (metadata with uid, and status), or None."""

    def get_pod_status(self, namespace: str, name: str) -> PodStatus | None:
        """Return the status of one pod, or None."""

    def get_pods(self) -> list[Pod]:
        """Return all pods of this node, each with `metadata.namespace`, `name`, `uid` and `status`."""

    def capacity(self) -> dict[str, str]:
        """Return resource quantities, for example `{"cpu": "20", "memory": "100Gi", "pods": "110"}`."""

    def node_conditions(self) -> list[Condition]:
        """Return the node's conditions; those left out are filled in as healthy."""

    def operating_system(self) -> str:
        """Return `Linux` or `Windows`."""


# ---------------------------------------------------------------------------------------------------------
# Abilities


@runtime_checkable
class Binding(Protocol):
    """Wants to know its surroundings."""

    def bind(self, context: PodContext) -> None:
        """Take the context: called once, before the first pod."""


NotifyCallback: TypeAlias = "Callable[[str, str, str, PodStatus | None], None]"
"""`callback(namespace, name, uid, status)`; a status of None means: ask me. Never blocks, from any thread."""


@runtime_checkable
class Notifying(Protocol):
    """Tells of changes by itself, and so is not polled (but for a re-list every five minutes)."""

    def notify_pods(self, callback: NotifyCallback) -> None:
        """Keep `callback`, and call it whenever a pod's status changed."""


@runtime_checkable
class ConfiguringNode(Protocol):
    """Wants a say in the Node object."""

    def configure_node(self, node: Node) -> None:
        """Change `node` in place before it is registered, and again, in the same way, before each report."""


@runtime_checkable
class NodeAddresses(Protocol):
    """Knows the node's addresses."""

    def node_addresses(self) -> list[NodeAddress]:
        """Return addresses instead of the agent's own."""


@runtime_checkable
class Pinging(Protocol):
    """Can tell whether the backend is there."""

    def ping(self) -> None:
        """Return when the backend answers, raise when it does not. Three failures make the node not Ready."""


@dataclass(frozen=True)
class LogOptions:
    """What `kubectl logs` asks for; None is "not asked" (so `tail=0` means no old line)."""

    tail: int | None = None  # lines from the end
    limit_bytes: int | None = None
    since: float | None = None  # only lines written at or after this time, seconds since the epoch
    timestamps: bool = False  # each line begins with its time, RFC 3339 with nanoseconds, and a space
    follow: bool = False
    previous: bool = False  # the instance before the last restart
    stream: str = "All"  # or Stdout, Stderr


class LogStream(Protocol):
    """The bytes of a log."""

    def read(self) -> bytes:
        """Return some bytes, as soon as there are any; b"" at the end."""

    def close(self) -> None:
        """Let go; may be called from any thread, wakes a blocked `read`, which then returns b""."""


@runtime_checkable
class KeepingLogs(Protocol):
    """Can show what containers wrote."""

    def container_logs(
        self, namespace: str, pod: str, uid: str, container: str, options: LogOptions
    ) -> LogStream:
        """Open a container's log; `NotFound` where there is none. All options are the provider's to honour."""


@dataclass(frozen=True)
class TerminalSize:
    """The size of a client's terminal, in characters."""

    width: int
    height: int


class ExecIO(Protocol):
    """The client's ends of an exec or attach session. Every method may be called from any thread.

    When the client goes away, reads give b"", writes raise `BrokenPipeError`, and `closed` is true.
    """

    tty: bool
    stdin: bool
    stdout: bool
    stderr: bool
    """Which of the streams the client asked for. A tty has no stderr."""

    @property
    def closed(self) -> bool:
        """Tell whether the client has gone: end what was started for it."""

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the client goes away, or at once if it has; it must not block."""

    def read_stdin(self, size: int = 32768) -> bytes:
        """Wait for input; b"" when the client closed its side."""

    def write_stdout(self, data: bytes) -> None:
        """Send output; waits while the client is slow."""

    def write_stderr(self, data: bytes) -> None:
        """Send error output; waits while the client is slow."""

    def resizes(self) -> Iterator[TerminalSize]:
        """Yield each new size of the terminal; ends with the session."""


@runtime_checkable
class Executing(Protocol):
    """Can run a command in a container."""

    def exec_in_container(
        self, namespace: str, pod: str, uid: str, container: str, command: list[str], io: ExecIO
    ) -> int:
        """Run `command` and return its exit code when it has ended and all output is written."""


@runtime_checkable
class Attaching(Protocol):
    """Can join a running container's own streams."""

    def attach_to_container(self, namespace: str, pod: str, uid: str, container: str, io: ExecIO) -> None:
        """Connect `io` until the container ends or the client goes."""


class ForwardStream(Protocol):
    """One forwarded connection, as the client's side of it."""

    def read(self, size: int = 32768) -> bytes:
        """Wait for bytes from the client; b"" when it closed its side or went away."""

    def write(self, data: bytes) -> None:
        """Send bytes to the client; waits while it is slow; `BrokenPipeError` when it has gone."""

    def close_write(self) -> None:
        """Say that no more bytes will come."""

    @property
    def closed(self) -> bool:
        """Tell whether the client has gone."""

    def on_close(self, callback: Callable[[], None]) -> None:
        """Call `callback` once when the client goes away, or at once if it has; it must not block."""


@runtime_checkable
class PortForwarding(Protocol):
    """Can connect to a port of a pod."""

    def port_forward(self, namespace: str, pod: str, uid: str, port: int, stream: ForwardStream) -> None:
        """Copy both ways between `stream` and the pod's `port` until both sides have ended.

        Raises `ProviderError` when the port cannot be reached: the client is told, the session lives.
        """


@runtime_checkable
class Measuring(Protocol):
    """Knows what containers use, as `stats/v1alpha1.Summary`."""

    def stats_summary(self) -> JsonObject:
        """Return the `Summary` of the kubelet's /stats/summary; the agent fills in the node's name."""


@runtime_checkable
class ResourceMetrics(Protocol):
    """Knows what containers use, as the text of /metrics/resource."""

    def resource_metrics(self) -> str:
        """Return Prometheus text; without this ability the agent makes it from `stats_summary`."""


@runtime_checkable
class Closing(Protocol):
    """Holds threads, sockets or processes of its own."""

    def close(self, deadline: float) -> None:
        """Detach within `deadline` seconds; workloads go on."""


@runtime_checkable
class Purging(Protocol):
    """Can end all that it runs: for trials, tests and the quickstart."""

    def purge(self) -> None:
        """End every workload of this node and remove what belongs to it."""


# ---------------------------------------------------------------------------------------------------------
# What a provider may ask of the agent


class PodContext(Protocol):
    """The Kubernetes side of a pod: a provider never talks to the API server itself.

    Names that cannot be resolved now raise `Unavailable` (asked for again later: `on_change`), those that
    never can raise `InvalidInput`.
    """

    @property
    def node_name(self) -> str:
        """The name of this node."""

    @property
    def cluster_id(self) -> str:
        """What tells this cluster from others in a shared backend: the UID of the kube-system namespace."""

    @property
    def state_dir(self) -> str:
        """A directory for the provider's own state; "" where there is none."""

    @property
    def namespace(self) -> str:
        """The only namespace that this agent serves, or "" for all."""

    @property
    def node_ip(self) -> str:
        """The node's internal address: a pod's hostIP."""

    @property
    def cluster_domain(self) -> str:
        """The cluster's DNS domain, for example cluster.local."""

    @property
    def cluster_dns(self) -> tuple[str, ...]:
        """Addresses of the cluster's DNS servers."""

    def environment(self, pod: Pod, container: Container, pod_ips: list[str]) -> dict[str, str]:
        """Return the whole environment of a container, also what is known only now (`status.podIP`)."""

    def secret_names(self, pod: Pod, container: Container) -> frozenset[str]:
        """Return the names of those variables whose value came from a Secret."""

    def files(self, pod: Pod, volume: JsonObject) -> Mapping[str, File]:
        """Return what a configMap, secret, projected or downwardAPI volume holds, by relative path."""

    def pull_secrets(self, pod: Pod) -> list[JsonObject]:
        """Return the decoded `.dockerconfigjson` (or `.dockercfg`) of each imagePullSecret that exists."""

    def token(self, pod: Pod, audience: str, expiration_seconds: int) -> str:
        """Return a service account token bound to the pod, refreshed before it expires."""

    def event(self, pod: Pod, event_type: str, reason: str, message: str) -> None:
        """Record an event (`Normal` or `Warning`) about the pod; never blocks."""

    def node(self) -> Node | None:
        """Return the Node as the API server has it; read-only. None: it is not known yet."""

    def pods(self) -> list[Pod]:
        """Return the pods that the API server has bound to this node; read-only."""

    def on_change(self, callback: Callable[[str, str], None]) -> None:
        """Call `callback(namespace, name)` for each pod whose configMaps or secrets changed; never blocks."""
