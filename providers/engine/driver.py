"""Containers through an engine: the `Driver` of the pod runtime."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from virtual_kubelet.errors import Conflict, NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import Condition, JsonObject, Node, Pod
from virtual_kubelet.podruntime.driver import (
    EXITED,
    RUNNING,
    CommandResult,
    ContainerInfo,
    ContainerRequest,
    ContainerUsage,
    Image,
    Listener,
    Sandbox,
)
from virtual_kubelet.podruntime.tasks import Tasks
from virtual_kubelet.provider import ExecIO, LogOptions, LogStream, PodContext
from virtual_kubelet.providers.engine import dialect, labels, states, usage
from virtual_kubelet.providers.engine.client import Client, quoted
from virtual_kubelet.providers.engine.images import Images
from virtual_kubelet.providers.engine.inventory import Inventory
from virtual_kubelet.providers.engine.logs import open_log
from virtual_kubelet.providers.engine.machine import Machine
from virtual_kubelet.providers.engine.options import EngineOptions
from virtual_kubelet.providers.engine.sessions import Sessions
from virtual_kubelet.providers.engine.shape import Shape
from virtual_kubelet.providers.engine.storage import Storage
from virtual_kubelet.providers.engine.watcher import Watcher
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal, join_all, spawn

__all__ = ["EngineDriver"]

logger = logging.getLogger(__name__)

COMMANDS = 8  # commands of probes and hooks at a time
MEASURING = 4  # threads
NOT_STARTED = 128  # exit code, as a runtime's
DIED = frozenset({"die", "died"})
# Not the container's own fault: what it was to join, a port, the account's limits. "container:" alone is in every text of Docker's.
LAUNCH_FAILURES = (
    "cannot join network",
    "network namespace",
    "namespace path",
    "dependencies",
    "port is already",
    "address already in use",
    "quota exceeded",
    "exceeds quota",
)


class EngineDriver:
    """The driver of the docker and hyper providers: what differs between them is its `shape` and `options`."""

    def __init__(
        self,
        client: Client,
        images: Images,
        inventory: Inventory,
        storage: Storage,
        machine: Machine,
        shape: Shape,
        options: EngineOptions,
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self.name = options.name
        self._client = client
        self._images = images
        self._inventory = inventory
        self._storage = storage
        self._machine = machine
        self._shape = shape
        self._clock = clock
        self._stop = StopSignal(clock)
        self._node = ""  # written once, by `bind`
        self._sessions = Sessions(client, local=options.local, stop=self._stop)
        self._commands = Tasks(COMMANDS, f"{options.name}-command", clock)
        self._watcher = Watcher(
            client, self._event_filters, self._happened, self._connected, events=options.events, clock=clock
        )
        self._listener: Listener | None = None  # written once, by `open`
        self._lock = threading.Lock()
        self._usage: dict[str, ContainerUsage] = {}  # under the lock: of the last call

    # -- life -----------------------------------------------------------------------------------------

    def bind(self, context: PodContext) -> None:
        """Take the surroundings; before `open`."""
        self._node = context.node_name
        self._inventory.identify(context.node_name, context.cluster_id)
        self._storage.bind(context)
        self._shape.bind(context)

    def open(self, listener: Listener) -> None:
        """Begin."""
        self._listener = listener
        self._watcher.start()

    def close(self, deadline: Deadline) -> None:
        """Let go of the engine."""
        self._stop.set()
        self._watcher.stop(deadline)
        self._commands.stop(deadline)
        self._client.close()

    def purge(self) -> None:
        """End and remove all containers and volumes of this node."""
        self._watcher.stop(Deadline(5.0, self._clock))
        items = self._inventory.raw()
        # Members first: Podman keeps what others depend on.
        items.sort(key=lambda item: (item.get("Labels") or {}).get(labels.KIND) == labels.INFRA)
        for item in items:
            self._destroy(str(item["Id"]))
        self._storage.purge()

    def _destroy(self, container_id: str) -> None:
        """Kill and remove; what cannot be is said, and the others are not kept waiting for it."""
        query = {"force": True, "v": True}
        try:
            self.kill(container_id)
            self._client.send("DELETE", f"/containers/{quoted(container_id)}", query=query)
        except NotFound:
            return
        except ProviderError as error:
            logger.warning("container %s cannot be removed: %s", container_id, error)

    def ping(self) -> None:
        """Return when the engine answers."""
        self._machine.ping()

    def check(self, pod: Pod) -> None:
        """Refuse what cannot be had."""
        self._shape.check(pod)

    # -- node -----------------------------------------------------------------------------------------

    def capacity(self) -> dict[str, str]:
        """Return what the engine's machine has."""
        return self._machine.capacity()

    def node_conditions(self) -> list[Condition]:
        """Return the engine's warnings."""
        return self._machine.conditions()

    def configure_node(self, node: Node) -> None:
        """Say what runs the containers."""
        self._machine.configure(node, self.name)

    def node_stats(self) -> dict[str, Any]:
        """Return nothing: the engine does not know what its machine uses."""
        return {}

    # -- pods and images ------------------------------------------------------------------------------

    def prepare_pod(self, pod: Pod) -> Sandbox:
        """Make what the pod's containers share."""
        return self._shape.prepare(pod)

    def release_pod(self, uid: str) -> None:
        """Remove it."""
        self._shape.release(uid)

    def ensure_image(
        self, reference: str, policy: str, credentials: list[JsonObject], pulling: Callable[[], None]
    ) -> Image:
        """Have the image."""
        return self._images.ensure(reference, policy, credentials, pulling)

    # -- containers -----------------------------------------------------------------------------------

    def list_containers(self) -> list[ContainerInfo]:
        """Return all containers of this node."""
        listing = self._inventory.look()
        self._shape.tidy(listing)
        return listing.containers

    def create(self, request: ContainerRequest) -> str:
        """Make a container, or find the one that was made for this attempt."""
        name = labels.container_name(request.labels)
        body = self._shape.body(request)
        try:
            answer = self._client.json("POST", "/containers/create", query={"name": name}, body=body)
        except Conflict:
            return self._of_that_name(name, request)
        for warning in answer.get("Warnings") or ():
            logger.info("container %s: %s", name, warning)
        return str(answer["Id"])

    def _of_that_name(self, name: str, request: ContainerRequest) -> str:
        answer = self._client.json("GET", f"/containers/{quoted(name)}/json")
        found = labels.read((answer.get("Config") or {}).get("Labels") or {})
        wanted = {key: request.labels[key] for key in ("uid", "container", "attempt")}
        if any(found[key] != value for key, value in wanted.items()):
            raise Conflict(f'a container "{name}" of somebody else is in the way')
        return str(answer["Id"])

    def start(self, container_id: str) -> ContainerInfo:
        """Start it."""
        try:
            self._client.send("POST", f"/containers/{quoted(container_id)}/start", again=True)
        except (Unavailable, NotFound) as error:
            if isinstance(error, NotFound) and "no such container" not in str(error).lower():
                return self._could_not_start(container_id, error)
            raise
        except ProviderError as error:
            if isinstance(error, Conflict) or any(text in str(error).lower() for text in LAUNCH_FAILURES):
                raise
            return self._could_not_start(container_id, error)
        return self._inventory.inspect(container_id).info

    def _could_not_start(self, container_id: str, error: ProviderError) -> ContainerInfo:
        """Return a container that has ended: what the image or the spec says cannot be executed."""
        seen = self._inventory.inspect(container_id).info
        now = self._clock.now()
        info = ContainerInfo(
            id=seen.id, uid=seen.uid, namespace=seen.namespace, pod=seen.pod, name=seen.name, attempt=seen.attempt,
            state=EXITED, started_at=0.0, finished_at=now, exit_code=seen.exit_code or NOT_STARTED,
            reason=states.CANNOT_RUN, message=str(error), image=seen.image, image_id=seen.image_id,
        )  # fmt: skip
        self._inventory.remember_failed(info)
        return info

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal; TERM becomes what the image says."""
        try:
            if signal == "TERM":
                signal = self._inventory.known(container_id).stop_signal or signal
            # An image keeps its STOPSIGNAL as it was written, in any case, with or without SIG.
            name = signal if signal.isdigit() else f"SIG{signal.upper().removeprefix('SIG')}"
            self._client.send("POST", f"/containers/{quoted(container_id)}/kill", query={"signal": name})
        except (NotFound, Conflict):
            return  # it has ended

    def kill(self, container_id: str) -> None:
        """Kill all of its processes."""
        self.signal(container_id, "KILL")

    def remove(self, container_id: str) -> None:
        """Remove it, its log and its anonymous volumes."""
        uid = ""
        with contextlib.suppress(NotFound):
            uid = self._inventory.known(container_id).info.uid
        with contextlib.suppress(NotFound, Conflict):
            self._client.send(
                "DELETE", f"/containers/{quoted(container_id)}", query={"force": True, "v": True}
            )
        self._inventory.forget(container_id)
        if uid:
            self._shape.removed(uid)

    # -- looking into containers ----------------------------------------------------------------------

    def logs(self, container_id: str, options: LogOptions) -> LogStream:
        """Open its log."""
        return open_log(self._client, container_id, options, tty=self._inventory.known(container_id).tty)

    def exec(self, container_id: str, command: list[str], io: ExecIO) -> int:
        """Run a command for a client."""
        return self._sessions.execute(container_id, command, io)

    def run(
        self, container_id: str, command: list[str], timeout: float, done: Callable[[CommandResult], None]
    ) -> None:
        """Run a command for a probe or a hook."""
        self._commands.submit(lambda: self._sessions.run(container_id, command, timeout, done))

    def attach(self, container_id: str, io: ExecIO) -> None:
        """Connect a client to its streams."""
        self._sessions.attach(container_id, io)

    def dial(self, uid: str, port: int, timeout: float) -> socket.socket:
        """Connect to a port of the pod."""
        return self._shape.dial(uid, port, timeout)

    def usage(self) -> list[ContainerUsage]:
        """Measure all running containers."""
        waiting = self._inventory.running()
        found: list[ContainerUsage] = []
        threads = [
            spawn(self._measure, waiting, found, name=f"{self.name}-stats-{number}")
            for number in range(min(MEASURING, len(waiting)) - 1)
        ]
        self._measure(waiting, found)
        join_all(threads, Deadline(30.0, self._clock))
        with self._lock:
            before, self._usage = self._usage, {item.id: item for item in found}
        return [usage.with_rate(item, before.get(item.id)) for item in list(found)]

    def _measure(self, waiting: list[str], found: list[ContainerUsage]) -> None:
        while True:
            try:
                container_id = waiting.pop()  # atomic; several threads share the list
            except IndexError:
                return
            query = {"stream": False}
            try:
                if self._client.engine().speaks((1, 41)):
                    query["one-shot"] = True
                answer = self._client.json("GET", f"/containers/{quoted(container_id)}/stats", query=query)
            except NotFound:
                continue
            except ProviderError as error:
                logger.debug("container %s cannot be measured: %s", container_id, error)
                continue
            item = usage.from_stats(container_id, answer or {}, time.time())
            if item is not None:
                found.append(item)

    # -- what the engine tells ------------------------------------------------------------------------

    def _event_filters(self) -> JsonObject:
        own = dialect.label_filter(labels.node_labels(self._node), self._client.engine().api)
        return {"type": ["container"], **own} if isinstance(own["label"], list) else own

    def _connected(self) -> None:
        if self._listener is not None:
            self._listener.lost_track()

    def _happened(self, container_id: str, action: str, attributes: dict[str, str]) -> None:
        """Take an event: look at the container, and say what it is now."""
        assert self._listener is not None
        if attributes.get(labels.KIND) == labels.INFRA:
            if action in DIED:
                self._shape.died(container_id, attributes.get(labels.UID, ""))
            return
        if action in {"remove", "destroy"}:
            known = self._inventory.forget(container_id)
            if known is not None and known.info.state == RUNNING:
                self._listener.lost_track()  # by somebody else, before its end could be looked at
            return
        seen = self._inventory.inspect(container_id)
        if seen.info.uid:
            self._listener.container_changed(seen.info)
