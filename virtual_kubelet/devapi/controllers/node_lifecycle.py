"""Node lifecycle: nodes that fall silent become Unknown, taints follow conditions, and pods are evicted.

Silence is measured on our own clock, from when a lease or a status last *changed*, so a node whose clock is
wrong is not taken for dead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from virtual_kubelet.devapi.admission import NOT_READY, UNREACHABLE
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.controllers.events import record_event
from virtual_kubelet.devapi.controllers.fitting import UNSCHEDULABLE
from virtual_kubelet.devapi.registry.strategy import UpdateRules
from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.verbs.bind import set_condition
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiNotFound
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["NodeLifecycle"]

COMPONENT = "node-controller"
USER = WriteOptions(user="system:serviceaccount:kube-system:node-controller")
GRACE = 50.0  # seconds without a heartbeat (node-monitor-grace-period)
STARTUP_GRACE = 60.0  # for a node that has never reported
FROM_KUBELET = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
STANDSTILL = 5.0  # seconds without a look, after which it was we who were away
STOPPED = "Kubelet stopped posting node status."
NEVER = "Kubelet never posted node status."

BY_CONDITION = {
    "MemoryPressure": "node.kubernetes.io/memory-pressure",
    "DiskPressure": "node.kubernetes.io/disk-pressure",
    "PIDPressure": "node.kubernetes.io/pid-pressure",
    "NetworkUnavailable": "node.kubernetes.io/network-unavailable",
}
OURS = frozenset({NOT_READY, UNREACHABLE, UNSCHEDULABLE, *BY_CONDITION.values()})


@dataclass
class Heartbeat:
    """The last sign of life of a node."""

    uid: str
    lease: str
    reported: str
    seen: float  # on the monotonic clock


class NodeLifecycle:
    """Watches over all nodes."""

    buckets: Sequence[str] = ("nodes", "leases.coordination.k8s.io")
    period = 1.0

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._heartbeats: dict[str, Heartbeat] = {}
        self._changed: set[str] = set()
        self._looked = -1.0

    def urgent(self, change: Change) -> bool:
        """Look at once at nodes; leases can wait."""
        return change.bucket == "nodes"

    def see(self, change: Change) -> None:
        """Take note of signs of life."""
        record = change.record
        if change.bucket != "nodes" and record.namespace != "kube-node-lease":
            return
        name = record.name
        if change.bucket == "nodes" and change.deleted:
            self._heartbeats.pop(name, None)
            return
        now = self._cluster.clock.monotonic()
        beat = self._heartbeats.get(name)
        if change.bucket == "nodes":
            reported = _reported(record.body)
            if beat is None or beat.uid != record.uid:
                self._heartbeats[name] = Heartbeat(record.uid, "", reported, now)
            elif beat.reported != reported:
                beat.reported, beat.seen = reported, now
            self._changed.add(name)
        elif beat is not None and not change.deleted:
            renewed = (record.body.get("spec") or {}).get("renewTime", "")
            if renewed != beat.lease:
                beat.lease, beat.seen = renewed, now

    def act(self) -> None:
        """Look at the nodes that changed, and now and then at all for silence."""
        now = self._cluster.clock.monotonic()
        changed, self._changed = self._changed, set()
        stood_still = now - self._looked - STANDSTILL
        if self._looked >= 0 and stood_still > 0:
            # So may those have who would have let us know: only silence that we listened to counts.
            for heartbeat in self._heartbeats.values():
                heartbeat.seen = min(heartbeat.seen + stood_still, now)
        if now - self._looked >= self.period:
            self._looked = now
            changed = set(self._heartbeats)
        for name in changed:
            record = self._cluster.storage.get("nodes", "", name)
            beat = self._heartbeats.get(name)
            if record is None or beat is None:
                continue
            self._judge(record, now - beat.seen)

    def _judge(self, record: Record, silence: float) -> None:
        ready = _condition(record.body, "Ready")
        grace = GRACE if ready else STARTUP_GRACE
        try:
            if silence > grace and ready.get("status") != "Unknown":
                record = self._mark_unknown(record, never=not ready)
            wanted = wanted_taints(record.body)
            held = {(taint["key"], taint["effect"]) for taint in _ours(record.body)}
            if wanted != held:
                self._taint(record, wanted)
        except ApiNotFound:
            return

    def _mark_unknown(self, record: Record, *, never: bool) -> Record:
        reason = "NodeStatusNeverUpdated" if never else "NodeStatusUnknown"
        message = NEVER if never else STOPPED

        def unknown(old: Record) -> JsonObject:
            node = old.copy()
            now = self._cluster.clock.now()
            for type_ in FROM_KUBELET:
                set_condition(node, type_, "Unknown", now, reason=reason, message=message)
            return node

        text = f"Node {record.name} status is now: NodeNotReady"
        record_event(self._cluster, COMPONENT, "Node", record.body, "Normal", "NodeNotReady", text)
        return self._modify(record.name, unknown)

    def _taint(self, record: Record, wanted: set[tuple[str, str]]) -> None:
        def taint(old: Record) -> JsonObject:
            node = old.copy()
            held = node["spec"].get("taints") or []
            kept = [t for t in held if t["key"] not in OURS or (t["key"], t["effect"]) in wanted]
            have = {(t["key"], t["effect"]) for t in kept}
            now = times.rfc3339(self._cluster.clock.now())
            for key, effect in sorted(wanted - have):
                kept.append({"key": key, "effect": effect, "timeAdded": now})
            node["spec"] = {**node["spec"], "taints": kept}
            if not kept:
                del node["spec"]["taints"]
            return node

        self._modify(record.name, taint)

    def _modify(self, name: str, transform: Callable[[Record], JsonObject]) -> Record:
        nodes = self._cluster.kind("nodes")
        return modify(self._cluster, nodes, "", name, transform, USER, rules=UpdateRules())


def wanted_taints(node: JsonObject) -> set[tuple[str, str]]:
    """Return which of our taints a node should have: key and effect."""
    wanted = set()
    ready = _condition(node, "Ready").get("status", "False")
    if ready != "True":
        key = UNREACHABLE if ready == "Unknown" else NOT_READY
        wanted.add((key, "NoSchedule"))
        if _condition(node, "Ready"):
            wanted.add((key, "NoExecute"))
    for type_, key in BY_CONDITION.items():
        if _condition(node, type_).get("status") == "True":
            wanted.add((key, "NoSchedule"))
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.add((UNSCHEDULABLE, "NoSchedule"))
    return wanted


def _ours(node: JsonObject) -> list[JsonObject]:
    return [taint for taint in (node.get("spec") or {}).get("taints") or () if taint["key"] in OURS]


def _condition(node: JsonObject, type_: str) -> JsonObject:
    conditions: list[JsonObject] = (node.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == type_), {})


def _reported(node: JsonObject) -> str:
    """Return what changes with each status that a kubelet reports."""
    ready = _condition(node, "Ready")
    # What this controller itself wrote is no sign of life.
    if ready.get("reason") in {"NodeStatusUnknown", "NodeStatusNeverUpdated"}:
        return ""
    return f"{ready.get('lastHeartbeatTime', '')}/{ready.get('status', '')}"
