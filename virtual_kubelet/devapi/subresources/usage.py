"""metrics.k8s.io/v1beta1, for `kubectl top`: what the kubelets' /stats/summary say at this moment."""

from __future__ import annotations

from collections.abc import Iterator

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.http.replies import json_reply
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.subresources.pod_log import KubeletReads
from virtual_kubelet.devapi.verbs.filters import Filter
from virtual_kubelet.devapi.verbs.options import first
from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times
from virtual_kubelet.web.messages import Response

__all__ = ["Usage"]

API_VERSION = "metrics.k8s.io/v1beta1"
WINDOW = "10s"  # over which kubelets average
PATIENCE = 5.0  # seconds for one kubelet's answer


class Usage:
    """Answers gets and lists; a kubelet that does not tell has no metrics, as one that is not scraped yet."""

    def __init__(self, cluster: Cluster, kubelets: KubeletReads) -> None:
        self._cluster = cluster
        self._kubelets = kubelets

    def handlers(self) -> dict[str, CallHandler]:
        """Return what serves which resource."""
        return {"nodes.metrics.k8s.io": self.nodes, "pods.metrics.k8s.io": self.pods}

    def nodes(self, call: Call) -> Response:
        """NodeMetrics of one node or of those selected."""
        found = []
        for record in self._selected(call, self._cluster.kind("nodes")):
            summary = self._summary(record.name)
            usage = _usage(summary.get("node") or {})
            if usage:
                found.append({**self._head(record, summary.get("node") or {}), "usage": usage})
        return self._answer(call, "NodeMetrics", found)

    def pods(self, call: Call) -> Response:
        """PodMetrics of one pod or of those selected."""
        found = []
        told: dict[str, dict[tuple[str, str, str], JsonObject]] = {}
        for record in self._selected(call, self._cluster.kind("pods")):
            node = record.body["spec"].get("nodeName", "")
            if node and node not in told:
                told[node] = {_key(pod): pod for pod in self._summary(node).get("pods") or ()}
            pod = told.get(node, {}).get((record.namespace, record.name, record.uid))
            if pod is not None:
                found.append({**self._head(record, pod), "containers": list(_containers(pod))})
        return self._answer(call, "PodMetrics", found)

    def _selected(self, call: Call, kind: Kind) -> list[Record]:
        query = call.request.query
        if call.info.name:
            record = self._cluster.storage.get(kind.stored, call.info.namespace, call.info.name)
            return [] if record is None else [record]
        chosen = Filter(kind, first(query, "labelSelector"), first(query, "fieldSelector"))
        records, _ = self._cluster.storage.records(kind.stored, call.info.namespace)
        return [record for record in records if chosen.matches(record.body)]

    def _summary(self, node: str) -> JsonObject:
        try:
            summary = codec.loads(self._kubelets.read(node, "/stats/summary", timeout=PATIENCE))
        except (ApiError, ValueError):
            return {}
        return summary if isinstance(summary, dict) else {}

    def _head(self, record: Record, stats: JsonObject) -> JsonObject:
        meta = {"name": record.name, "creationTimestamp": times.rfc3339(self._cluster.clock.now())}
        if record.namespace:
            meta["namespace"] = record.namespace
        labels = record.body["metadata"].get("labels")
        return {
            "metadata": {**meta, **({"labels": labels} if labels else {})},
            "timestamp": _measured(stats) or meta["creationTimestamp"],
            "window": WINDOW,
        }

    def _answer(self, call: Call, kind: str, found: list[JsonObject]) -> Response:
        if call.info.name:
            if not found:
                raise failures.not_found(f"{kind.lower()}.metrics.k8s.io", call.info.name)
            return json_reply({"kind": kind, "apiVersion": API_VERSION, **found[0]})
        meta = {"resourceVersion": str(self._cluster.storage.version)}
        return json_reply(
            {"kind": f"{kind}List", "apiVersion": API_VERSION, "metadata": meta, "items": found}
        )


def _key(pod: JsonObject) -> tuple[str, str, str]:
    reference = pod.get("podRef") or {}
    return reference.get("namespace", ""), reference.get("name", ""), reference.get("uid", "")


def _containers(pod: JsonObject) -> Iterator[JsonObject]:
    for container in pod.get("containers") or ():
        yield {"name": container.get("name", ""), "usage": _usage(container)}


def _measured(stats: JsonObject) -> str:
    """Return when that was, in whole seconds; "" where the kubelet does not say."""
    try:
        return times.rfc3339(times.parse((stats.get("cpu") or stats.get("memory") or {}).get("time", "")))
    except ValueError:
        return ""


def _usage(stats: JsonObject) -> dict[str, str]:
    """Return the amounts that a kubelet measured, as quantities."""
    usage = {}
    cores = (stats.get("cpu") or {}).get("usageNanoCores")
    if cores is not None:
        usage["cpu"] = f"{cores}n"
    memory = stats.get("memory") or {}
    held = memory.get("workingSetBytes", memory.get("usageBytes"))
    if held is not None:
        usage["memory"] = f"{held // 1024}Ki"
    return usage
