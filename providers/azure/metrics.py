"""What containers use, from Azure Monitor: one point a minute, one read a group.

Asked for only while somebody asks us (metrics-server does). Each group is read at most once a minute and within
the budget of reads; others are answered from the last read as long as that is not too old.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.providers.azure import moments
from virtual_kubelet.providers.azure.budget import ReadBudget
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.shapes import mapping, mappings
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Metrics", "Point", "latest"]

logger = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two reads of one group
WINDOW = 300.0  # seconds of the past that are asked for: points come a minute or two late
FOR = 5.0  # seconds that one answer may take to read groups
NANOCORES = 1_000_000  # in a millicore


@dataclass(frozen=True)
class Point:
    """One container's use."""

    time: float  # seconds since the epoch
    cpu: float | None  # millicores
    memory: float | None  # bytes


class Metrics:
    """`stats/v1alpha1.Summary` of this node's container groups."""

    def __init__(
        self, client: Client, inventory: Inventory, budget: ReadBudget, *, clock: Clock = SYSTEM
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._budget = budget
        self._clock = clock
        self._turn = threading.Lock()  # one reader at a time; held through I/O
        # Under _turn:
        self._points: TTLCache[str, dict[str, Point]] = TTLCache(100_000, WINDOW, timer=clock.monotonic)
        self._asked: TTLCache[str, float] = TTLCache(100_000, WINDOW, timer=clock.monotonic)
        self._usage: TTLCache[tuple[str, str], tuple[float, float]] = TTLCache(
            100_000, 24 * 3600, timer=clock.monotonic
        )

    def summary(self) -> JsonObject:
        """Return the summary: each running pod of which anything is known."""
        with self._turn:
            running = [
                entry
                for entry in self._inventory.all()
                if entry.status.get("phase") == "Running" and not entry.removing
            ]
            self._read(running)
            pods = [
                stats for entry in running if (stats := self._pod(entry, self._points.get(entry.name, {})))
            ]
        at = times.rfc3339(self._clock.now())
        node: JsonObject = {"startTime": at}
        for kind in ("cpu", "memory"):
            node[kind] = _total([pod[kind] for pod in pods if kind in pod], at)
        return {"node": node, "pods": pods}

    def _read(self, running: list[Entry]) -> None:
        """Read the groups whose points are a minute old, the stalest first, for a few seconds."""
        now = self._clock.monotonic()
        end = now + FOR
        stalest = sorted(running, key=lambda entry: self._asked.get(entry.name, 0.0))
        for entry in stalest:
            asked = self._asked.get(entry.name)
            if asked is not None and now - asked < INTERVAL:
                break
            if self._clock.monotonic() > end or not self._budget.take():
                break
            self._asked[entry.name] = now
            try:
                answer = self._client.metrics(entry.name, _timespan(self._clock.now()))
            except ProviderError as error:
                logger.debug("metrics of container group %s cannot be read: %s", entry.name, error)
                continue
            if points := latest(answer):
                self._points[entry.name] = points

    def _pod(self, entry: Entry, points: Mapping[str, Point]) -> JsonObject | None:
        containers = [self._container(entry, name, points[name]) for name in _names(entry) if name in points]
        if not containers:
            return None
        identity = entry.identity
        stats: JsonObject = {
            "podRef": {"name": identity.name, "namespace": identity.namespace, "uid": identity.uid},
            "startTime": entry.status.get("startTime") or containers[0]["startTime"],
            "containers": containers,
        }
        for kind in ("cpu", "memory"):
            parts = [item[kind] for item in containers if kind in item]
            if parts:
                stats[kind] = _total(parts, parts[0]["time"])
        return stats

    def _container(self, entry: Entry, name: str, point: Point) -> JsonObject:
        at = times.rfc3339(point.time)
        stats: JsonObject = {"name": name, "startTime": _started(entry, name) or at}
        if point.cpu is not None:
            cores = int(point.cpu * NANOCORES)
            used = self._core_seconds(entry.identity.uid, name, point.time, point.cpu)
            stats["cpu"] = {
                "time": at,
                "usageNanoCores": cores,
                "usageCoreNanoSeconds": int(used * NANOCORES),
            }
        if point.memory is not None:
            size = int(point.memory)
            stats["memory"] = {"time": at, "usageBytes": size, "workingSetBytes": size}
        return stats

    def _core_seconds(self, uid: str, name: str, at: float, millicores: float) -> float:
        """Return the millicore-seconds so far: Azure has rates only, and metrics-server wants a counter."""
        before_at, used = self._usage.get((uid, name), (at, 0.0))
        if at > before_at:
            used += (at - before_at) * millicores
        self._usage[uid, name] = (max(at, before_at), used)
        return used


def latest(answer: Mapping[str, Any]) -> dict[str, Point]:
    """Return the newest point of each container in an answer of Azure Monitor (Microsoft.Insights/metrics)."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for metric, container, moment, value in _values(answer):
        known = found.setdefault(container, {})
        if metric not in known or moment > known[metric][0]:
            known[metric] = (moment, value)
    points = {}
    for container, values in found.items():
        cpu, memory = values.get("cpuusage"), values.get("memoryusage")
        points[container] = Point(
            time=max(moment for moment, _ in values.values()),
            cpu=cpu[1] if cpu else None,
            memory=memory[1] if memory else None,
        )
    return points


def _values(answer: Mapping[str, Any]) -> Iterator[tuple[str, str, float, float]]:
    for metric in mappings(answer.get("value")):
        name = str(mapping(metric.get("name")).get("value") or "").lower()
        for series in mappings(metric.get("timeseries")):
            container = _dimension(series)
            for item in mappings(series.get("data")):
                moment, value = moments.seconds(item.get("timeStamp")), item.get("average")
                if moment is not None and isinstance(value, (int, float)) and container:
                    yield name, container, moment, float(value)


def _dimension(series: Mapping[str, Any]) -> str:
    for item in mappings(series.get("metadatavalues")):
        if str(mapping(item.get("name")).get("value") or "").lower() == "containername":
            return str(item.get("value") or "")
    return ""


def _timespan(now: float) -> str:
    return f"{times.rfc3339(now - WINDOW)}/{times.rfc3339(now)}"


def _names(entry: Entry) -> list[str]:
    return [item["name"] for item in entry.status.get("containerStatuses", [])]


def _started(entry: Entry, name: str) -> str:
    for item in entry.status.get("containerStatuses", []):
        if item["name"] == name:
            return item.get("state", {}).get("running", {}).get("startedAt", "")
    return ""


def _total(parts: list[JsonObject], at: str) -> JsonObject:
    total: JsonObject = {"time": at}
    for part in parts:
        for name, value in part.items():
            if name != "time":
                total[name] = total.get(name, 0) + value
    return total
