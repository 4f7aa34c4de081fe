"""What containers use, from the engine's statistics. Pure but for the clock's time that the caller gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from virtual_kubelet.podruntime.driver import ContainerUsage
from virtual_kubelet.providers.engine.states import seconds

__all__ = ["from_stats", "with_rate"]

INACTIVE = ("total_inactive_file", "inactive_file")  # cgroup v1, v2
RSS = ("total_rss", "rss", "anon")


def from_stats(container_id: str, answer: Mapping[str, Any], now: float) -> ContainerUsage | None:
    """Return what `GET /containers/{id}/stats` says; None for one that has ended."""
    memory = answer.get("memory_stats") or {}
    cpu = (answer.get("cpu_stats") or {}).get("cpu_usage") or {}
    usage = memory.get("usage")
    if usage is None and not cpu.get("total_usage"):
        return None
    details = memory.get("stats") or {}
    inactive = _first(details, INACTIVE)
    return ContainerUsage(
        id=container_id,
        time=seconds(answer.get("read")) or now,
        cpu_seconds=int(cpu.get("total_usage") or 0) / 1e9,
        memory_bytes=max(0, int(usage or 0) - inactive),
        rss_bytes=_first(details, RSS),
    )


def _first(values: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return next((int(values[name]) for name in names if values.get(name) is not None), 0)


def with_rate(usage: ContainerUsage, before: ContainerUsage | None) -> ContainerUsage:
    """Return `usage` with the cores used on average since `before`."""
    if before is None or usage.time <= before.time or usage.cpu_seconds < before.cpu_seconds:
        return usage
    cores = (usage.cpu_seconds - before.cpu_seconds) / (usage.time - before.time)
    return ContainerUsage(
        usage.id, usage.time, usage.cpu_seconds, usage.memory_bytes, usage.rss_bytes, cpu_cores=cores
    )
