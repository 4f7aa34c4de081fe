"""Binding a pod to a node: what a scheduler does."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.strategy import UpdateRules
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["bind", "set_condition"]


def bind(
    cluster: Cluster,
    namespace: str,
    name: str,
    node: str,
    options: WriteOptions,
    *,
    uid: str = "",
    annotations: dict[str, str] | None = None,
) -> Record:
    """Assign the pod to `node`.

    Raises:
        ApiError: 404, or 409 when it is assigned already, is being deleted, or is another one than `uid`.
    """

    def transform(old: Record) -> JsonObject:
        pod = old.copy()
        assigned = pod["spec"].get("nodeName")
        if uid and uid != old.uid:
            raise failures.precondition_failed("pods", name, "UID", uid, old.uid)
        if "deletionTimestamp" in pod["metadata"]:
            raise failures.conflict(
                "pods/binding", name, f"pod {name} is being deleted, cannot be assigned to a host"
            )
        if assigned:
            raise failures.conflict(
                "pods/binding", name, f'pod {name} is already assigned to node "{assigned}"'
            )
        pod["spec"]["nodeName"] = node
        if annotations:
            pod["metadata"].setdefault("annotations", {}).update(annotations)
        set_condition(pod, "PodScheduled", "True", cluster.clock.now())
        return pod

    kind = cluster.kind("pods")
    return modify(cluster, kind, namespace, name, transform, options, rules=UpdateRules())


def set_condition(
    obj: JsonObject, type_: str, status: str, now: float, *, reason: str = "", message: str = ""
) -> bool:
    """Set a condition in an object of one's own; tell whether anything changed.

    lastTransitionTime moves only with the status.
    """
    conditions = obj.setdefault("status", {}).setdefault("conditions", [])
    held = next((each for each in conditions if each.get("type") == type_), None)
    wanted: JsonObject = {"type": type_, "status": status}
    if reason:
        wanted["reason"] = reason
    if message:
        wanted["message"] = message
    if held is None:
        conditions.append({**wanted, "lastProbeTime": None, "lastTransitionTime": times.rfc3339(now)})
        return True
    same = all(held.get(key, "") == wanted.get(key, "") for key in ("status", "reason", "message"))
    if same:
        return False
    if held.get("status") != status:
        held["lastTransitionTime"] = times.rfc3339(now)
    for key in ("reason", "message"):
        held.pop(key, None)
    held.update(wanted)
    return True
