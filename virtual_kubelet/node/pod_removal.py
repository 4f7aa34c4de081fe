"""Taking pods away: graceful deletion, and pods in the provider that the API server does not (or no longer) have."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from virtual_kubelet.errors import ApiConflict, ApiNotFound, ProviderError
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.node.pod_endings import DEFAULT_GRACE, PodEndings, Progress
from virtual_kubelet.node.pod_look import Look
from virtual_kubelet.node.pod_records import PodRecords
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.node.snapshot import Snapshot
from virtual_kubelet.node.status_writer import StatusWriter
from virtual_kubelet.objects import Pod
from virtual_kubelet.pure import pod_status, times
from virtual_kubelet.pure.pod_phase import all_terminated, is_terminal
from virtual_kubelet.pure.sightings import Sighting
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["PodRemoval"]

logger = logging.getLogger(__name__)

STALE_STORE_DELAY = 5.0  # seconds to wait for a watch that is behind


class PodRemoval:
    """Ends pods and removes their API objects."""

    def __init__(
        self,
        client: Client,
        calls: ProviderCalls,
        snapshot: Snapshot,
        endings: PodEndings,
        records: PodRecords,
        writer: StatusWriter,
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._client = client
        self._calls = calls
        self._snapshot = snapshot
        self._endings = endings
        self._records = records
        self._writer = writer
        self._clock = clock

    def delete(self, look: Look) -> float | None:
        """Take a pod with a deletion time one step further; return the seconds until the next."""
        if look.record.removed:
            return None  # finalizers hold it: their owners' business
        if look.mine is None and not self._endings.told(look.uid):
            self._remove(look, gone=True)
            return None
        progress = self._endings.end(look.pod, _grace(look.pod))
        if progress.gone or self._was_over(look):
            self._remove(look, gone=True)
            return None
        if progress.overdue:
            logger.warning("%s: its containers have not ended in time; the object is removed", look.key)
            self._remove(look, gone=False)
            return None
        return progress.delay

    def stop(self, look: Look) -> float | None:
        """End a pod that is over in the API and still runs in the provider."""
        progress = self._endings.press(look.pod, _grace(look.pod))
        return None if progress.gone else progress.delay

    def sweep(self, key: str, strangers: Mapping[str, Sighting]) -> float | None:
        """End pods of this name that the API server does not have.

        Returns the seconds until the next look, None when all of them are gone.
        """
        delays = []
        for uid, sighting in strangers.items():
            if not self._is_orphan(key, uid):
                delays.append(STALE_STORE_DELAY)
                continue
            progress = self._sweep_one(key, uid, sighting)
            if not progress.gone:
                delays.append(progress.delay)
        return min(delays, default=None)

    def is_unfinished(self, uid: str, sighting: Sighting) -> bool:
        """Tell whether a pod that nobody wants still needs us: it runs, or the provider was never told."""
        return not all_terminated(sighting.status) or not self._endings.told(uid)

    def _sweep_one(self, key: str, uid: str, sighting: Sighting) -> Progress:
        record = self._records.of(key, uid)
        orphan = sighting.whole or self._fetch(sighting)
        grace = record.grace
        if grace is None:
            grace = orphan.get("spec", {}).get("terminationGracePeriodSeconds", DEFAULT_GRACE)
        if not self._endings.told(uid):
            logger.info("%s: ending pod %s, which the API server does not have", key, uid)
        return self._endings.press(orphan, grace, announce=False)

    def _fetch(self, sighting: Sighting) -> Pod:
        """Return the provider's own pod; the name and UID alone where it does not show it."""
        metadata = sighting.metadata
        try:
            pod = self._calls.get_pod(metadata["namespace"], metadata["name"])
        except ProviderError:
            pod = None
        if pod is not None and pod["metadata"].get("uid") == metadata["uid"]:
            return pod
        return {"metadata": metadata, "spec": {"containers": []}, "status": sighting.status}

    def _is_orphan(self, key: str, uid: str) -> bool:
        """Make sure that the API server does not have the pod.

        The informer's first list may come from a cache that is behind, and so may even name another pod than
        there is by now: only a removal that we saw, or a direct read, is reason enough to end a workload.
        """
        record = self._records.of(key, uid)
        if record.gone or record.removed:
            return True
        namespace, _, name = key.partition("/")
        try:
            pod = self._client.get(PODS, name, namespace)
        except ApiNotFound:
            record.gone = True
            return True
        if pod["metadata"]["uid"] == uid:
            logger.info("%s: the watch is behind the API server, which has the pod", key)
            return False
        record.gone = True
        return True

    @staticmethod
    def _was_over(look: Look) -> bool:
        return (
            look.mine is not None
            and is_terminal(look.pod.get("status", {}))
            and all_terminated(look.mine.status)
        )

    def _remove(self, look: Look, *, gone: bool) -> None:
        """Report how the pod ended, then remove the API object."""
        pod, metadata = look.pod, look.pod["metadata"]
        if not is_terminal(pod.get("status", {})):
            sighting = self._snapshot.of(look.key).get(look.uid) if gone else None
            now = times.rfc3339(self._clock.now())
            last = pod_status.ended(pod, sighting.status if sighting else None, now)
            self._writer.write(pod, last, look.record)
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": look.uid}}
        try:
            self._client.delete(PODS, metadata["name"], metadata["namespace"], options=options)
        except (ApiNotFound, ApiConflict):
            pass  # gone already, or another pod has the name
        look.record.removed = True
        if gone:
            self._snapshot.forget(look.key, look.uid)
            self._endings.forget(look.uid)


def _grace(pod: Pod) -> int:
    """Return the grace period in seconds: of the deletion where there is one, else the pod's own."""
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    if asked is None:
        asked = pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE)
    return max(0, asked)
