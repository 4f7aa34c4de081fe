"""A `Provider` made from a driver: the table of pods, the queue of looks at them, and what the agent asks.

agent -create/update/delete-> PodWorker <-change- inventory <-container_changed- driver
                                 |  ^
                   look(uid) ->  queue -> workers: PodWorker.step -> notify callback
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from pathlib import Path

from virtual_kubelet.errors import NotFound, Unavailable
from virtual_kubelet.objects import Condition, Node, Pod, PodStatus
from virtual_kubelet.podruntime import admission
from virtual_kubelet.podruntime.access import Access
from virtual_kubelet.podruntime.checks import Checks
from virtual_kubelet.podruntime.driver import ContainerInfo, Driver
from virtual_kubelet.podruntime.hooks import Hooks
from virtual_kubelet.podruntime.housekeeping import PERIOD, Housekeeping
from virtual_kubelet.podruntime.inventory import Inventory
from virtual_kubelet.podruntime.journal import Journal
from virtual_kubelet.podruntime.loop import Loop
from virtual_kubelet.podruntime.operations import Operations
from virtual_kubelet.podruntime.pod_state import PodState
from virtual_kubelet.podruntime.pod_worker import PodWorker, Tools
from virtual_kubelet.podruntime.prober import Prober
from virtual_kubelet.podruntime.record import PodRecord, Verdict
from virtual_kubelet.podruntime.store import Store
from virtual_kubelet.podruntime.table import Table
from virtual_kubelet.podruntime.tasks import Tasks
from virtual_kubelet.podruntime.volumes import Volumes, check_volumes
from virtual_kubelet.provider import NotifyCallback, PodContext
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.services import ServiceGroup
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.runtime.workers import Workers
from virtual_kubelet.runtime.workqueue import WorkQueue

__all__ = ["ManagerOptions", "PodManager"]

logger = logging.getLogger(__name__)

JITTER = 0.1


@dataclass(frozen=True)
class ManagerOptions:
    """What differs between providers. Durations are seconds."""

    state: Path  # a directory of this node's own
    memory: Path | None = None  # one on a tmpfs for what must not reach a disk
    workers: int = 4
    tasks: int = 8
    relist_period: float = 60.0
    service_account_optional: bool = False


class PodManager(Access):
    """Runs pods through a driver. Nothing runs before `bind`; fields are written by it and before, never later."""

    def __init__(self, driver: Driver, options: ManagerOptions, *, clock: Clock = SYSTEM) -> None:
        self._pods = Table()
        super().__init__(driver, self._pods)
        self._options = options
        self._clock = clock
        self._queue = WorkQueue(f"{driver.name}-pods", clock=clock)
        self._tasks = Tasks(options.tasks, f"{driver.name}-task", clock)
        self._loop = Loop(f"{driver.name}-loop", clock)
        self._admitting = threading.Lock()  # two pods that fit one at a time may not fit together
        self._callback: NotifyCallback | None = None
        self._parts: _Parts | None = None

    # -- life -----------------------------------------------------------------------------------------

    def notify_pods(self, callback: NotifyCallback) -> None:
        """Keep the callback for changed statuses."""
        self._callback = callback

    def bind(self, context: PodContext) -> None:
        """Take up the pods of the last agent and begin to work."""
        parts = self._parts = self._assemble(context)
        parts.store.load()
        context.on_change(self._references_changed)
        self._driver.open(self)
        parts.services.start()

    def _assemble(self, context: PodContext) -> _Parts:
        options, clock, name = self._options, self._clock, self._driver.name
        journal = Journal(options.state / "pods")
        volumes = Volumes(
            journal.directory(""), options.memory, context, lenient=options.service_account_optional
        )
        checks = Checks(self._driver, self._loop)
        tools = Tools(
            driver=self._driver,
            operations=Operations(self._driver, volumes, context),
            journal=journal,
            tasks=self._tasks,
            hooks=Hooks(checks, self._loop),
            prober=Prober(checks, self._loop, clock),
            clock=clock,
            look=self._queue.add,
            report=self._report,
        )
        store = Store(self._pods, tools)
        inventory = Inventory(self._driver, store, clock, self._loop.after)
        housekeeping = Housekeeping(store, clock)
        relist = Periodic(
            lambda: inventory.take(relist.trigger),
            options.relist_period,
            name=f"{name}-relist",
            jitter=JITTER,
            clock=clock,
        )
        services = ServiceGroup(
            [
                self._loop,
                relist,
                Workers(self._queue, self._step, options.workers, f"{name}-pod"),
                Periodic(housekeeping.run, PERIOD, name=f"{name}-housekeeping", jitter=JITTER, clock=clock),
            ]
        )
        return _Parts(context, store, inventory, relist, services)

    def _need(self) -> _Parts:
        if self._parts is None:
            raise Unavailable("the provider has not been bound to an agent yet")
        return self._parts

    def close(self, deadline: float) -> None:
        """Detach; containers go on."""
        end = Deadline(deadline, self._clock)
        self._stop(end)
        self._driver.close(end)

    def _stop(self, deadline: Deadline) -> None:
        if self._parts is not None:
            self._parts.services.stop(deadline)
        self._tasks.stop(deadline)

    def purge(self) -> None:
        """End every container of this node and forget every pod; nothing can be done with this object after."""
        self._stop(Deadline(10.0, self._clock))
        self._driver.purge()
        if self._parts is not None:
            for uid in self._pods.uids():
                self._parts.store.drop(uid)

    # -- pods -----------------------------------------------------------------------------------------

    def create_pod(self, pod: Pod) -> None:
        """Take a pod in; it is started by the workers."""
        metadata = pod["metadata"]
        uid = metadata["uid"]
        if self._pods.get(uid) is not None:
            return
        check_volumes(pod)
        self._driver.check(pod)
        record = PodRecord(uid, metadata["namespace"], metadata["name"], start_time=self._clock.now())
        parts = self._need()
        with self._admitting:
            others = [item.state.pod for item in self._pods.all() if item.state.needs_room()]
            rejection = admission.admit(pod, others, self._driver.capacity(), parts.context.node())
            if rejection is not None:
                record.verdict = Verdict(rejection.reason, rejection.status_message, rejected=True)
            parts.store.add(pod, record)
        parts.store.begin(pod, record)
        if rejection is not None:
            parts.context.event(pod, "Warning", rejection.reason, rejection.message)

    def update_pod(self, pod: Pod) -> None:
        """Take a changed spec."""
        worker = self._pods.get(pod["metadata"]["uid"])
        if worker is None:
            raise NotFound(f'pod "{pod["metadata"]["name"]}" not found')
        self._need().store.update(worker, pod)
        self._tasks.submit(worker.refresh)

    def delete_pod(self, pod: Pod) -> None:
        """Begin to end a pod; one that has ended already is forgotten."""
        metadata = pod["metadata"]
        worker = self._pods.find(metadata["namespace"], metadata["name"], metadata.get("uid", ""))
        if worker is None:
            raise NotFound(f'pod "{metadata["name"]}" not found')
        if worker.state.over:
            self._need().store.forget(worker)
            self._queue.discard(worker.uid)
            return
        worker.delete(float(metadata.get("deletionGracePeriodSeconds") or 0))

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        """Return the newest pod of that name."""
        worker = self._pods.find(namespace, name)
        return None if worker is None else _whole(worker)

    def get_pod_status(self, namespace: str, name: str) -> PodStatus | None:
        """Return the status of the newest pod of that name."""
        worker = self._pods.find(namespace, name)
        return None if worker is None else worker.state.status()

    def get_pods(self) -> list[Pod]:
        """Return all pods; raise `Unavailable` until the backend has said what runs."""
        if not self._need().inventory.synced:
            raise Unavailable(f"{self._driver.name} has not yet said which containers there are")
        return [_whole(worker) for worker in self._pods.all()]

    # -- node -----------------------------------------------------------------------------------------

    def capacity(self) -> dict[str, str]:
        """Return the node's resources."""
        return self._driver.capacity()

    def node_conditions(self) -> list[Condition]:
        """Return the node's conditions."""
        return self._driver.node_conditions()

    def operating_system(self) -> str:
        """Return Linux."""
        return "Linux"

    def configure_node(self, node: Node) -> None:
        """Say on the Node what runs its containers."""
        self._driver.configure_node(node)

    def ping(self) -> None:
        """Return when the backend works."""
        self._driver.ping()

    # -- what is told ---------------------------------------------------------------------------------

    def container_changed(self, info: ContainerInfo) -> None:
        """Take the newest of one container from the driver."""
        self._need().inventory.change(info)

    def lost_track(self) -> None:
        """Ask the driver for everything."""
        self._need().relist.trigger()

    def _step(self, uid: str) -> float | None:
        worker = self._pods.get(uid)
        return worker.step() if worker is not None and self._need().inventory.synced else None

    def _report(self, state: PodState, status: PodStatus) -> None:
        if self._callback is not None:
            self._callback(state.namespace, state.name, state.uid, status)

    def _references_changed(self, namespace: str, name: str) -> None:
        worker = self._pods.find(namespace, name)
        if worker is not None:
            worker.hurry()
            self._tasks.submit(worker.refresh)


@dataclass(frozen=True)
class _Parts:
    """What there is once an agent has been met."""

    context: PodContext
    store: Store
    inventory: Inventory
    relist: Periodic
    services: ServiceGroup


def _whole(worker: PodWorker) -> Pod:
    whole: Pod = {**worker.state.pod, "status": worker.state.status()}
    return whole
