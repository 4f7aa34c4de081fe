"""The pods of a node, in memory and on disk: taken in, changed, forgotten."""

from __future__ import annotations

import threading

from virtual_kubelet.objects import Container, Pod
from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.driver import ContainerInfo
from virtual_kubelet.podruntime.journal import without_secrets
from virtual_kubelet.podruntime.pod_worker import PodWorker, Tools
from virtual_kubelet.podruntime.record import PodRecord
from virtual_kubelet.podruntime.table import Table

__all__ = ["Store"]


class Store:
    """Keeps table, journal, volumes and the driver's leftovers in step. Safe from any thread."""

    def __init__(self, table: Table, tools: Tools) -> None:
        self.table = table
        self.tools = tools
        self._lock = threading.Lock()
        # UIDs, under the lock:
        self._forgetting: set[str] = set()
        self._dropped: set[str] = set()  # since the newest list of containers was asked for

    def load(self) -> None:
        """Take up the pods of the last agent."""
        self.tools.journal.open()
        self.tools.operations.volumes.open()
        for pod, record in self.tools.journal.load():
            self.table.put(PodWorker(pod, record, self.tools, restored=True))

    def add(self, pod: Pod, record: PodRecord) -> None:
        """Put a new pod into the table; it does nothing before it is `begin`'s."""
        self.table.put(PodWorker(pod, record, self.tools))

    def begin(self, pod: Pod, record: PodRecord) -> None:
        """Write a new pod down and let it run; it is taken out of the table again when that fails."""
        try:
            record.has_secrets = self._save(pod)
            self.tools.journal.save_record(record.uid, record.to_json())
        except BaseException:
            self.table.remove(record.uid)
            raise
        self.tools.look(record.uid)

    def update(self, worker: PodWorker, pod: Pod) -> None:
        """Take a changed spec."""
        self._save(pod)
        worker.update(pod)

    def begin_list(self) -> None:
        """Note that a list of containers is being asked for: it may still have the pods that are dropped from now on."""
        with self._lock:
            self._dropped.clear()

    def adopt(self, uid: str, infos: list[ContainerInfo]) -> None:
        """Make a pod of containers that no record knows: the state directory was lost, or is another one's.

        Its spec comes from the API server; until that says what it is, nothing of it is started again.
        A pod that was dropped since the list was asked for is gone, whatever the list says.
        """
        known = self.table.get(uid)
        if known is None and self._was_dropped(uid):
            return
        if known is not None and not known.stub:
            return
        pods = self.tools.operations.context.pods()
        pod = next((item for item in pods if item["metadata"].get("uid") == uid), None)
        if known is not None:
            if pod is not None:
                known.stub = False
                initialized = _past_init(pod, infos)
                known.state.change(lambda record: transitions.recognized(record, initialized=initialized))
                self.update(known, pod)
            return
        first = infos[0]
        whole = pod or _stub(infos)
        record = PodRecord(uid, first.namespace, first.pod, initialized=_past_init(whole, infos))
        record.start_time = min((info.started_at for info in infos if info.started_at), default=0.0)
        self.table.put(PodWorker(whole, record, self.tools, stub=pod is None))
        self._save(whole)

    def _was_dropped(self, uid: str) -> bool:
        with self._lock:
            return uid in self._dropped

    def _save(self, pod: Pod) -> bool:
        """Write the pod down; return whether values from Secrets were left out."""
        context = self.tools.operations.context

        def secret_names(container: Container) -> frozenset[str]:
            return context.secret_names(pod, container)

        plain, has_secrets = without_secrets(pod, secret_names)
        self.tools.journal.save_pod(pod["metadata"]["uid"], plain)
        return has_secrets

    def forget(self, worker: PodWorker) -> None:
        """Remove all that is left of an ended pod: asked for by the agent, or by the housekeeping."""
        with self._lock:
            if worker.uid in self._forgetting:
                return
            self._forgetting.add(worker.uid)
        try:
            for container_id in worker.state.ids():
                self.tools.driver.remove(container_id)
            self.tools.driver.release_pod(worker.uid)  # again: what ended containers have held
            self.drop(worker.uid)
        finally:
            with self._lock:
                self._forgetting.discard(worker.uid)

    def drop(self, uid: str) -> None:
        """Remove all that is left of a pod on this side; the driver has nothing of it any more."""
        with self._lock:
            self._dropped.add(uid)  # before it leaves the table: whoever misses it there finds it here
        self.tools.prober.remove(uid)
        self.table.remove(uid)
        self.tools.operations.volumes.remove(uid)
        self.tools.journal.remove(uid)


def _past_init(pod: Pod, infos: list[ContainerInfo]) -> bool:
    """Tell by its containers whether a pod's init containers have done their work: others have been made."""
    apps = {container["name"] for container in pod["spec"]["containers"]}
    return any(info.name in apps for info in infos)


def _stub(infos: list[ContainerInfo]) -> Pod:
    """Return a pod made of what labels say."""
    first = infos[0]
    images = {info.name: info.image for info in infos}
    return {
        "metadata": {"namespace": first.namespace, "name": first.pod, "uid": first.uid},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{"name": name, "image": image} for name, image in sorted(images.items())],
        },
    }
