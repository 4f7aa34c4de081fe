"""A provider that runs nothing: every pod is Running at once, until it is deleted.

It behaves like a good backend (thread-safe, pushes status, knows its pods again after a restart) or, as
configured, like a bad one (slow, failing). Pods are kept as encoded JSON: a tenth of the memory of dicts, and
nobody can change them by accident.
"""

from __future__ import annotations

import random
import shlex
import threading
import time
from dataclasses import dataclass, field

from virtual_kubelet import codec
from virtual_kubelet.errors import NotFound, Unavailable
from virtual_kubelet.objects import Condition, Container, JsonObject, Node, Pod, PodStatus
from virtual_kubelet.provider import (
    ExecIO,
    ForwardStream,
    LogOptions,
    LogStream,
    NotifyCallback,
    ProviderConfig,
)
from virtual_kubelet.providers.mock import config as mock_config
from virtual_kubelet.providers.mock import containers
from virtual_kubelet.providers.mock.journal import Journal
from virtual_kubelet.providers.mock.logs import MockLog
from virtual_kubelet.pure import times

__all__ = ["MockProvider", "create"]

EXCLUDE_FROM_LOAD_BALANCERS = (
    "alpha.service-controller.kubernetes.io/exclude-balancer",
    "node.kubernetes.io/exclude-from-external-load-balancers",
)


def create(config: ProviderConfig) -> MockProvider:
    """Return the mock provider of one node."""
    settings = mock_config.load(config.config_path, config.node_name)
    return MockProvider(settings, operating_system=config.operating_system, state_dir=config.state_dir)


@dataclass
class _Entry:
    """A pod that this provider holds."""

    uid: str
    encoded: bytes
    logs: dict[str, MockLog] = field(default_factory=dict)
    ended: bool = False

    def pod(self) -> Pod:
        pod: Pod = codec.loads(self.encoded)
        return pod


class MockProvider:
    """Nine methods and every ability, in memory."""

    def __init__(
        self,
        config: mock_config.MockConfig | None = None,
        *,
        operating_system: str = "Linux",
        state_dir: str = "",
    ) -> None:
        self._config = config or mock_config.MockConfig()
        self._operating_system = operating_system
        self._lock = threading.Lock()  # guards _pods with their logs, _created, _callback and _random
        self._pods: dict[tuple[str, str], _Entry] = {}
        self._created = 0
        self._callback: NotifyCallback | None = None
        self._random = random.Random(self._config.seed)
        self._closed = threading.Event()
        self._journal = Journal(state_dir) if state_dir else None
        for pod in self._journal.open() if self._journal else []:
            self._adopt(pod)

    # --- pods

    def create_pod(self, pod: Pod) -> None:
        """Hold `pod` and say that it runs."""
        self._behave("create")
        metadata = pod["metadata"]
        key, uid, now = (metadata["namespace"], metadata["name"]), metadata["uid"], time.time()
        with self._lock:
            if key in self._pods and self._pods[key].uid == uid:
                return  # told twice
            number, self._created = self._created, self._created + 1
        status = containers.running_status(pod, containers.pod_ip(number), now)
        self._keep(pod, status)
        self._notify(key, uid, status)

    def update_pod(self, pod: Pod) -> None:
        """Hold the changed `pod` in place of the old one; its containers go on."""
        self._behave("update")
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        old = self._entry(*key, metadata["uid"]).pod()
        status = old["status"]
        status = {
            **containers.running_status(pod, status["podIP"], time.time()),
            "startTime": status["startTime"],
        }
        entry = self._keep(pod, status)
        with self._lock:
            logs = list(entry.logs.values())
        for log in logs:
            log.write(time.time(), "mock container updated")
        self._notify(key, entry.uid, status)

    def delete_pod(self, pod: Pod) -> None:
        """Let go of `pod` and say that its containers have ended."""
        self._behave("delete")
        metadata = pod["metadata"]
        key, uid = (metadata["namespace"], metadata["name"]), metadata["uid"]
        entry = self._entry(*key, uid)
        status = containers.deleted_status(entry.pod()["status"], time.time())
        with self._lock:
            self._pods.pop(key, None)
        if self._journal:
            self._journal.drop(uid)
        self._end_logs([entry])
        self._notify(key, uid, status)

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        """Return a copy of the pod as it was handed over, with its status."""
        with self._lock:
            entry = self._pods.get((namespace, name))
        return entry.pod() if entry else None

    def get_pod_status(self, namespace: str, name: str) -> PodStatus | None:
        """Return a copy of the pod's status."""
        pod = self.get_pod(namespace, name)
        return pod["status"] if pod else None

    def get_pods(self) -> list[Pod]:
        """Return copies of all pods."""
        with self._lock:
            entries = list(self._pods.values())
        return [entry.pod() for entry in entries]

    def notify_pods(self, callback: NotifyCallback) -> None:
        """Push every change of status to `callback`."""
        with self._lock:
            self._callback = callback

    # --- the node

    def capacity(self) -> dict[str, str]:
        """Return the configured capacity."""
        return self._config.capacity()

    def node_conditions(self) -> list[Condition]:
        """Return nothing to report: a mock node is healthy."""
        return []

    def operating_system(self) -> str:
        """Return the operating system of the settings."""
        return self._operating_system

    def configure_node(self, node: Node) -> None:
        """Keep load balancers away, as the Go original's mock does, and set the provider's id."""
        labels = node["metadata"].setdefault("labels", {})
        labels.update(dict.fromkeys(EXCLUDE_FROM_LOAD_BALANCERS, "true"))
        if self._config.provider_id:
            node.setdefault("spec", {})["providerID"] = self._config.provider_id

    def ping(self) -> None:
        """Return: memory is always there."""

    # --- looking into containers

    def container_logs(
        self, namespace: str, pod: str, uid: str, container: str, options: LogOptions
    ) -> LogStream:
        """Open the log of a mock container; it has no earlier instance."""
        entry, spec = self._container(namespace, pod, uid, container)
        if options.previous:
            raise NotFound(f'previous terminated container "{container}" in pod "{pod}" not found')
        return self._log(entry, spec).open(options)

    def exec_in_container(
        self, namespace: str, pod: str, uid: str, container: str, command: list[str], io: ExecIO
    ) -> int:
        """Echo the command and then the input; `exit N` ends with that code."""
        self._container(namespace, pod, uid, container)
        if command[:1] == ["exit"] and len(command) == 2 and command[1].isdigit():
            return int(command[1]) % 256
        if io.stdout:
            io.write_stdout(shlex.join(command).encode() + b"\n")
        self._echo(io)
        return 0

    def attach_to_container(self, namespace: str, pod: str, uid: str, container: str, io: ExecIO) -> None:
        """Echo the input, until it ends."""
        self._container(namespace, pod, uid, container)
        self._echo(io)

    def port_forward(self, namespace: str, pod: str, uid: str, port: int, stream: ForwardStream) -> None:
        """Send back what comes."""
        self._entry(namespace, pod, uid)
        while data := stream.read():
            stream.write(data)
        stream.close_write()

    def stats_summary(self) -> JsonObject:
        """Return made-up numbers in the shape of `stats/v1alpha1.Summary`."""
        return containers.summary(self.get_pods(), time.time())

    # --- ending

    def close(self, deadline: float) -> None:
        """Stop waiting and following; the pods stay in the journal."""
        self._closed.set()
        with self._lock:
            entries = list(self._pods.values())
        self._end_logs(entries)
        if self._journal:
            self._journal.close()

    def purge(self) -> None:
        """Forget every pod."""
        with self._lock:
            entries = list(self._pods.values())
            self._pods.clear()
        self._end_logs(entries)
        if self._journal:
            self._journal.remove()

    # --- inside

    def _behave(self, operation: str) -> None:
        """Be as slow and as unreliable as configured."""
        if self._config.latency:
            self._closed.wait(self._config.latency)
        if self._config.failure_rate:
            with self._lock:
                fails = self._random.random() < self._config.failure_rate
            if fails:
                raise Unavailable(f"mock provider: {operation} failed as configured (failureRate)")

    def _entry(self, namespace: str, name: str, uid: str) -> _Entry:
        with self._lock:
            entry = self._pods.get((namespace, name))
        if entry is None or entry.uid != uid:
            raise NotFound(f'pod "{namespace}/{name}" not found')
        return entry

    def _container(self, namespace: str, pod: str, uid: str, name: str) -> tuple[_Entry, Container]:
        entry = self._entry(namespace, pod, uid)
        spec = containers.find(entry.pod(), name)
        if spec is None:
            raise NotFound(f'container "{name}" in pod "{pod}" is not available')
        return entry, spec

    def _keep(self, pod: Pod, status: PodStatus) -> _Entry:
        metadata = pod["metadata"]
        key = (metadata["namespace"], metadata["name"])
        # Copied, for orjson's own result keeps up to as much spare memory as it has content.
        encoded = bytes(bytearray(codec.dumps({"metadata": metadata, "spec": pod["spec"], "status": status})))
        with self._lock:
            old = self._pods.get(key)
            logs = old.logs if old and old.uid == metadata["uid"] else {}
            entry = self._pods[key] = _Entry(metadata["uid"], encoded, logs)
        if self._journal:
            self._journal.keep(encoded)
        return entry

    def _adopt(self, pod: Pod) -> None:
        metadata = pod["metadata"]
        self._pods[metadata["namespace"], metadata["name"]] = _Entry(metadata["uid"], codec.dumps(pod))
        # Beyond the highest address in use: the numbers of pods that are gone are not all in the journal.
        self._created = max(self._created, containers.pod_number(pod["status"]["podIP"]) + 1)

    def _log(self, entry: _Entry, container: Container) -> MockLog:
        """Return the log of a container, made when it is first asked for: most never are."""
        with self._lock:
            log = entry.logs.get(container["name"])
            if log is None:
                log = entry.logs[container["name"]] = MockLog()
                for line in containers.first_lines(container):
                    log.write(times.parse(entry.pod()["status"]["startTime"]), line)
                if entry.ended:
                    log.end()
        return log

    def _end_logs(self, entries: list[_Entry]) -> None:
        with self._lock:
            for entry in entries:
                entry.ended = True
            logs = [log for entry in entries for log in entry.logs.values()]
        for log in logs:
            log.end()

    def _notify(self, key: tuple[str, str], uid: str, status: PodStatus) -> None:
        with self._lock:
            callback = self._callback
        if callback:
            callback(*key, uid, status)

    @staticmethod
    def _echo(io: ExecIO) -> None:
        while io.stdin and (data := io.read_stdin()):
            if io.stdout:
                io.write_stdout(data)
