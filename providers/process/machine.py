"""What the machine has and how it is: capacity, pressure, numbers; all from /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from virtual_kubelet.objects import Condition
from virtual_kubelet.providers.process.usage import Rates
from virtual_kubelet.pure import times

__all__ = ["Machine"]

TICKS = os.sysconf("SC_CLK_TCK")
MEMORY_THRESHOLD = 100 * 1024 * 1024  # the kubelet's memory.available<100Mi
DISK_THRESHOLD = 0.10  # nodefs.available<10%
THREADS_THRESHOLD = 0.95
MAX_PODS = "110"


class Machine:
    """The machine as a node."""

    def __init__(self, state: Path) -> None:
        self._state = state
        self._rates = Rates()
        self._cores()  # where the first average begins

    def capacity(self, configured: Mapping[str, str]) -> dict[str, str]:
        """Return the node's resources: what was configured, else the machine's."""
        disk = self._disk()
        own = {
            "cpu": str(os.cpu_count() or 1),
            "memory": f"{meminfo().get('MemTotal', 0) // 1024}Ki",
            "pods": MAX_PODS,
            "ephemeral-storage": f"{disk.f_blocks * disk.f_frsize // 1024}Ki",
        }
        return {**own, **configured}

    def _disk(self) -> os.statvfs_result:
        path = self._state
        while not path.exists():
            path = path.parent
        return os.statvfs(path)

    def conditions(self) -> list[Condition]:
        """Return the pressure conditions, with the kubelet's reasons."""
        disk = self._disk()
        return [
            _condition(
                "MemoryPressure",
                meminfo().get("MemAvailable", MEMORY_THRESHOLD) < MEMORY_THRESHOLD,
                ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
                ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
            ),
            _condition(
                "DiskPressure",
                disk.f_bavail < DISK_THRESHOLD * disk.f_blocks,
                ("KubeletHasDiskPressure", "kubelet has disk pressure"),
                ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
            ),
            _condition(
                "PIDPressure",
                _thread_share() > THREADS_THRESHOLD,
                ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
                ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
            ),
        ]

    def stats(self) -> dict[str, Any]:
        """Return the node's part of the summary."""
        now, (used, cores) = times.micro_time(time.time()), self._cores()
        memory, disk = meminfo(), self._disk()
        total, available = memory.get("MemTotal", 0), memory.get("MemAvailable", 0)
        return {
            "startTime": times.rfc3339(boot_time()),
            "cpu": {
                "time": now,
                "usageCoreNanoSeconds": used,
                **({} if cores is None else {"usageNanoCores": int(cores)}),
            },
            "memory": {
                "time": now,
                "availableBytes": available,
                "usageBytes": total - memory.get("MemFree", 0),
                "workingSetBytes": total - available,
            },
            "fs": {
                "time": now,
                "availableBytes": disk.f_bavail * disk.f_frsize,
                "capacityBytes": disk.f_blocks * disk.f_frsize,
                "usedBytes": (disk.f_blocks - disk.f_bfree) * disk.f_frsize,
                "inodesFree": disk.f_favail,
                "inodes": disk.f_files,
            },
        }

    def _cores(self) -> tuple[int, float | None]:
        used = _cpu_nanoseconds()
        return used, self._rates.take("", time.monotonic(), used)


def _condition(kind: str, pressed: bool, yes: tuple[str, str], no: tuple[str, str]) -> Condition:  # noqa: FBT001 - reads well
    reason, message = yes if pressed else no
    return {"type": kind, "status": "True" if pressed else "False", "reason": reason, "message": message}


def meminfo() -> dict[str, int]:
    """Return /proc/meminfo in bytes."""
    found = {}
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        name, _, rest = line.partition(":")
        number, *unit = rest.split()
        found[name] = int(number) * (1024 if unit else 1)
    return found


def boot_time() -> float:
    """Return when the machine was started, in seconds since the epoch."""
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _cpu_nanoseconds() -> int:
    """Return what all CPUs have worked since boot."""
    fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    user, nice, system, _idle, _wait, irq, soft, steal = (int(field) for field in fields[:8])
    return (user + nice + system + irq + soft + steal) * 10**9 // TICKS


def _thread_share() -> float:
    running = Path("/proc/loadavg").read_text(encoding="ascii").split()[3]
    most = int(Path("/proc/sys/kernel/threads-max").read_text(encoding="ascii"))
    return int(running.partition("/")[2]) / most
