"""Writing a pod's status to the API server: one patch, with the pod's UID, only where something differs.

A pod's key is with one worker at a time, so one write a pod is in flight, and each is computed from the newest
status: newer ones replace older ones before they are sent, not after. The answer goes into the informer's store, so
that the next look sees it whether or not the watch has caught up.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import cast

from virtual_kubelet import codec
from virtual_kubelet.errors import ApiConflict, ApiInvalid, ApiNotFound
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.node.pod_records import Record
from virtual_kubelet.objects import JsonObject, Pod, PodStatus, pod_key
from virtual_kubelet.pure import pod_status, times
from virtual_kubelet.pure.pod_diff import changeable, same, same_deletion
from virtual_kubelet.pure.status_patch import is_part_of, status_patch
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics

__all__ = ["StatusWriter"]

logger = logging.getLogger(__name__)


class StatusWriter:
    """Makes statuses whole and sends what differs. Safe from any thread; one thread at a time for one pod."""

    def __init__(
        self,
        client: Client,
        informer: Informer,
        event: Callable[[Pod, str, str, str], None],
        *,
        host_ips: Callable[[], tuple[str, ...]],
        metrics: Metrics,
        clock: Clock = SYSTEM,
    ) -> None:
        self._client = client
        self._informer = informer
        self._event = event
        self._host_ips = host_ips
        self._metrics = metrics
        self._clock = clock

    def differs(self, pod: Pod, reported: PodStatus) -> bool:
        """Tell whether `write` would send anything."""
        return status_patch(pod, self._complete(pod, reported)) is not None

    def write(self, pod: Pod, reported: PodStatus, record: Record) -> None:
        """Bring the API server's status of `pod` up to `reported`.

        A pod that is gone or replaced is left alone, and so is a patch that the API server calls invalid,
        until it or the pod changes. Raises `ApiError` for what may pass.
        """
        version = pod["metadata"].get("resourceVersion", "")
        wished = self._complete(pod, reported)
        patch = status_patch(pod, wished)
        if patch is None or _is_idle(patch, reported, version, record):
            record.settled = version
            return
        metadata = pod["metadata"]
        try:
            answer = self._client.patch(
                PODS, metadata["name"], patch, metadata["namespace"], subresource="status"
            )
        except ApiNotFound:
            self._count("gone")  # the watch will say so
        except ApiConflict:
            self._count("conflict")  # another pod has the name: the watch will say so
        except ApiInvalid as error:
            if _is_about_uid(error):
                self._count("conflict")
                return
            record.rejected = _fingerprint(patch)
            record.settled = version
            self._count("invalid")
            logger.warning("%s: the API server refuses the status: %s", pod_key(pod), error)
            self._event(pod, "Warning", "FailedStatusUpdate", f"The API server refuses the status: {error}")
        else:
            record.sent = reported
            gave = answer["metadata"].get("resourceVersion", "")
            left = status_patch(cast("Pod", answer), wished)
            record.sent_gave = gave if left is None or is_part_of(left, patch) else ""
            record.settled = record.sent_gave if _is_as_it_was(pod, cast("Pod", answer)) else ""
            self._count("ok")
            self._take_in(pod, answer, record)

    def _take_in(self, pod: Pod, answer: JsonObject, record: Record) -> None:
        self._observe_start(pod, answer["status"], record)
        if record.handed is not None:
            now = changeable(cast("Pod", answer))
            if same(record.handed, now):
                record.handed = now  # the old one would keep the old pod in memory
        self._informer.put(answer)

    def _complete(self, pod: Pod, reported: PodStatus) -> PodStatus:
        now = times.rfc3339(self._clock.now())
        return pod_status.complete(pod, reported, host_ips=self._host_ips(), now=now)

    def _observe_start(self, before: Pod, after: JsonObject, record: Record) -> None:
        if after.get("phase") != "Running" or before.get("status", {}).get("phase") == "Running":
            return
        self._metrics.pod_start.observe(max(0.0, self._clock.monotonic() - record.seen_at))
        created = before["metadata"].get("creationTimestamp")
        if created:
            self._metrics.pod_start_sli.observe(max(0.0, self._clock.now() - times.parse(created)))

    def _count(self, result: str) -> None:
        self._metrics.status_patches.labels(result).inc()


def _is_as_it_was(before: Pod, after: Pod) -> bool:
    """Tell whether nobody has deleted or changed the pod while its status was on the way.

    The watch's word of that comes after our answer, and so shows nothing new to the store: it is no echo of our write.
    """
    gated = bool(before["spec"].get("readinessGates"))  # what others say there is part of our own say
    return not gated and same_deletion(before, after) and same(changeable(before), changeable(after))


def _is_idle(patch: JsonObject, reported: PodStatus, version: str, record: Record) -> bool:
    """Tell whether the API server is known to refuse the patch, or to have dropped just that of the last one."""
    if record.sent is reported and record.sent_gave == version:
        return True
    return bool(record.rejected) and record.rejected == _fingerprint(patch)


def _is_about_uid(error: ApiInvalid) -> bool:
    """Tell whether the name belongs to another pod by now: some servers say 422 for that, others 409."""
    return any(cause.get("field") == "metadata.uid" for cause in error.details.get("causes") or ())


def _fingerprint(patch: JsonObject) -> int:
    """Return a number to know a patch again by, without keeping it."""
    return hash(codec.dumps(patch))
