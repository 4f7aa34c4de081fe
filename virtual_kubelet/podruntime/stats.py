"""The kubelet's `stats/v1alpha1.Summary`, from what a driver measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.podruntime.containers import slots
from virtual_kubelet.podruntime.driver import ContainerUsage
from virtual_kubelet.podruntime.pod_worker import PodWorker
from virtual_kubelet.pure import times

__all__ = ["summary"]


def summary(
    node: dict[str, Any], usage: Iterable[ContainerUsage], workers: Sequence[PodWorker]
) -> JsonObject:
    """Return the summary; the agent fills in the node's name."""
    by_id = {item.id: item for item in usage}
    pods = (_pod(worker, by_id) for worker in workers)
    return {"node": node, "pods": [pod for pod in pods if pod is not None]}


def _pod(worker: PodWorker, by_id: dict[str, ContainerUsage]) -> JsonObject | None:
    pod = worker.state.pod
    containers = []
    for slot in slots(pod):
        info, _ = worker.state.infos(slot.name)
        usage = by_id.get(info.id) if info is not None else None
        if info is not None and usage is not None:
            containers.append(_container(slot.name, info.started_at, usage))
    if not containers:
        return None
    metadata = pod["metadata"]
    return {
        "podRef": {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]},
        "startTime": times.rfc3339(worker.state.started_at),
        "containers": containers,
        "cpu": _sum([item["cpu"] for item in containers]),
        "memory": _sum([item["memory"] for item in containers]),
    }


def _container(name: str, started_at: float, usage: ContainerUsage) -> JsonObject:
    # With a fraction, which the kubelet's own lacks: readers divide by the time between two measurements.
    time = times.micro_time(usage.time)
    cpu: JsonObject = {"time": time, "usageCoreNanoSeconds": int(usage.cpu_seconds * 1e9)}
    cores = usage.cpu_cores
    if cores is None and 0 < started_at < usage.time:
        cores = usage.cpu_seconds / (usage.time - started_at)  # over its life, while nothing better is known
    if cores is not None:
        cpu["usageNanoCores"] = int(cores * 1e9)
    memory = {
        "time": time,
        "workingSetBytes": usage.memory_bytes,
        "usageBytes": usage.memory_bytes,
        "rssBytes": usage.rss_bytes,
    }
    return {"name": name, "startTime": times.rfc3339(started_at), "cpu": cpu, "memory": memory}


def _sum(parts: Sequence[JsonObject]) -> JsonObject:
    total: JsonObject = {"time": max(part["time"] for part in parts)}
    for part in parts:
        for key, value in part.items():
            if key != "time":
                total[key] = total.get(key, 0) + value
    return total
