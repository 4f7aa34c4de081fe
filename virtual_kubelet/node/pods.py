"""The pod half of a node: everything between the pod informer and the provider, put together."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from virtual_kubelet.errors import NotSupported
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.node.pod_controller import PodController
from virtual_kubelet.node.pod_endings import PodEndings
from virtual_kubelet.node.pod_launch import PodLaunch, Prepare
from virtual_kubelet.node.pod_records import PodRecords
from virtual_kubelet.node.pod_removal import PodRemoval
from virtual_kubelet.node.pod_sync import PodSync
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.node.snapshot import Snapshot
from virtual_kubelet.node.status_writer import StatusWriter
from virtual_kubelet.objects import Pod
from virtual_kubelet.provider import Notifying, Provider
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.services import ServiceGroup
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.runtime.workqueue import WorkQueue

__all__ = ["Pods"]


class Pods:
    """Runs the API server's pods in the provider; a service.

    Made before the informer starts, started after it has synced. `event(pod, type, reason, message)` must
    not block. Pods outside `namespace` ("": all) are left alone, also in the provider.
    """

    def __init__(
        self,
        provider: Provider,
        client: Client,
        informer: Informer,
        prepare: Prepare,
        event: Callable[[Pod, str, str, str], None],
        *,
        host_ips: Callable[[], tuple[str, ...]],
        namespace: str,
        workers: int,
        sync_period: float,
        metrics: Metrics,
        clock: Clock = SYSTEM,
    ) -> None:
        self._namespace = namespace
        self._store = informer.store
        self._queue = WorkQueue("pods", clock=clock, metrics=metrics)
        self.calls = ProviderCalls(provider, metrics=metrics, clock=clock)
        self._provider = provider
        self._pushing = False  # set by start, before anything runs
        self.snapshot = Snapshot(
            self.calls,
            self.look_at,
            self._look_at_all,
            interval=sync_period,
            pushing=self._is_pushing,
            clock=clock,
        )
        records = PodRecords(clock)
        writer = StatusWriter(client, informer, event, host_ips=host_ips, metrics=metrics, clock=clock)
        endings = PodEndings(self.calls, self.snapshot, event, pushing=self._is_pushing, clock=clock)
        launch = PodLaunch(self.calls, self.snapshot, writer, prepare, event, pushing=self._is_pushing)
        removal = PodRemoval(client, self.calls, self.snapshot, endings, records, writer, clock=clock)
        sync = PodSync(
            informer.store,
            self.snapshot,
            records,
            endings,
            launch,
            removal,
            writer,
            metrics=metrics,
            clock=clock,
        )
        self._controller = PodController(
            informer, self._queue, sync, records, workers=workers, metrics=metrics
        )
        metrics.running_pods.set_function(self.snapshot.count_running)
        for state, label in (("running", "running"), ("terminated", "exited")):
            count = partial(self.snapshot.count_containers, state)
            metrics.running_containers.labels(label).set_function(count)
        self._services = ServiceGroup([self.calls, self.snapshot, self._controller], clock=clock)

    def start(self) -> None:
        """List the provider's pods and begin to reconcile."""
        self._pushing = self._listen()
        self._services.start()

    def stop(self, deadline: Deadline) -> None:
        """Finish the pods in hand; the others wait for the next start."""
        self.calls.interrupt()
        self._services.stop(deadline)

    def look_at(self, key: str) -> None:
        """Look at a pod soon; never blocks."""
        if not self._namespace or key.startswith(f"{self._namespace}/"):
            self._queue.add(key)

    def backend(self) -> list[Pod]:
        """Return what the provider has, at most one sync period old; raise `ProviderError` if it cannot tell.

        Of each pod: who it is, its status, and its spec where the API server has the pod too.
        """
        found: list[Pod] = []
        for sighting in self.snapshot.running():
            metadata = sighting.metadata
            pod: Pod = {"metadata": metadata, "status": sighting.status}
            ours = self._store.get(f"{metadata['namespace']}/{metadata['name']}")
            if ours is not None and ours["metadata"]["uid"] == metadata["uid"]:
                pod["spec"] = ours["spec"]
            found.append(pod)
        return found

    def _look_at_all(self) -> None:
        self._controller.look_at_all()

    def _is_pushing(self) -> bool:
        return self._pushing

    def _listen(self) -> bool:
        """Ask the provider to push; return False when it does not and so must be polled."""
        provider = self._provider
        if not isinstance(provider, Notifying):
            return False
        try:
            self.calls.ability("notify_pods", lambda: provider.notify_pods(self.snapshot.hear))
        except NotSupported:
            return False
        return True
