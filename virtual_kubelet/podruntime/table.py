"""The pods of a node, by UID and by name."""

from __future__ import annotations

import threading

from virtual_kubelet.podruntime.pod_worker import PodWorker

__all__ = ["Table"]


class Table:
    """Pods; safe from any thread. A name may have several: old ones that have not gone yet, and the newest."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: dict[str, PodWorker] = {}  # in the order in which they came

    def put(self, worker: PodWorker) -> None:
        """Add a pod."""
        with self._lock:
            self._workers[worker.uid] = worker

    def remove(self, uid: str) -> None:
        """Take a pod out."""
        with self._lock:
            self._workers.pop(uid, None)

    def get(self, uid: str) -> PodWorker | None:
        """Return the pod with that UID."""
        with self._lock:
            return self._workers.get(uid)

    def find(self, namespace: str, name: str, uid: str = "") -> PodWorker | None:
        """Return the pod; without `uid` the newest of that name."""
        if uid:
            return self.get(uid)
        with self._lock:
            found = [
                worker
                for worker in self._workers.values()
                if worker.state.name == name and worker.state.namespace == namespace
            ]
        return found[-1] if found else None

    def all(self) -> list[PodWorker]:
        """Return every pod."""
        with self._lock:
            return list(self._workers.values())

    def uids(self) -> list[str]:
        """Return every UID."""
        with self._lock:
            return list(self._workers)
