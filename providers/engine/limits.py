"""Requests and limits of a container as what cgroups take. Pure; the kubelet's formulas."""

from __future__ import annotations

from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.pure import quantity
from virtual_kubelet.pure.qos import qos_class

__all__ = ["INFRA_OOM_SCORE", "host_config"]

PERIOD = 100_000  # microseconds, of the CPU quota
LEAST_QUOTA, LEAST_SHARES, MOST_SHARES = 1000, 2, 262_144
INFRA_OOM_SCORE = -998
BEST_EFFORT_OOM_SCORE = 1000


def host_config(
    pod: Pod, container: Container, memory_of_node: int, least_oom_score: int = -1000
) -> JsonObject:
    """Return the resource fields of `HostConfig`.

    Args:
        pod: whose container it is.
        container: it.
        memory_of_node: bytes, 0 where it is not known.
        least_oom_score: lower ones the engine has not the right to give.
    """
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    requests = {**limits, **(resources.get("requests") or {})}
    config: JsonObject = {"CpuShares": _shares(_milli(requests.get("cpu")))}
    cpu = _milli(limits.get("cpu"))
    if cpu:
        config["CpuPeriod"] = PERIOD
        config["CpuQuota"] = max(LEAST_QUOTA, cpu * PERIOD // 1000)
    memory = _bytes(limits.get("memory"))
    if memory:
        # Equal: no swap on top of what the limit says.
        config["Memory"] = config["MemorySwap"] = memory
    score = _oom_score(pod, _bytes(requests.get("memory")), memory_of_node)
    config["OomScoreAdj"] = max(least_oom_score, score)
    return config


def _milli(value: str | None) -> int:
    return quantity.parse(value).milli if value is not None else 0


def _bytes(value: str | None) -> int:
    return quantity.parse(value).value if value is not None else 0


def _shares(milli: int) -> int:
    return min(MOST_SHARES, max(LEAST_SHARES, milli * 1024 // 1000))


def _oom_score(pod: Pod, request: int, memory_of_node: int) -> int:
    """Return who goes first when memory runs out: BestEffort, then who uses more than was requested."""
    quality = qos_class(pod["spec"])
    if quality == "Guaranteed":
        return -997
    if quality == "BestEffort" or not memory_of_node:
        return BEST_EFFORT_OOM_SCORE if quality == "BestEffort" else 999
    return min(999, max(1000 - 997, 1000 - 1000 * request // memory_of_node))
