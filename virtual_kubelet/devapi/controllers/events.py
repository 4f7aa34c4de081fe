"""Events that the controllers record about other objects."""

from __future__ import annotations

import logging

from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.verbs.create import create
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["record_event"]

logger = logging.getLogger(__name__)


def record_event(
    cluster: Cluster, component: str, kind: str, obj: JsonObject, type_: str, reason: str, message: str
) -> None:
    """Record that something happened to `obj`; said again, it is counted. Never fails."""
    meta = obj["metadata"]
    namespace = meta.get("namespace") or "default"
    # One event for each thing said about an object: its name says what.
    name = f"{meta['name'][:200]}.{_digest(meta['uid'], component, reason, message)}"
    try:
        if cluster.storage.get("events", namespace, name) is None:
            _create(cluster, name, namespace, component, kind, obj, type_, reason, message)
        else:
            _count(cluster, name, namespace)
    except ApiError as error:
        logger.debug("event %s about %s was not recorded: %s", reason, meta["name"], error)


def _digest(*parts: str) -> str:
    import hashlib

    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _create(
    cluster: Cluster,
    name: str,
    namespace: str,
    component: str,
    kind: str,
    obj: JsonObject,
    type_: str,
    reason: str,
    message: str,
) -> None:
    meta = obj["metadata"]
    now = times.rfc3339(cluster.clock.now())
    about = {
        "kind": kind,
        "apiVersion": "v1",
        "name": meta["name"],
        "uid": meta["uid"],
        "resourceVersion": meta.get("resourceVersion", ""),
    }
    if "namespace" in meta:
        about["namespace"] = meta["namespace"]
    event = {
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": about,
        "type": type_,
        "reason": reason,
        "message": message,
        "count": 1,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "source": {"component": component},
        "reportingComponent": component,
    }
    create(cluster, cluster.kind("events"), namespace, event, WriteOptions(user=f"system:{component}"))


def _count(cluster: Cluster, name: str, namespace: str) -> None:
    def again(old: object) -> JsonObject:
        event: JsonObject = old.copy()  # type: ignore[attr-defined]
        event["count"] = event.get("count", 1) + 1
        event["lastTimestamp"] = times.rfc3339(cluster.clock.now())
        return event

    modify(cluster, cluster.kind("events"), namespace, name, again, WriteOptions())
