"""Taint-based eviction: pods leave nodes whose NoExecute taints they do not tolerate, or no longer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.controllers.events import record_event
from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.verbs.bind import set_condition
from virtual_kubelet.devapi.verbs.delete import DeleteOptions, delete
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiConflict, ApiNotFound
from virtual_kubelet.objects import JsonObject, Taint, Toleration
from virtual_kubelet.pure import times
from virtual_kubelet.pure.taints import is_for

__all__ = ["TaintEviction"]

COMPONENT = "taint-eviction-controller"


class TaintEviction:
    """Deletes pods when their time on a tainted node is over, and says of pods on lost nodes that they are not ready."""

    buckets: Sequence[str] = ("nodes",)
    period = 1.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._tainted: dict[str, list[JsonObject]] = {}

    def urgent(self, change: Change) -> bool:
        """Taints matter at once."""
        return True

    def see(self, change: Change) -> None:
        """Take note of NoExecute taints."""
        taints = [] if change.deleted else no_execute(change.record.body)
        if taints:
            self._tainted[change.record.name] = taints
        else:
            self._tainted.pop(change.record.name, None)

    def act(self) -> None:
        """Look at the pods of tainted nodes."""
        if not self._tainted:
            return
        now = self._cluster.clock.now()
        for record in self._cluster.storage.records("pods")[0]:
            taints = self._tainted.get(record.body["spec"].get("nodeName", ""))
            if taints and "deletionTimestamp" not in record.body["metadata"]:
                end = leaves_at(record.body, taints)
                if end is not None and end <= now:
                    self._evict(record)

    def _evict(self, record: Record) -> None:
        pods = self._cluster.kind("pods")

        def disrupted(old: Record) -> JsonObject:
            if old.uid != record.uid:
                raise failures.precondition_failed("pods", record.name, "UID", record.uid, old.uid)
            pod = old.copy()
            set_condition(
                pod,
                "DisruptionTarget",
                "True",
                self._cluster.clock.now(),
                reason="DeletionByTaintManager",
                message="Taint manager: deleting due to NoExecute taint",
            )
            return pod

        status = pods.subresource("status")
        assert status is not None
        try:
            modify(
                self._cluster,
                pods,
                record.namespace,
                record.name,
                disrupted,
                WriteOptions(user=COMPONENT),
                rules=status.rules,
            )
            delete(self._cluster, pods, record.namespace, record.name, DeleteOptions(uid=record.uid))
        except (ApiNotFound, ApiConflict):
            return
        text = f"Marking for deletion Pod {record.namespace}/{record.name}"
        record_event(self._cluster, COMPONENT, "Pod", record.body, "Normal", "TaintManagerEviction", text)


def no_execute(node: JsonObject) -> list[JsonObject]:
    """Return the taints that drive pods away."""
    taints: list[JsonObject] = (node.get("spec") or {}).get("taints") or []
    return [taint for taint in taints if taint.get("effect") == "NoExecute"]


def leaves_at(pod: JsonObject, taints: Sequence[JsonObject]) -> float | None:
    """Return when the pod has to go, in seconds since the epoch; None: never."""
    tolerations = pod["spec"].get("tolerations") or ()
    end: float | None = None
    for taint in taints:
        matching = [one for one in tolerations if is_for(cast("Toleration", one), cast("Taint", taint))]
        if not matching:
            return 0.0
        limits = [t["tolerationSeconds"] for t in matching if t.get("tolerationSeconds") is not None]
        if limits and taint.get("timeAdded"):
            moment = times.parse(taint["timeAdded"]) + max(min(limits), 0)
            end = moment if end is None else min(end, moment)
    return end
