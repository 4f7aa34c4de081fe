"""What a container may use, as the files of a cgroup (v2). Pure."""

from __future__ import annotations

from virtual_kubelet.objects import Container
from virtual_kubelet.pure import quantity

__all__ = ["cgroup_files"]

PERIOD = 100_000  # microseconds, the kubelet's
LEAST_QUOTA = 1000
LEAST_SHARES, MOST_SHARES = 2, 262144  # of cgroup v1, in which Kubernetes reckons


def cgroup_files(container: Container) -> dict[str, str]:
    """Return names and contents, for example `memory.max`: `67108864`."""
    resources = container.get("resources") or {}
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    files: dict[str, str] = {}
    # A limit of 0 is none.
    memory = quantity.parse(limits.get("memory", "0")).value
    if memory > 0:
        files["memory.max"] = str(memory)
        files["memory.oom.group"] = "1"  # a container that is killed in part is no container any more
    quota = quantity.parse(limits.get("cpu", "0")).milli * PERIOD // 1000
    if quota > 0:
        files["cpu.max"] = f"{max(quota, LEAST_QUOTA)} {PERIOD}"
    cpu = requests.get("cpu") or limits.get("cpu")
    if cpu:
        files["cpu.weight"] = str(_weight(quantity.parse(cpu).milli))
    return files


def _weight(milli: int) -> int:
    """Return the weight that stands for a request: runtimes map shares 2 to 262144 onto 1 to 10000."""
    shares = min(max(milli * 1024 // 1000, LEAST_SHARES), MOST_SHARES)
    return 1 + (shares - LEAST_SHARES) * 9999 // (MOST_SHARES - LEAST_SHARES)
