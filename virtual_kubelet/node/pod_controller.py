"""Deciding when to look at a pod: informer handlers, the queue, the workers."""

from __future__ import annotations

import logging

from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.node.pod_records import PodRecords
from virtual_kubelet.node.pod_sync import PodSync
from virtual_kubelet.objects import Pod, pod_key
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.runtime.workers import Workers
from virtual_kubelet.runtime.workqueue import WorkQueue

__all__ = ["PodController"]

logger = logging.getLogger(__name__)


class PodController:
    """Feeds the queue from the informer and works it off; a service.

    The handler only compares and adds keys, so it may run before `start`; the workers are started once the
    informer has its first complete list.
    """

    def __init__(
        self,
        informer: Informer,
        queue: WorkQueue,
        sync: PodSync,
        records: PodRecords,
        *,
        workers: int,
        metrics: Metrics,
    ) -> None:
        self._informer = informer
        self._queue = queue
        self._sync = sync
        self._records = records
        # Daemon threads: a provider's method cannot be interrupted, and must not keep the process alive.
        self._errors = metrics.sync_errors
        self._workers = Workers(queue, self._look, workers, "pod-sync", daemon=True)
        informer.add_handler(self._on_pod)

    def start(self) -> None:
        """Start the workers."""
        self._workers.start()

    def stop(self, deadline: Deadline) -> None:
        """Finish what is in hand; the rest of the queue is dropped."""
        self._workers.stop(deadline)

    def look_at_all(self) -> None:
        """Look at every pod that the API server has."""
        keys = self._informer.store.keys()
        for key in keys:
            self._queue.add(key)

    def _look(self, key: str) -> float | None:
        try:
            return self._sync(key)
        except Exception as error:
            self._errors.labels(type(error).__name__).inc()
            raise

    def _on_pod(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                self._records.mark_gone(old)
                self._queue.add(pod_key(old))
            return
        key = pod_key(new)
        if old is not None and old["metadata"]["uid"] != new["metadata"]["uid"]:
            self._records.mark_gone(old)  # its removal was missed
        elif old is not None and not self._sync.needs_look(key, old, new):
            return
        if new["metadata"].get("deletionTimestamp"):
            # Now: whoever looks may find the object gone before its removal is told here.
            self._records.mark_deleted(new)
        self._queue.add(key)
