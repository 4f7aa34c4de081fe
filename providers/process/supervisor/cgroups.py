"""Limits on what containers use: a cgroup (v2) for each, below one that was given to us to divide.

Given is what an administrator named, or what systemd made for us: with `Delegate=yes` and
`DelegateSubgroup=supervisor` we run in `.../supervisor`, and the cgroup above it is ours. Any other cgroup is somebody
else's, also where root could write to it.

Nothing here fails: what cannot be limited runs without a limit, and `controllers` says beforehand what can be.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Cgroups", "delegated", "enter", "kill", "oom_killed"]

SUBGROUP = "supervisor"
WANTED = ("cpu", "memory")
CONTROLLERS = "cgroup.controllers"
ENABLED = "cgroup.subtree_control"
PROCESSES = "cgroup.procs"


def delegated(proc: Path = Path("/proc/self"), root: Path = Path("/sys/fs/cgroup")) -> str:
    """Return the cgroup that systemd gave us, "" where it gave none."""
    try:
        lines = (proc / "cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    own = next((line[3:] for line in lines if line.startswith("0::/")), "")
    if own.rpartition("/")[2] != SUBGROUP:
        return ""
    return str(root / own.strip("/").rpartition("/")[0])


class Cgroups:
    """A cgroup that is ours, and its children, one a container."""

    def __init__(self, directory: str) -> None:
        """`directory` is below /sys/fs/cgroup; "" for none: then there are no limits."""
        self._directory = Path(directory) if directory else None
        self._leftover: set[str] = set()  # paths that the kernel did not let go of at once
        self.controllers = self._enable()

    def _enable(self) -> list[str]:
        """Turn on for the children what we may turn on; return what is on."""
        if self._directory is None:
            return []
        try:
            offered = (self._directory / CONTROLLERS).read_text(encoding="ascii").split()
            if not os.access(self._directory, os.W_OK):
                return []
        except OSError:
            return []
        wish = " ".join(f"+{name}" for name in WANTED if name in offered)
        with contextlib.suppress(OSError):
            (self._directory / ENABLED).write_text(wish, encoding="ascii")
        try:
            enabled = (self._directory / ENABLED).read_text(encoding="ascii").replace("+", " ").split()
        except OSError:
            return []
        return [name for name in WANTED if name in enabled]

    def create(self, name: str, limits: Mapping[str, str]) -> str:
        """Make a container's cgroup with limits (`memory.max`: `67108864`); return its path, "" for none."""
        if self._directory is None or not self.controllers:
            return ""
        path = self._directory / name
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            return ""
        for file, value in limits.items():
            if "/" not in file and file.partition(".")[0] in self.controllers:
                with contextlib.suppress(OSError):
                    (path / file).write_text(value, encoding="ascii")
        return str(path)

    def remove(self, path: str) -> None:
        """Remove an ended container's cgroup, at once or, while the kernel still frees what was in it, by `tidy`."""
        if path and not _removed(path):
            self._leftover.add(path)

    def tidy(self) -> None:
        """Try again to remove what could not be removed."""
        self._leftover = {path for path in self._leftover if not _removed(path)}


def _removed(path: str) -> bool:
    """Remove a cgroup and those that its container made in it; tell whether it is gone."""
    for directory, _, _ in os.walk(path, topdown=False):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    return not os.path.isdir(path)


def enter(path: str) -> None:
    """Move the calling process; raise `OSError`."""
    with open(f"{path}/{PROCESSES}", "w", encoding="ascii") as file:
        file.write("0")


def kill(path: str) -> None:
    """Kill every process of a container's cgroup, wherever it has gone; kernels before 5.14 cannot."""
    with contextlib.suppress(OSError):
        Path(path, "cgroup.kill").write_text("1", encoding="ascii")


def oom_killed(path: str) -> bool:
    """Tell whether a process of the cgroup was killed for its use of memory."""
    try:
        lines = Path(path, "memory.events").read_text(encoding="ascii").splitlines()
    except OSError:
        return False
    return any(line.startswith("oom_kill ") and line.split()[1] != "0" for line in lines)
