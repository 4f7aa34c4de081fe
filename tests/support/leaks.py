"""What a test may not leave behind: threads, listening sockets, child processes."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

GRACE = 5.0  # seconds that what is ending may still take


@dataclass
class Census:
    threads: frozenset
    listeners: frozenset
    children: frozenset

    @classmethod
    def take(cls):
        return cls(
            threads=frozenset(thread for thread in threading.enumerate() if thread.is_alive()),
            listeners=frozenset(_own_listening_inodes()),
            children=frozenset(_children()),
        )

    def assert_nothing_new(self):
        deadline = time.monotonic() + GRACE
        pause = threading.Event()
        while True:
            now = Census.take()
            left = {
                "threads": sorted(thread.name for thread in now.threads - self.threads),
                "listening sockets": sorted(now.listeners - self.listeners),
                "child processes": sorted(now.children - self.children),
            }
            left = {kind: items for kind, items in left.items() if items}
            if not left:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"left behind: {left}")
            pause.wait(0.02)


def _own_listening_inodes():
    own = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            own.add(target[8:-1])
    listening = set()
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        try:
            lines = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        listening |= {line.split()[9] for line in lines if line.split()[3] == "0A"}
    return own & listening


def _children():
    """Process ids whose parent we are, zombies too (not every kernel has /proc/PID/task/TID/children)."""
    me = str(os.getpid())
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == me:
            found.add(entry.name)
    return found
