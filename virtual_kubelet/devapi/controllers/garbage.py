"""Garbage: pods of nodes that are gone, objects whose owners are gone, events that are old."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.verbs.bind import set_condition
from virtual_kubelet.devapi.verbs.delete import DeleteOptions, delete
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiConflict, ApiNotFound
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["EventExpiry", "OwnerCollector", "PodCollector"]

FINISHED = frozenset({"Failed", "Succeeded"})


class PodCollector:
    """Ends pods whose node has been missing for a while; a node that is made again at once keeps its pods."""

    buckets: Sequence[str] = ("nodes",)
    period = 5.0
    quarantine = 40.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._nodes: set[str] = set()
        self._missing: dict[str, float] = {}

    def urgent(self, change: Change) -> bool:
        """Nothing here is a hurry."""
        return False

    def see(self, change: Change) -> None:
        """Take note of which nodes there are."""
        name = change.record.name
        if change.deleted:
            self._nodes.discard(name)
        else:
            self._nodes.add(name)
            self._missing.pop(name, None)

    def act(self) -> None:
        """Delete pods whose node has been missing for long enough."""
        now = self._cluster.clock.monotonic()
        orphans: dict[str, list[Record]] = {}
        for record in self._cluster.storage.records("pods")[0]:
            node = record.body["spec"].get("nodeName")
            if node and node not in self._nodes:
                orphans.setdefault(node, []).append(record)
        self._missing = {node: self._missing.get(node, now) for node in orphans}
        for node, records in orphans.items():
            if self._cluster.storage.get("nodes", "", node) is not None:
                continue  # it is back, and we shall see it
            if now - self._missing[node] >= self.quarantine:
                for record in records:
                    self._end(record)

    def _end(self, record: Record) -> None:
        pods = self._cluster.kind("pods")

        def failed(old: Record) -> JsonObject:
            if old.uid != record.uid:
                raise failures.precondition_failed("pods", record.name, "UID", record.uid, old.uid)
            pod = old.copy()
            if pod["status"].get("phase") not in FINISHED:
                pod["status"]["phase"] = "Failed"
            set_condition(
                pod,
                "DisruptionTarget",
                "True",
                self._cluster.clock.now(),
                reason="DeletionByPodGC",
                message="PodGC: node no longer exists",
            )
            return pod

        status = pods.subresource("status")
        assert status is not None
        try:
            modify(
                self._cluster, pods, record.namespace, record.name, failed, WriteOptions(), rules=status.rules
            )
            options = DeleteOptions(grace=0, uid=record.uid)
            delete(self._cluster, pods, record.namespace, record.name, options)
        except (ApiNotFound, ApiConflict):
            return


class OwnerCollector:
    """Deletes objects all of whose owners have been deleted (background propagation)."""

    period = 1.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._kinds: dict[str, Kind] = {
            kind.stored: kind for kind in cluster.kinds if not kind.bucket and "delete" in kind.verbs
        }
        self._types = {(kind.api_version, kind.kind) for kind in self._kinds.values()}
        self.buckets: Sequence[str] = tuple(self._kinds)
        self._alive: set[str] = set()
        self._dependents: dict[str, set[tuple[str, str, str]]] = {}
        self._orphaned: set[tuple[str, str, str]] = set()

    def urgent(self, change: Change) -> bool:
        """Nothing here is a hurry."""
        return False

    def see(self, change: Change) -> None:
        """Take note of who is there and who belongs to whom."""
        record = change.record
        key = change.bucket, record.namespace, record.name
        if change.deleted:
            self._alive.discard(record.uid)
            self._orphaned |= self._dependents.pop(record.uid, set())
            self._forget(key, record)
            return
        if change.previous is None:
            self._alive.add(record.uid)
        for reference in record.body["metadata"].get("ownerReferences") or ():
            if reference["uid"] in self._alive:
                self._dependents.setdefault(reference["uid"], set()).add(key)
            elif change.previous is None:
                self._orphaned.add(key)

    def _forget(self, key: tuple[str, str, str], record: Record) -> None:
        for reference in record.body["metadata"].get("ownerReferences") or ():
            dependents = self._dependents.get(reference["uid"])
            if dependents is not None:
                dependents.discard(key)
                if not dependents:
                    del self._dependents[reference["uid"]]

    def act(self) -> None:
        """Delete what has lost its last owner."""
        orphaned, self._orphaned = self._orphaned, set()
        for bucket, namespace, name in orphaned:
            record = self._cluster.storage.get(bucket, namespace, name)
            if record is None or self._has_owner(record):
                continue
            options = DeleteOptions(uid=record.uid, version=str(record.version))
            try:
                delete(self._cluster, self._kinds[bucket], namespace, name, options)
            except ApiNotFound:
                continue
            except ApiConflict:  # changed meanwhile: it may have an owner again
                self._orphaned.add((bucket, namespace, name))

    def _has_owner(self, record: Record) -> bool:
        references = record.body["metadata"].get("ownerReferences") or ()
        return not references or any(
            # Of kinds that are not kept here nobody can say whether the owner lives.
            (reference["apiVersion"], reference["kind"]) not in self._types or reference["uid"] in self._alive
            for reference in references
        )


class EventExpiry:
    """Removes events an hour after they were last said."""

    buckets: Sequence[str] = ()
    period = 60.0
    lifetime = 3600.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def urgent(self, change: Change) -> bool:
        """Nothing here is a hurry."""
        return False

    def see(self, change: Change) -> None:
        """Nothing to note: age is looked up."""

    def act(self) -> None:
        """Remove old events."""
        now = self._cluster.clock.now()
        for record in self._cluster.storage.records("events")[0]:
            if now - _last_said(record.body) > self.lifetime:
                self._cluster.storage.remove("events", record, record.copy())


def _last_said(event: JsonObject) -> float:
    series = event.get("series") or {}
    moments = (
        series.get("lastObservedTime"),
        event.get("lastTimestamp"),
        event.get("eventTime"),
        event["metadata"]["creationTimestamp"],
    )
    return max(times.parse(moment) for moment in moments if moment)
