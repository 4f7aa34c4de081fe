"""The binder: a scheduler that gives each waiting pod to the emptiest node on which it fits."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.controllers.events import record_event
from virtual_kubelet.devapi.controllers.fitting import explain, requests_of, why_not
from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.verbs.bind import bind, set_condition
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiConflict, ApiNotFound
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.quantity import Quantity

__all__ = ["Binder"]

SCHEDULER = "default-scheduler"
USER = WriteOptions(user="system:kube-scheduler")
FINISHED = frozenset({"Failed", "Succeeded"})

Key = tuple[str, str]


class Usage:
    """What the pods on each node claim, kept up to date change by change."""

    def __init__(self) -> None:
        self._claims: dict[Key, tuple[str, dict[str, Quantity]]] = {}
        self._by_node: dict[str, dict[str, Quantity]] = {}

    def set(self, key: Key, node: str, amounts: dict[str, Quantity]) -> None:
        """Count a pod's claim on its node."""
        self.drop(key)
        self._claims[key] = node, amounts
        used = self._by_node.setdefault(node, {})
        for name, amount in amounts.items():
            used[name] = used[name] + amount if name in used else amount

    def drop(self, key: Key) -> bool:
        """Forget a pod; tell whether it was counted."""
        node, amounts = self._claims.pop(key, ("", {}))
        for name, amount in amounts.items():
            self._by_node[node][name] = self._by_node[node][name] - amount
        return bool(node)

    def of(self, node: str) -> dict[str, Quantity]:
        """Return what is claimed on a node."""
        return self._by_node.get(node, {})


class Binder:
    """Binds pods whose schedulerName is default-scheduler."""

    buckets: Sequence[str] = ("nodes", "pods")
    period = 1.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._usage = Usage()
        self._nodes: dict[str, JsonObject] = {}
        self._fresh: dict[Key, None] = {}
        """Pods to look at, in the order of their coming."""
        self._waiting: dict[Key, None] = {}
        """Pods that fit nowhere: looked at again when room or nodes come."""

    def urgent(self, change: Change) -> bool:
        """Look at once at pods that wait, and at what makes room."""
        return (
            change.bucket == "nodes"
            or change.deleted
            or not change.record.body["spec"].get("nodeName")
            or change.record.body.get("status", {}).get("phase") in FINISHED
        )

    def see(self, change: Change) -> None:
        """Take note of nodes, and of pods that wait or take up room."""
        record = change.record
        if change.bucket == "nodes":
            if change.deleted:
                self._nodes.pop(record.name, None)
            elif _matters(self._nodes.get(record.name), record.body):
                self._retry()
            if not change.deleted:
                self._nodes[record.name] = record.body
            return
        key = record.namespace, record.name
        self._fresh.pop(key, None)
        if change.deleted or record.body.get("status", {}).get("phase") in FINISHED:
            self._waiting.pop(key, None)
            if self._usage.drop(key):
                self._retry()
        elif record.body["spec"].get("nodeName"):
            self._waiting.pop(key, None)
            self._usage.set(key, record.body["spec"]["nodeName"], requests_of(record.body))
        elif key not in self._waiting and _is_ours(record.body):
            self._fresh[key] = None

    def _retry(self) -> None:
        self._fresh.update(self._waiting)
        self._waiting.clear()

    def act(self) -> None:
        """Place the pods that wait."""
        while self._fresh:
            key = next(iter(self._fresh))
            del self._fresh[key]
            record = self._cluster.storage.get("pods", *key)
            if record is not None and not record.body["spec"].get("nodeName") and _is_ours(record.body):
                self._place(record)

    def _place(self, record: Record) -> None:
        requests = requests_of(record.body)
        reasons, fitting = [], []
        for name, node in self._nodes.items():
            used = self._usage.of(name)
            reason = why_not(record.body, node, requests, used)
            if reason:
                reasons.append(reason)
            else:
                fitting.append((used["pods"].value if "pods" in used else 0, name))
        if not fitting:
            self._wait(record, explain(reasons, len(self._nodes)))
            return
        target = min(fitting)[1]
        try:
            bind(self._cluster, record.namespace, record.name, target, USER, uid=record.uid)
        except (ApiConflict, ApiNotFound):
            return  # it changed meanwhile, and we shall see how
        # Counted at once: the next pod is placed before we see our own change.
        self._usage.set((record.namespace, record.name), target, requests)
        message = f"Successfully assigned {record.namespace}/{record.name} to {target}"
        record_event(self._cluster, SCHEDULER, "Pod", record.body, "Normal", "Scheduled", message)

    def _wait(self, record: Record, message: str) -> None:
        self._waiting[record.namespace, record.name] = None

        def say_why(old: Record) -> JsonObject:
            if old.uid != record.uid or old.body["spec"].get("nodeName"):
                raise failures.conflict("pods", record.name)
            pod = old.copy()
            now = self._cluster.clock.now()
            set_condition(pod, "PodScheduled", "False", now, reason="Unschedulable", message=message)
            return pod

        pods = self._cluster.kind("pods")
        rules = pods.subresource("status")
        assert rules is not None
        try:
            after = modify(
                self._cluster, pods, record.namespace, record.name, say_why, USER, rules=rules.rules
            )
        except (ApiConflict, ApiNotFound):
            return  # it changed meanwhile, and we shall see how
        if after is not record:
            record_event(self._cluster, SCHEDULER, "Pod", record.body, "Warning", "FailedScheduling", message)


def _is_ours(pod: JsonObject) -> bool:
    spec = pod["spec"]
    return (
        "deletionTimestamp" not in pod["metadata"]
        and spec.get("schedulerName", SCHEDULER) == SCHEDULER
        and not spec.get("schedulingGates")
    )


def _matters(before: JsonObject | None, now: JsonObject) -> bool:
    """Tell whether a change of a node may let a pod in: not a heartbeat."""
    if before is None:
        return True
    return (
        before.get("spec") != now.get("spec")
        or before["metadata"].get("labels") != now["metadata"].get("labels")
        or (before.get("status") or {}).get("allocatable") != (now.get("status") or {}).get("allocatable")
    )
