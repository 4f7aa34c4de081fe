"""What a container backend does for the pod runtime: one small contract for processes and container engines.

The runtime above it (`manager`, `pod_worker`) decides; a driver carries out, and tells what there is. It keeps no
opinion about restarts, probes, deadlines or deletion.

What the runtime promises: `open` first, `close` last; calls come from several threads, never two at once that
change the same container; a container's identity is pod UID, container name and attempt, and no attempt is ever
used for two containers.

What a driver promises: `create` and `start` of an attempt that is there already give that one back, so a crash in
between starts nothing twice; `list_containers` gives all containers of this node or raises, also those that a
predecessor of this agent started, ended ones until they are removed; each change is told to the listener, and
when changes may have been missed, `lost_track` is. Errors are those of `virtual_kubelet.errors` below
`ProviderError`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from virtual_kubelet.errors import ProviderError, Unavailable
from virtual_kubelet.objects import Condition, Container, JsonObject, Node, Pod
from virtual_kubelet.provider import ExecIO, LogOptions, LogStream
from virtual_kubelet.runtime.threads import Deadline

__all__ = [
    "CREATED",
    "EXITED",
    "RUNNING",
    "CommandResult",
    "ContainerInfo",
    "ContainerRequest",
    "ContainerUsage",
    "Driver",
    "Image",
    "ImageError",
    "Listener",
    "Mount",
    "Sandbox",
    "SandboxChanged",
]

CREATED = "created"
RUNNING = "running"
EXITED = "exited"


@dataclass(frozen=True)
class ContainerInfo:
    """One container as the backend has it. Times are seconds since the epoch, 0: not yet."""

    id: str
    uid: str  # of the pod
    namespace: str
    pod: str
    name: str
    attempt: int
    state: str  # CREATED, RUNNING or EXITED
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    reason: str = ""  # where the backend knows more than the exit code says: OOMKilled, ContainerCannotRun
    message: str = ""
    image: str = ""
    image_id: str = ""
    ip: str = ""  # its own address, where the containers of a pod have no common one


@dataclass(frozen=True)
class Sandbox:
    """What the containers of a pod share. Another `id` than before means: what was in it is gone."""

    id: str
    ips: tuple[str, ...] = ()  # none: the pod is on the node's own network


@dataclass(frozen=True)
class Image:
    """An image that is there."""

    id: str = ""
    pulled: bool = False  # by this call
    message: str = ""  # for the event, "" where there is nothing to say


class ImageError(ProviderError):
    """An image cannot be had; `reason` is the container's waiting reason, for example ErrImagePull."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SandboxChanged(Unavailable):
    """What a container was to be made in is gone, or has another address: the pod is to be prepared again."""


@dataclass(frozen=True)
class Mount:
    """The file or directory `source` of this machine, for the container at `target`."""

    name: str  # of the volume
    source: str
    target: str  # as the pod says it
    read_only: bool = False
    optional: bool = False  # better left out than a reason not to run


@dataclass(frozen=True)
class ContainerRequest:
    """A container to be made. `pod` and `container` are read-only; what else they say is the driver's to honour."""

    pod: Pod
    container: Container
    attempt: int
    sandbox: Sandbox
    command: tuple[str, ...]  # `$(NAME)` already replaced; () means: the image's own
    args: tuple[str, ...]
    environment: Mapping[str, str]
    mounts: tuple[Mount, ...] = ()
    directory: str = ""  # of this container's own on this machine, the same for each attempt
    termination_log: str = ""  # a file on this machine: what the container writes there ends up in its status
    image: str = ""
    image_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CommandResult:
    """How a command in a container ended; `error` says why nobody knows: the backend could not run or follow it.

    A command that the container does not have has ended, with 127 and the reason as its output.
    """

    exit_code: int
    output: str = ""
    timed_out: bool = False
    error: str = ""


@dataclass(frozen=True)
class ContainerUsage:
    """What a container uses now."""

    id: str
    time: float  # seconds since the epoch
    cpu_seconds: float  # since it started
    memory_bytes: int  # working set
    rss_bytes: int = 0
    cpu_cores: float | None = None  # used on average since the last call; None: not known yet


class Listener(Protocol):
    """Where a driver tells what happens; called from any thread, never blocks."""

    def container_changed(self, info: ContainerInfo) -> None:
        """Take the newest of one container."""

    def lost_track(self) -> None:
        """Ask for a new `list`: changes may have been missed."""


class Driver(Protocol):
    """A container backend."""

    @property
    def name(self) -> str:
        """The scheme of container ids, for example `docker` in `docker://4c01db0b339c`."""

    def open(self, listener: Listener) -> None:
        """Begin; returns also when the backend cannot be reached yet (`lost_track` follows when it can)."""

    def close(self, deadline: Deadline) -> None:
        """Let go of the backend; containers go on."""

    def purge(self) -> None:
        """End and remove everything that belongs to this node, the backend's own helpers too."""

    def ping(self) -> None:
        """Return when the backend works."""

    def check(self, pod: Pod) -> None:
        """Raise `InvalidInput`, naming the field, for a pod that this backend can never run."""

    def capacity(self) -> dict[str, str]:
        """Return what the node has, as quantities."""

    def node_conditions(self) -> list[Condition]:
        """Return the conditions that this backend knows about."""

    def configure_node(self, node: Node) -> None:
        """Change the Node object before it is registered."""

    # -- pods and images

    def prepare_pod(self, pod: Pod) -> Sandbox:
        """Make what the pod's containers share, or find it."""

    def release_pod(self, uid: str) -> None:
        """Remove what the pod's containers shared; they are all gone."""

    def ensure_image(
        self, reference: str, policy: str, credentials: list[JsonObject], pulling: Callable[[], None]
    ) -> Image:
        """Have the image, by `imagePullPolicy`; raise `ImageError`. `pulling` is called before it is fetched."""

    # -- containers

    def list_containers(self) -> list[ContainerInfo]:
        """Return all containers of this node in one call."""

    def create(self, request: ContainerRequest) -> str:
        """Make a container, not yet running; return its id."""

    def start(self, container_id: str) -> ContainerInfo:
        """Start it: it comes back RUNNING or EXITED; with reason ContainerCannotRun if it could not be executed."""

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal (`TERM`) to its main process; nothing happens when it has ended."""

    def kill(self, container_id: str) -> None:
        """Kill all of its processes."""

    def remove(self, container_id: str) -> None:
        """Remove an ended container, its logs too; nothing happens when there is none."""

    # -- looking into containers

    def logs(self, container_id: str, options: LogOptions) -> LogStream:
        """Open its log (`options.previous` is already turned into another container)."""

    def exec(self, container_id: str, command: list[str], io: ExecIO) -> int:
        """Run a command for a client; return its exit code."""

    def run(
        self, container_id: str, command: list[str], timeout: float, done: Callable[[CommandResult], None]
    ) -> None:
        """Run a command for a probe or a hook; `done` comes later, from any thread, exactly once."""

    def attach(self, container_id: str, io: ExecIO) -> None:
        """Connect a client to its own streams."""

    def dial(self, uid: str, port: int, timeout: float) -> socket.socket:
        """Connect to a port inside the pod, as its own localhost."""

    def usage(self) -> list[ContainerUsage]:
        """Return what each running container uses."""

    def node_stats(self) -> dict[str, Any]:
        """Return the node's part of `stats/v1alpha1.Summary`: cpu, memory, fs; what is known of them."""
