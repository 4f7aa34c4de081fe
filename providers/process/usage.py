"""What containers use, from their cgroups or else from /proc: sums over their processes, and averages over time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from virtual_kubelet.podruntime.driver import ContainerUsage

__all__ = ["ProcessTimes", "Rates", "Sums"]

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SHORTEST = 0.1  # seconds of which an average says something
WINDOW = 5.0  # seconds that averages go back at least, once there is a reading as old


class _Used(NamedTuple):
    """What one container has used of CPU (seconds) and uses of memory (bytes)."""

    cpu: float
    working_set: int
    rss: int


class ProcessTimes:
    """What containers use: what their cgroups say, else the sum over the processes of each.

    These are the ones below the container's first process, and those of its session.
    """

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._sums = Sums()  # guarded by _turn
        self._rates = Rates()

    def usage(self, containers: Iterable[Mapping[str, Any]]) -> list[ContainerUsage]:
        """Return the use of each container, by its record: `id`, `pid` of the first process, `cgroup` (a path or "")."""
        pids = {str(item["id"]): int(item["pid"]) for item in containers}
        groups = {str(item["id"]): str(item.get("cgroup") or "") for item in containers}
        # One look at a time, short as it is: a sum that is older than the one before looks like a process's end.
        with self._turn:
            found = _sums_of(pids)
            self._sums.keep(pids)
            self._rates.keep(pids)
            # Of one that has ended just now there is nothing to measure.
            return [
                self._usage(container_id, _of_cgroup(groups[container_id], used))
                for container_id, used in found.items()
                if used.rss
            ]

    def _usage(self, container_id: str, now: _Used) -> ContainerUsage:
        used = self._sums.take(container_id, now.cpu)
        cores = self._rates.take(container_id, time.monotonic(), used)
        return ContainerUsage(container_id, time.time(), used, now.working_set, now.rss, cores)


def _of_cgroup(path: str, summed: _Used) -> _Used:
    """Return what a cgroup (v2) accounts for, reckoned as the kubelet does; `summed` for what it does not say.

    It knows of processes that nobody waited for, and of the page cache. Which files it has depends on its controllers.
    """
    if not path:
        return summed
    cpu = _numbers(path, "cpu.stat").get("usage_usec")
    current = _numbers(path, "memory.current").get("")
    memory = _numbers(path, "memory.stat")
    return _Used(
        summed.cpu if cpu is None else cpu / 1e6,
        summed.working_set if current is None else max(0, current - memory.get("inactive_file", 0)),
        memory.get("anon", summed.rss),
    )


def _numbers(directory: str, name: str) -> dict[str, int]:
    """Return what a file of a cgroup says: `{key: number}`, of one with a single number `{"": number}`."""
    try:
        lines = Path(directory, name).read_text(encoding="ascii").splitlines()
    except OSError:
        return {}
    pairs = (line.rpartition(" ") for line in lines)
    return {key: int(number) for key, _, number in pairs if number.isdecimal()}


def _sums_of(pids: Mapping[str, int]) -> dict[str, _Used]:
    """Return CPU seconds and resident bytes of each container."""
    table = _processes()
    owner = {pid: container_id for container_id, pid in pids.items()}
    found = dict.fromkeys(pids, _Used(0.0, 0, 0))
    for pid, process in table.items():
        container_id = _owner(pid, table, owner) or owner.get(process.session)
        if container_id is not None:
            cpu, _, rss = found[container_id]
            rss += process.rss
            found[container_id] = _Used(cpu + process.cpu, rss, rss)
    return found


class Sums:
    """Sums that do not fall: what a process has used that then ends unseen by its parent stays counted."""

    def __init__(self) -> None:
        self._seen: dict[
            str, tuple[float, float]
        ] = {}  # by key: the newest measure, and what was lost by then

    def take(self, key: str, measured: float) -> float:
        """Take what is measured now and return the sum of all times."""
        before, lost = self._seen.get(key, (0.0, 0.0))
        lost += max(0.0, before - measured)
        self._seen[key] = (measured, lost)
        return measured + lost

    def keep(self, keys: Collection[str]) -> None:
        """Forget all others."""
        self._seen = {key: value for key, value in self._seen.items() if key in keys}


class Rates:
    """What is used per second, on average over the last WINDOW or two. Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By key, under the lock: two readings (monotonic time, amount), of which the older is compared with.
        self._readings: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {}

    def take(self, key: str, moment: float, amount: float) -> float | None:
        """Take a reading and return the rate since an earlier one; None where that is not known yet."""
        reading = (moment, amount)
        with self._lock:
            older, newer = self._readings.get(key, (reading, reading))
            if moment - newer[0] >= WINDOW:
                older, newer = newer, reading
            self._readings[key] = (older, newer)
        elapsed = moment - older[0]
        return None if elapsed < SHORTEST else max(0.0, (amount - older[1]) / elapsed)

    def keep(self, keys: Collection[str]) -> None:
        """Forget all others."""
        with self._lock:
            self._readings = {key: value for key, value in self._readings.items() if key in keys}


class _Process:
    __slots__ = ("cpu", "parent", "rss", "session")

    def __init__(self, fields: list[str]) -> None:
        self.parent = int(fields[1])
        self.session = int(fields[3])
        # Its own time and that of children which it has waited for; living ones are counted by themselves.
        self.cpu = sum(int(field) for field in fields[11:15]) / TICKS
        self.rss = int(fields[21]) * PAGE


def _processes() -> dict[int, _Process]:
    found = {}
    for name in os.listdir("/proc"):  # noqa: PTH208 - names are what is wanted, a thousand times
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - the same
                fields = file.read().rpartition(")")[2].split()
        except OSError:
            continue
        found[int(name)] = _Process(fields)
    return found


def _owner(pid: int, table: Mapping[int, _Process], owner: Mapping[int, str]) -> str | None:
    for _ in range(64):
        if pid in owner:
            return owner[pid]
        process = table.get(pid)
        if process is None or process.parent <= 1:
            return None
        pid = process.parent
    return None
