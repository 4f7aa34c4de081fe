"""What the agent remembers of each pod between two looks: little, and nothing that a restart cannot do without."""

from __future__ import annotations

import threading
from collections.abc import Collection
from dataclasses import dataclass, field

from virtual_kubelet.objects import Pod, PodStatus, pod_key
from virtual_kubelet.pure.pod_diff import Changeable
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["PodRecords", "Record"]


@dataclass(slots=True)
class Record:
    """The memory of one pod, by UID. Written by the worker that has its key, but for `gone` and `grace`."""

    seen_at: float
    """When this process first looked at the pod (monotonic seconds)."""

    handed: Changeable | None = None
    """What the provider was last given; None: nothing by this process."""

    refused: Changeable | None = None
    """What the provider said can never work."""

    settled: str = ""
    """The resourceVersion of the API server's pod about which there was nothing left to say."""

    sent: PodStatus | None = None
    """The report that was last written, and the resourceVersion that came of it: a server may not take all of a
    patch (fields that it does not know), and must not be sent the rest for ever."""
    sent_gave: str = ""

    rejected: int = 0
    """The fingerprint of the status patch that the API server called invalid; 0: none."""

    removed: bool = False
    """The API object's final deletion was asked for; finalizers may keep it."""

    gone: bool = False
    """The API server no longer has the pod. Set by the informer's thread, for good."""

    grace: int | None = None
    """The grace period that the pod is or was removed with. Set by the informer's thread, before `gone`."""

    said: set[str] = field(default_factory=set)
    """Events that are worth saying once."""


class PodRecords:
    """The records of all pods, by key and UID. Safe from any thread."""

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._records: dict[str, dict[str, Record]] = {}  # under the lock

    def of(self, key: str, uid: str) -> Record:
        """Return the record of a pod, made if there was none."""
        with self._lock:
            records = self._records.setdefault(key, {})
            record = records.get(uid)
            if record is None:
                record = records[uid] = Record(self._clock.monotonic())
            return record

    def find(self, key: str, uid: str) -> Record | None:
        """Return the record of a pod, or None."""
        with self._lock:
            return self._records.get(key, {}).get(uid)

    def mark_deleted(self, pod: Pod) -> Record:
        """Take note of the grace period that the deletion of `pod` asks for; return its record."""
        record = self.of(pod_key(pod), pod["metadata"]["uid"])
        record.grace = pod["metadata"].get("deletionGracePeriodSeconds")
        return record

    def mark_gone(self, pod: Pod) -> None:
        """Take note that the API server has removed `pod`."""
        self.mark_deleted(pod).gone = True

    def keep_only(self, key: str, uids: Collection[str]) -> list[str]:
        """Drop the records of all other pods of this name; return their UIDs."""
        with self._lock:
            records = self._records.get(key)
            if records is None:
                return []
            dropped = [uid for uid in records if uid not in uids]
            for uid in dropped:
                del records[uid]
            if not records:
                del self._records[key]
            return dropped

    def __len__(self) -> int:
        with self._lock:
            return sum(len(records) for records in self._records.values())
