"""What a provider or an agent may not leave behind: threads, listening sockets, child processes. Linux only."""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from virtual_kubelet.runtime.threads import Thread
from virtual_kubelet.testing.waiting import eventually

__all__ = ["Census"]

GRACE = 15.0  # seconds that what is ending may still take


@dataclass(frozen=True)
class Census:
    """What there is in this process at one moment."""

    threads: frozenset[Thread]
    listeners: frozenset[str]
    children: frozenset[str]

    @classmethod
    def take(cls) -> Census:
        """Count."""
        return cls(
            threads=frozenset(thread for thread in threading.enumerate() if thread.is_alive()),
            listeners=frozenset(_own_listening_inodes()),
            children=frozenset(_children()),
        )

    def new(self) -> dict[str, list[str]]:
        """Return what there is now and was not then, by its kind."""
        now = Census.take()
        found = {
            "threads": sorted(thread.name for thread in now.threads - self.threads),
            "listening sockets": sorted(now.listeners - self.listeners),
            "child processes": sorted(now.children - self.children),
        }
        return {kind: items for kind, items in found.items() if items}

    def assert_nothing_new(self) -> None:
        """Raise `AssertionError`, with what was left behind, unless it ends within `GRACE` seconds."""
        eventually(lambda: not self.new(), GRACE, lambda: f"left behind: {self.new()}")


def _own_listening_inodes() -> set[str]:
    own = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            own.add(target[8:-1])
    listening: set[str] = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            lines = Path(table).read_text(encoding="ascii").splitlines()[1:]
        except OSError:
            continue
        listening |= {line.split()[9] for line in lines if line.split()[3] == "0A"}
    return own & listening


def _children() -> set[str]:
    """Process ids whose parent we are, zombies too (not every kernel has /proc/PID/task/TID/children)."""
    me = str(os.getpid())
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == me:
            found.add(entry.name)
    return found
