"""The kubelet's Summary (stats/v1alpha1, Kubernetes v1.36), completed from what a provider measured.

A provider knows its containers. What a pod uses is the sum of them, and what the node uses the sum of its
pods, as long as the provider does not say it better.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from virtual_kubelet.objects import JsonObject

__all__ = ["complete", "cpu_and_memory"]

CPU = ("usageNanoCores", "usageCoreNanoSeconds")
MEMORY = ("usageBytes", "workingSetBytes", "rssBytes", "pageFaults", "majorPageFaults")
SWAP = ("swapUsageBytes",)
KINDS: Mapping[str, tuple[str, ...]] = {"cpu": CPU, "memory": MEMORY, "swap": SWAP}


def complete(summary: JsonObject, node_name: str) -> JsonObject:
    """Return `summary` with the node's name, and with sums where pods or the node have no numbers of their own."""
    pods = [_with_sums(pod, pod.get("containers") or []) for pod in summary.get("pods") or []]
    node = _with_sums({**(summary.get("node") or {}), "nodeName": node_name}, pods)
    return {**summary, "node": node, "pods": pods}


def cpu_and_memory(summary: JsonObject) -> JsonObject:
    """Return a completed summary cut down to what ?only_cpu_and_memory=true asks for."""
    keep = ("cpu", "memory", "swap", "startTime")

    def cut(item: JsonObject, *names: str) -> JsonObject:
        return {key: item[key] for key in (*names, *keep) if key in item}

    return {
        "node": cut(summary["node"], "nodeName"),
        "pods": [
            {
                **cut(pod, "podRef"),
                "containers": [cut(container, "name") for container in pod.get("containers") or []],
            }
            for pod in summary["pods"]
        ],
    }


def _with_sums(whole: JsonObject, parts: Iterable[JsonObject]) -> JsonObject:
    parts = list(parts)
    sums = {
        kind: total
        for kind, names in KINDS.items()
        if not whole.get(kind) and (total := _sum([part[kind] for part in parts if part.get(kind)], names))
    }
    return {**whole, **sums}


def _sum(measured: list[Mapping[str, Any]], names: tuple[str, ...]) -> JsonObject:
    total: JsonObject = {}
    for name in names:
        values = [item[name] for item in measured if item.get(name) is not None]
        if values:
            total[name] = sum(values)
    # The oldest: rates are computed over times, and none of the parts is older than this.
    stamps = [item["time"] for item in measured if item.get("time")]
    return {"time": min(stamps), **total} if total and stamps else {}
