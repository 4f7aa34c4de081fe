"""A `Provider` made from a driver: the table of pods, the queue of looks at them, and what the agent asks.

agent -create/update/delete-> PodWorker <-container_changed- driver
                                 |  ^
                   look(uid) ->  queue -> workers: PodWorker.step -> notify callback
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from virtual_kubelet.errors import NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import Condition, Container, Node, Pod, PodStatus
from virtual_kubelet.podruntime import admission
from virtual_kubelet.podruntime.access import Access
from virtual_kubelet.podruntime.checks import Checks
from virtual_kubelet.podruntime.driver import EXITED, ContainerInfo, Driver
from virtual_kubelet.podruntime.hooks import Hooks
from virtual_kubelet.podruntime.journal import Journal, without_secrets
from virtual_kubelet.podruntime.loop import Loop
from virtual_kubelet.podruntime.operations import Operations
from virtual_kubelet.podruntime.pod_state import PodState
from virtual_kubelet.podruntime.pod_worker import PodWorker, Tools
from virtual_kubelet.podruntime.prober import Prober
from virtual_kubelet.podruntime.record import PodRecord
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

RETRY_LIST = 2.0
GARBAGE_PERIOD = 10.0
REFRESH_PERIOD = 60.0
EVICTION_PERIOD = 10.0
KEEP_UNWANTED = 300.0  # seconds that an ended pod may be missing from the API before it is forgotten
KEEP_ENDED = 120.0  # seconds that a deleted pod's last status is kept for an agent that has not fetched it


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
    """Runs pods through a driver. Nothing runs before `bind`."""

    def __init__(self, driver: Driver, options: ManagerOptions, *, clock: Clock = SYSTEM) -> None:
        self._pods = Table()
        super().__init__(driver, self._pods)
        self._options = options
        self._clock = clock
        self._journal = Journal(options.state / "pods")
        self._queue = WorkQueue(f"{driver.name}-pods", clock=clock)
        self._tasks = Tasks(options.tasks, f"{driver.name}-task", clock)
        self._loop = Loop(f"{driver.name}-loop", clock)
        checks = Checks(driver, self._loop)
        self._hooks = Hooks(checks, self._loop)
        self._prober = Prober(checks, self._loop, clock)
        self._relist = self._periodic(self._list, options.relist_period, "relist")
        self._services = ServiceGroup(
            [
                self._loop,
                self._relist,
                Workers(self._queue, self._step, options.workers, f"{driver.name}-pod"),
                self._periodic(self._collect_garbage, GARBAGE_PERIOD, "garbage"),
                self._periodic(self._refresh, REFRESH_PERIOD, "volumes"),
                self._periodic(self._evict, EVICTION_PERIOD, "eviction"),
            ]
        )
        self._lock = threading.Lock()
        self._forgetting: set[str] = set()  # UIDs; under the lock
        self._synced = False  # under the lock: a complete list of containers has been taken in
        self._callback: NotifyCallback | None = None  # written once, before `bind`
        self._tools: Tools | None = None  # written once, by `bind`
        self._unwanted: dict[str, float] = {}  # the garbage loop's own: UID -> when it was first missed

    def _periodic(self, task: object, period: float, name: str) -> Periodic:
        assert callable(task)
        return Periodic(task, period, name=f"{self._driver.name}-{name}", jitter=0.1, clock=self._clock)

    # -- life -----------------------------------------------------------------------------------------

    def notify_pods(self, callback: NotifyCallback) -> None:
        """Keep the callback for changed statuses."""
        self._callback = callback

    def bind(self, context: PodContext) -> None:
        """Take up the pods of the last agent and begin to work."""
        options = self._options
        volumes = Volumes(
            self._journal.directory(""), options.memory, context, lenient=options.service_account_optional
        )
        operations = Operations(self._driver, volumes, context)
        tools = self._tools = Tools(
            driver=self._driver,
            operations=operations,
            journal=self._journal,
            tasks=self._tasks,
            hooks=self._hooks,
            prober=self._prober,
            clock=self._clock,
            look=self._queue.add,
            report=self._report,
        )
        self._journal.open()
        volumes.open()
        for pod, record in self._journal.load():
            self._pods.put(PodWorker(pod, record, tools, restored=True))
        context.on_change(self._references_changed)
        self._driver.open(self)
        self._services.start()

    def close(self, deadline: float) -> None:
        """Detach; containers go on."""
        end = Deadline(deadline, self._clock)
        self._services.stop(end)
        self._tasks.stop(end)
        self._driver.close(end)

    def purge(self) -> None:
        """End every container of this node and forget every pod; nothing can be done with this object after."""
        deadline = Deadline(10.0, self._clock)
        self._services.stop(deadline)
        self._tasks.stop(deadline)
        self._driver.purge()
        for worker in self._pods.all():
            if self._tools is not None:
                self._tools.operations.volumes.remove(worker.uid)
            self._journal.remove(worker.uid)
            self._pods.remove(worker.uid)

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
        worker = PodWorker(pod, record, self._need_tools())
        with self._lock:
            # Under the lock: two pods that fit one at a time may not fit together.
            others = [item.state.pod for item in self._pods.all() if item.state.needs_room()]
            record.verdict = admission.admit(pod, others, self._driver.capacity())
            record.admitted = record.verdict is None
            self._pods.put(worker)
        record.has_secrets = self._save_pod(uid, pod)
        self._journal.save_record(uid, record.to_json())
        self._queue.add(uid)

    def _save_pod(self, uid: str, pod: Pod) -> bool:
        """Write the pod down; return whether values from Secrets were left out."""
        context = self._need_context()

        def secret_names(container: Container) -> frozenset[str]:
            return context.secret_names(pod, container)

        plain, has_secrets = without_secrets(pod, secret_names)
        self._journal.save_pod(uid, plain)
        return has_secrets

    def update_pod(self, pod: Pod) -> None:
        """Take a changed spec."""
        worker = self._pods.get(pod["metadata"]["uid"])
        if worker is None:
            raise NotFound(f'pod "{pod["metadata"]["name"]}" not found')
        self._save_pod(worker.uid, pod)
        worker.update(pod)
        self._tasks.submit(lambda: self._refresh_volumes(worker))

    def delete_pod(self, pod: Pod) -> None:
        """Begin to end a pod; one that has ended already is forgotten."""
        metadata = pod["metadata"]
        worker = self._pods.find(metadata["namespace"], metadata["name"], metadata.get("uid", ""))
        if worker is None:
            raise NotFound(f'pod "{metadata["name"]}" not found')
        if worker.state.over:
            self._forget(worker)
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
        with self._lock:
            synced = self._synced
        if not synced:
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

    # -- what the driver tells ------------------------------------------------------------------------

    def container_changed(self, info: ContainerInfo) -> None:
        """Take the newest of one container."""
        worker = self._pods.get(info.uid)
        if worker is not None:
            worker.tell(info)

    def lost_track(self) -> None:
        """Ask the driver for everything."""
        self._relist.trigger()

    def _list(self) -> None:
        began = self._clock.monotonic()
        try:
            infos = self._driver.list_containers()
        except ProviderError:
            self._loop.after(RETRY_LIST, self._relist.trigger)
            raise
        by_pod: dict[str, list[ContainerInfo]] = defaultdict(list)
        for info in infos:
            by_pod[info.uid].append(info)
        for uid, found in by_pod.items():
            self._adopt(uid, found)
        for worker in self._pods.all():
            worker.tell_all(by_pod.get(worker.uid, []), began)
        with self._lock:
            self._synced = True
        for uid in self._pods.uids():
            self._queue.add(uid)
        self._remove_old(by_pod)

    def _adopt(self, uid: str, infos: list[ContainerInfo]) -> None:
        """Make a pod of containers that no record knows: the state directory was lost, or is another one's.

        Its spec comes from the API server; until that says what it is, nothing of it is started again.
        """
        known = self._pods.get(uid)
        if known is not None and not known.stub:
            return
        pod = next((item for item in self._need_context().pods() if item["metadata"].get("uid") == uid), None)
        if known is not None:
            if pod is not None:
                self._save_pod(uid, pod)
                known.stub = False
                known.update(pod)
            return
        first = infos[0]
        record = PodRecord(uid, first.namespace, first.pod, admitted=True)
        record.initialized = True
        self._pods.put(PodWorker(pod or _stub(infos), record, self._need_tools(), stub=pod is None))
        self._save_pod(uid, pod or _stub(infos))

    def _remove_old(self, by_pod: dict[str, list[ContainerInfo]]) -> None:
        """Remove ended containers that nobody can ask about any more: all but the newest two of each."""
        for infos in by_pod.values():
            newest: dict[str, int] = {}
            for info in infos:
                newest[info.name] = max(newest.get(info.name, 0), info.attempt)
            for info in infos:
                if info.state == EXITED and info.attempt < newest[info.name] - 1:
                    self._driver.remove(info.id)

    # -- loops ----------------------------------------------------------------------------------------

    def _step(self, uid: str) -> float | None:
        worker = self._pods.get(uid)
        with self._lock:
            synced = self._synced
        # Before the first list everything that runs would look lost, and would be started a second time.
        return worker.step() if worker is not None and synced else None

    def _report(self, state: PodState, status: PodStatus) -> None:
        if self._callback is not None:
            self._callback(state.namespace, state.name, state.uid, status)

    def _references_changed(self, namespace: str, name: str) -> None:
        worker = self._pods.find(namespace, name)
        if worker is not None:
            worker.hurry()
            self._tasks.submit(lambda: self._refresh_volumes(worker))

    def _refresh(self) -> None:
        for worker in self._pods.all():
            self._refresh_volumes(worker)

    def _refresh_volumes(self, worker: PodWorker) -> None:
        if not worker.state.prepared or not worker.state.needs_room():
            return
        try:
            self._need_tools().operations.volumes.refresh(worker.state.pod)
        except ProviderError as error:
            # What is there stays as it is, as in the kubelet.
            logger.info("pod %s: its volumes cannot be refreshed: %s", worker.uid, error)

    def _evict(self) -> None:
        tools = self._need_tools()
        for worker in self._pods.all():
            if not worker.state.needs_room():
                continue
            message = tools.operations.volumes.oversized(worker.state.pod)
            if message:
                worker.fail("Evicted", message)
                tools.operations.context.event(worker.state.pod, "Warning", "Evicted", message)

    def _collect_garbage(self) -> None:
        """Forget ended pods: the agent looks only after those that run, or that the API has."""
        wanted = {pod["metadata"].get("uid") for pod in self._need_context().pods()}
        now = self._clock.now()
        unwanted: dict[str, float] = {}
        for worker in self._pods.all():
            if not worker.state.over:
                continue
            deleted_at, grace = worker.state.deleted()
            if worker.uid not in wanted:
                # For a while: the agent's own view of the API may not be complete yet.
                unwanted[worker.uid] = self._unwanted.get(worker.uid, now)
            told = deleted_at and (worker.uid not in wanted or now - deleted_at - grace > KEEP_ENDED)
            if told or now - unwanted.get(worker.uid, now) > KEEP_UNWANTED:
                self._forget(worker)
        self._unwanted = unwanted

    def _forget(self, worker: PodWorker) -> None:
        """Remove all that is left of an ended pod: asked for by the agent, or by the garbage loop."""
        with self._lock:
            if worker.uid in self._forgetting:
                return
            self._forgetting.add(worker.uid)
        try:
            self._remove(worker)
        finally:
            with self._lock:
                self._forgetting.discard(worker.uid)

    def _remove(self, worker: PodWorker) -> None:
        for container_id in worker.state.ids():
            self._driver.remove(container_id)
        self._prober.remove(worker.uid)
        self._pods.remove(worker.uid)
        self._queue.discard(worker.uid)
        self._need_tools().operations.volumes.remove(worker.uid)
        self._journal.remove(worker.uid)

    def _need_tools(self) -> Tools:
        if self._tools is None:
            raise Unavailable("the provider has not been bound to an agent yet")
        return self._tools

    def _need_context(self) -> PodContext:
        return self._need_tools().operations.context


def _whole(worker: PodWorker) -> Pod:
    pod = worker.state.pod
    whole: Pod = {**pod, "status": worker.state.status()}
    return whole


def _stub(infos: list[ContainerInfo]) -> Pod:
    """Return a pod made of what labels say."""
    first = infos[0]
    names = sorted({info.name for info in infos})
    images = {info.name: info.image for info in infos}
    return {
        "metadata": {"namespace": first.namespace, "name": first.pod, "uid": first.uid},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": name, "image": images[name]} for name in names],
        },
    }
