"""Containers as local processes: the `Driver` over the supervisor."""

from __future__ import annotations

import contextlib
import logging
import shutil
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import InvalidInput, NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import Condition, JsonObject, Node, Pod
from virtual_kubelet.podruntime.driver import (
    CREATED,
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
from virtual_kubelet.provider import ExecIO, LogOptions, LogStream
from virtual_kubelet.providers.process import layout, limits, logs, rules, sessions
from virtual_kubelet.providers.process.config import ProcessConfig
from virtual_kubelet.providers.process.machine import Machine
from virtual_kubelet.providers.process.supervisor.processes import boot_id
from virtual_kubelet.providers.process.supervisor.protocol import PROTOCOL, Message
from virtual_kubelet.providers.process.supervisor_client import SupervisorClient
from virtual_kubelet.providers.process.usage import ProcessTimes
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.version import __version__

__all__ = ["ProcessDriver"]

logger = logging.getLogger(__name__)

STATES = {"starting": CREATED, "running": RUNNING, "exited": EXITED}
LOCALHOST = ("127.0.0.1", "::1")
PURGE_TIMEOUT = 30.0


class ProcessDriver:
    """The driver of the process provider."""

    name = "process"

    def __init__(self, config: ProcessConfig, *, clock: Clock = SYSTEM) -> None:
        self._config = config
        self._machine = Machine(config.state)
        self._times = ProcessTimes()
        self._client = SupervisorClient(
            config.state / "supervisor",
            cgroup=config.cgroup,
            on_container=self._changed,
            on_connect=self._connected,
            clock=clock,
        )
        self._listener: Listener | None = None  # written once, by `open`
        self._lock = threading.Lock()
        self._requests: dict[str, ContainerRequest] = {}  # created, not started yet; under the lock
        self._said_limits = False  # under the lock

    # -- life -----------------------------------------------------------------------------------------

    def open(self, listener: Listener) -> None:
        """Begin."""
        self._listener = listener
        self._config.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._client.start()

    def close(self, deadline: Deadline) -> None:
        """Disconnect; processes go on."""
        self._client.stop(deadline)

    def purge(self) -> None:
        """End every container and the supervisor, remove logs; also after `close`, so over a connection of its own."""
        self._client.stop(Deadline(PURGE_TIMEOUT))
        directory = self._config.state / "supervisor"
        client = SupervisorClient(directory, on_container=lambda _message: None, on_connect=lambda: None)
        client.start()
        try:
            containers = client.recorded()
            if client.may_run():
                client.call("shutdown", force=True, within=PURGE_TIMEOUT)
        finally:
            client.stop(Deadline(PURGE_TIMEOUT))
        for container in containers:
            self._remove_logs(container)
        shutil.rmtree(directory, ignore_errors=True)

    def ping(self) -> None:
        """Return when the supervisor answers, or when none is needed."""
        if self._client.connected or self._client.has_records():
            self._client.call("hello", protocols=[PROTOCOL], events=True, within=5.0)

    def check(self, pod: Pod) -> None:
        """Refuse what processes cannot be."""
        rules.check_pod(pod)
        targets = layout.absolute_mounts(pod)
        if targets and not self._can_mount():
            raise InvalidInput(
                f"{targets[0]} cannot be mounted: this node has no mount namespaces;"
                " allow unprivileged user namespaces, or use relative mountPaths"
            )
        self._say_limits(rules.limited(pod))

    def _can_mount(self) -> bool:
        return self._config.mounts and self._client.mounts != ""

    def _say_limits(self, limited: frozenset[str]) -> None:
        """Say once that something is not limited although a pod asks for it."""
        with self._lock:
            said = self._said_limits
        missing = limited - self._client.controllers if limited and not said else ()
        if missing:
            with self._lock:
                self._said_limits = True
            logger.warning(
                "limits of %s are not enforced: the containers are plain processes, and no cgroup was delegated",
                " and ".join(sorted(missing)),
            )

    # -- node -----------------------------------------------------------------------------------------

    def capacity(self) -> dict[str, str]:
        """Return the node's resources."""
        return self._machine.capacity(self._config.resources)

    def node_conditions(self) -> list[Condition]:
        """Return the machine's conditions."""
        return self._machine.conditions()

    def configure_node(self, node: Node) -> None:
        """Say what runs the containers."""
        info = node.setdefault("status", {}).setdefault("nodeInfo", {})
        info["containerRuntimeVersion"] = f"process://{__version__}"
        info["bootID"] = boot_id()

    def node_stats(self) -> dict[str, Any]:
        """Return the machine's numbers."""
        return self._machine.stats()

    # -- pods and images ------------------------------------------------------------------------------

    def prepare_pod(self, pod: Pod) -> Sandbox:
        """Return the machine itself; after a restart of it, another one."""
        del pod
        return Sandbox(boot_id() or "this boot")

    def release_pod(self, uid: str) -> None:
        """Do nothing: pods share nothing of their own."""

    def ensure_image(
        self, reference: str, policy: str, credentials: list[JsonObject], pulling: Callable[[], None]
    ) -> Image:
        """Return no image: what runs is the machine's."""
        del reference, policy, credentials, pulling
        return Image()

    # -- containers -----------------------------------------------------------------------------------

    def list_containers(self) -> list[ContainerInfo]:
        """Return what the supervisor has."""
        if not self._client.connected and not self._client.has_records():
            return []
        return [_info(item) for item in self._client.call("list")["containers"]]

    def create(self, request: ContainerRequest) -> str:
        """Keep the request until it is started: a process is made and started in one."""
        rules.check_container(request.pod, request.container)
        container_id = f"{request.labels['uid']}_{request.labels['container']}_{request.attempt}"
        with self._lock:
            self._requests[container_id] = request
        return container_id

    def start(self, container_id: str) -> ContainerInfo:
        """Start the process."""
        with self._lock:
            request = self._requests.pop(container_id)
        container = request.container
        try:
            place = layout.arrange(request, can_mount=self._can_mount())
            who = rules.identity(request.pod, container)
            if who.get("user") is not None:
                layout.give(Path(request.directory), who["user"], who["group"], below=self._config.state)
        except OSError as error:
            raise ProviderError(f"cannot make the container's directory: {error}") from error
        result = self._client.call(
            "start",
            container=container_id,
            labels=dict(request.labels),
            argv=[*request.command, *request.args],
            env=place.env,
            cwd=place.cwd,
            mounts=place.mounts,
            limits=limits.cgroup_files(container),
            identity=who,
            stdin=bool(container.get("stdin")),
            stdin_once=bool(container.get("stdinOnce")),
            tty=bool(container.get("tty")),
            log=str(self._log_path(request.labels, request.attempt)),
            log_max_bytes=self._config.log_max_bytes,
            log_max_files=self._config.log_max_files,
        )
        return _info(result["container"])

    def _log_path(self, labels: Mapping[str, str], attempt: int) -> Path:
        """Return the log's place, as log shippers expect it below /var/log/pods."""
        pod = f"{labels['namespace']}_{labels['pod']}_{labels['uid']}"
        return self._config.logs / pod / labels["container"] / f"{attempt}.log"

    def signal(self, container_id: str, signal: str) -> None:
        """Send a signal to the first process."""
        with contextlib.suppress(NotFound):
            self._client.call("signal", container=container_id, signal=signal)

    def kill(self, container_id: str) -> None:
        """Kill all processes."""
        with contextlib.suppress(NotFound):
            self._client.call("kill", container=container_id)

    def remove(self, container_id: str) -> None:
        """Remove the record and the log."""
        if self._client.connected or self._client.has_records():
            self._client.call("remove", container=container_id)
        self._remove_logs(container_id)

    def _remove_logs(self, container_id: str) -> None:
        path = self._find_log(container_id)
        if path is None:
            return
        for file in logs.segments(path):
            file.unlink(missing_ok=True)
        for directory in (path.parent, path.parent.parent):
            with contextlib.suppress(OSError):
                directory.rmdir()  # the last one of the pod takes the directory with it

    def _find_log(self, container_id: str) -> Path | None:
        """Return the log of a container by its id: uid, name and attempt are in it."""
        rest, _, attempt = container_id.rpartition("_")
        uid, _, name = rest.rpartition("_")
        # Between two names of a rotation only the older files are there.
        found = logs.listed(self._config.logs, f"*_{uid}/{name}/{attempt}.log*")
        return found[0].with_name(f"{attempt}.log") if found else None

    # -- looking into containers ----------------------------------------------------------------------

    def logs(self, container_id: str, options: LogOptions) -> LogStream:
        """Open the log."""
        path = self._find_log(container_id)
        if path is None:
            raise NotFound("the container has no log")

        def subscribe(fd: int) -> bool:
            answer = self._client.call("follow", container=container_id, fds=[fd])
            return bool(answer.get("following"))

        return logs.LogReader(path, options, subscribe)

    def exec(self, container_id: str, command: list[str], io: ExecIO) -> int:
        """Run a command for a client."""
        return sessions.execute(self._client, container_id, command, io)

    def run(
        self, container_id: str, command: list[str], timeout: float, done: Callable[[CommandResult], None]
    ) -> None:
        """Run a command for a probe or a hook."""

        def answer(result: Message | None, error: ProviderError | None) -> None:
            if result is None:
                done(CommandResult(-1, error=str(error)))
                return
            text = str(result.get("failure") or result.get("output", ""))
            done(CommandResult(int(result["exit_code"]), text, bool(result["timed_out"])))

        try:
            # At once or not at all: whoever asks has everybody's timers and sockets in hand.
            self._client.ask("run", answer, within=0, container=container_id, argv=command, timeout=timeout)
        except ProviderError as error:
            done(CommandResult(-1, error=str(error)))

    def attach(self, container_id: str, io: ExecIO) -> None:
        """Connect a client to the process's streams."""
        sessions.attach(self._client, container_id, io)

    def dial(self, uid: str, port: int, timeout: float) -> socket.socket:
        """Connect to a port of this machine: pods have no network of their own."""
        del uid
        problem = ""
        for host in LOCALHOST:
            try:
                return socket.create_connection((host, port), timeout)
            except OSError as error:
                problem = problem or f"dial tcp {host}:{port}: connect: {error.strerror or error}"
        raise Unavailable(problem.lower())

    def usage(self) -> list[ContainerUsage]:
        """Measure the processes."""
        if not self._client.connected:
            return []
        items = self._client.call("list")["containers"]
        return self._times.usage([item for item in items if item["state"] == "running"])

    # -- what the supervisor tells --------------------------------------------------------------------

    def _changed(self, values: Message) -> None:
        if self._listener is not None:
            self._listener.container_changed(_info(values))

    def _connected(self) -> None:
        if self._listener is not None:
            self._listener.lost_track()


def _info(values: Message) -> ContainerInfo:
    labels = values["labels"]
    return ContainerInfo(
        id=values["id"],
        uid=labels["uid"],
        namespace=labels["namespace"],
        pod=labels["pod"],
        name=labels["container"],
        attempt=int(labels["attempt"]),
        state=STATES[values["state"]],
        started_at=values["started_at"],
        finished_at=values["finished_at"],
        exit_code=values["exit_code"],
        signal=values["signal"],
        reason=values["reason"],
        message=values["message"],
        image=labels.get("image", ""),
    )
