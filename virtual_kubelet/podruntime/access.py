"""Looking into containers for the agent: logs, exec, attach, port-forward, numbers."""

from __future__ import annotations

from typing import Protocol

from virtual_kubelet.errors import InvalidInput, NotFound
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.podruntime import forwarding, stats
from virtual_kubelet.podruntime.containers import find
from virtual_kubelet.podruntime.driver import CREATED, ContainerInfo, Driver
from virtual_kubelet.podruntime.pod_worker import PodWorker
from virtual_kubelet.provider import ExecIO, ForwardStream, LogOptions, LogStream

__all__ = ["Access", "PodTable"]

DIAL_TIMEOUT = 10.0


class PodTable(Protocol):
    """Where the pods are."""

    def find(self, namespace: str, name: str, uid: str = "") -> PodWorker | None:
        """Return the pod; without `uid` the newest of that name."""

    def all(self) -> list[PodWorker]:
        """Return every pod."""


class Access:
    """The abilities that need no decision."""

    def __init__(self, driver: Driver, table: PodTable) -> None:
        self._driver = driver
        self._table = table

    def container_logs(
        self, namespace: str, pod: str, uid: str, container: str, options: LogOptions
    ) -> LogStream:
        """Open a container's log."""
        info = self._newest(namespace, pod, uid, container, previous=options.previous)
        return self._driver.logs(info.id, options)

    def exec_in_container(
        self, namespace: str, pod: str, uid: str, container: str, command: list[str], io: ExecIO
    ) -> int:
        """Run a command in a running container; return its exit code."""
        return self._driver.exec(self._running(namespace, pod, uid, container).id, command, io)

    def attach_to_container(self, namespace: str, pod: str, uid: str, container: str, io: ExecIO) -> None:
        """Connect a client to a running container's own streams."""
        self._driver.attach(self._running(namespace, pod, uid, container).id, io)

    def port_forward(self, namespace: str, pod: str, uid: str, port: int, stream: ForwardStream) -> None:
        """Connect a client to a port of the pod."""
        worker = self._worker(namespace, pod, uid)
        forwarding.forward(self._driver.dial(worker.uid, port, DIAL_TIMEOUT), stream)

    def stats_summary(self) -> JsonObject:
        """Return the kubelet's `stats/v1alpha1.Summary`."""
        return stats.summary(self._driver.node_stats(), self._driver.usage(), self._table.all())

    def _worker(self, namespace: str, pod: str, uid: str) -> PodWorker:
        worker = self._table.find(namespace, pod, uid)
        if worker is None:
            raise NotFound(f'pod "{pod}" not found in namespace "{namespace}"')
        return worker

    def _newest(
        self, namespace: str, pod: str, uid: str, container: str, *, previous: bool = False
    ) -> ContainerInfo:
        worker = self._worker(namespace, pod, uid)
        if find(worker.state.pod, container) is None:
            raise NotFound(f'container "{container}" not found in pod "{pod}"')
        info, last = worker.state.infos(container)
        if previous:
            if last is None:
                raise InvalidInput(f'previous terminated container "{container}" in pod "{pod}" not found')
            return last
        if info is None or info.state == CREATED:
            info = last  # the newest that has anything to show, as the kubelet has it
        if info is None:
            raise NotFound(f'container "{container}" in pod "{pod}" is waiting to start')
        return info

    def _running(self, namespace: str, pod: str, uid: str, container: str) -> ContainerInfo:
        worker = self._worker(namespace, pod, uid)
        info, _ = worker.state.infos(container)
        if info is None or not worker.state.runs(container):
            raise NotFound(f'container "{container}" of pod "{pod}" is not running')
        return info
