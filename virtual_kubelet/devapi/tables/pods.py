"""The row of a pod: its containers' states in one word."""

from __future__ import annotations

from typing import Any

from virtual_kubelet.devapi.tables.columns import AGE, NAME, Column, Printer, or_none
from virtual_kubelet.devapi.tables.durations import age
from virtual_kubelet.objects import JsonObject

__all__ = ["PODS", "pod_status"]

FINISHED = frozenset({"Failed", "Succeeded"})


class _Summary:
    """What the containers of a pod add up to."""

    def __init__(self, pod: JsonObject) -> None:
        self.pod = pod
        self.spec: JsonObject = pod.get("spec", {})
        self.status: JsonObject = pod.get("status", {})
        self.restarts = 0
        self.last_restart = ""
        self.ready = 0
        self.sidecars = {
            container["name"]
            for container in self.spec.get("initContainers") or ()
            if container.get("restartPolicy") == "Always"
        }
        self.reason = self._reason()

    @property
    def total(self) -> int:
        return len(self.spec.get("containers") or ()) + len(self.sidecars)

    def _reason(self) -> str:
        reason: str = self.status.get("reason") or self.status.get("phase") or "Unknown"
        if self._condition("PodScheduled").get("reason") == "SchedulingGated":
            reason = "SchedulingGated"
        initializing = self._initializing()
        sidecar_restarts = self._sidecar_restarts()
        if not initializing or self._condition("Initialized").get("status") == "True":
            self.restarts = sidecar_restarts
            reason = self._running(reason)
        else:
            reason = initializing
        if "deletionTimestamp" in self.pod["metadata"]:
            if self.status.get("reason") == "NodeLost":
                return "Unknown"
            if self.status.get("phase") not in FINISHED:
                return "Terminating"
        return reason

    def _sidecar_restarts(self) -> int:
        statuses = self.status.get("initContainerStatuses") or ()
        return sum(each.get("restartCount", 0) for each in statuses if each["name"] in self.sidecars)

    def _initializing(self) -> str:
        """Return what the pod is waiting for before its containers start, "" when it is past that."""
        found = ""
        for index, each in enumerate(self.status.get("initContainerStatuses") or ()):
            self._count(each)
            state = each.get("state") or {}
            ended, waiting = state.get("terminated"), state.get("waiting") or {}
            if found or (ended is not None and ended.get("exitCode", 0) == 0):
                continue
            if each["name"] in self.sidecars and each.get("started"):
                self.ready += bool(each.get("ready"))
                continue
            if ended is not None:
                found = f"Init:{_ending(ended)}"
            elif waiting.get("reason") not in {None, "", "PodInitializing"}:
                found = f"Init:{waiting['reason']}"
            else:
                found = f"Init:{index}/{len(self.spec.get('initContainers') or ())}"
        return found

    def _running(self, reason: str) -> str:
        runs = False
        for each in reversed(self.status.get("containerStatuses") or []):
            self._count(each)
            state = each.get("state") or {}
            if (state.get("waiting") or {}).get("reason"):
                reason = state["waiting"]["reason"]
            elif state.get("terminated") is not None:
                reason = _ending(state["terminated"])
            elif each.get("ready") and state.get("running") is not None:
                runs = True
                self.ready += 1
        if reason == "Completed" and runs:
            return "Running" if self._condition("Ready").get("status") == "True" else "NotReady"
        return reason

    def _count(self, status: JsonObject) -> None:
        self.restarts += status.get("restartCount", 0)
        ended = (status.get("lastState") or {}).get("terminated") or {}
        self.last_restart = max(self.last_restart, ended.get("finishedAt") or "")

    def _condition(self, type_: str) -> JsonObject:
        conditions: list[JsonObject] = self.status.get("conditions") or []
        return next((each for each in conditions if each.get("type") == type_), {})

    def gates(self) -> str:
        gates = self.spec.get("readinessGates") or ()
        if not gates:
            return "<none>"
        true = sum(self._condition(gate["conditionType"]).get("status") == "True" for gate in gates)
        return f"{true}/{len(gates)}"


def _ending(ended: JsonObject) -> str:
    reason: str = ended.get("reason") or ""
    if reason:
        return reason
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


def pod_status(pod: JsonObject) -> str:
    """Return the word of the STATUS column."""
    return _Summary(pod).reason


def _cells(pod: JsonObject, now: float) -> list[Any]:
    summary = _Summary(pod)
    restarts = str(summary.restarts)
    if summary.restarts and summary.last_restart:
        restarts = f"{restarts} ({age(summary.last_restart, now)} ago)"
    addresses = summary.status.get("podIPs") or ()
    address = addresses[0].get("ip", "") if addresses else summary.status.get("podIP", "")
    return [
        pod["metadata"]["name"],
        f"{summary.ready}/{summary.total}",
        summary.reason,
        restarts,
        age(pod["metadata"].get("creationTimestamp"), now),
        or_none(address),
        or_none(summary.spec.get("nodeName", "")),
        or_none(summary.status.get("nominatedNodeName", "")),
        summary.gates(),
    ]


PODS = Printer(
    (
        NAME,
        Column("Ready"),
        Column("Status"),
        Column("Restarts"),
        AGE,
        Column("IP", wide=True),
        Column("Node", wide=True),
        Column("Nominated Node", wide=True),
        Column("Readiness Gates", wide=True),
    ),
    _cells,
)
