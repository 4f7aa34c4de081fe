"""What the kernel tells of processes: who they are, which of them belong to a container, how they ended."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections.abc import Collection, Iterator
from pathlib import Path

from virtual_kubelet.providers.process.supervisor.protocol import MARKER

__all__ = [
    "adopt_orphans",
    "boot_id",
    "environment_of",
    "find_marked",
    "kill_all",
    "members",
    "session",
    "start_time",
    "wait_status",
]

_PR_SET_CHILD_SUBREAPER = 36


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends.

    A daemon that a container leaves behind stays our descendant, so that it is found, ended and reaped.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def boot_id() -> str:
    """Return what tells this boot of the machine from others; "" where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _stat(pid: int | str) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the state on; None when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            text = file.read()
    except OSError:
        return None
    # The name before it is in brackets and may hold any character, brackets too.
    return text.rpartition(")")[2].split()


def start_time(pid: int) -> int:
    """Return when the process started, in ticks since boot; 0 when it is not there or is a zombie."""
    fields = _stat(pid)
    if fields is None or fields[0] in {"Z", "X"}:
        return 0
    return int(fields[19])


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that the process was started with; {} when it cannot be read."""
    try:
        data = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return {}
    pairs = (item.partition(b"=") for item in data.split(b"\0") if b"=" in item)
    return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _pids() -> Iterator[str]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            yield name


def members(mark: str, sessions: Collection[int], orphans_of: Collection[int]) -> list[int]:
    """Return the live processes of a container.

    They are those of its sessions, the descendants of those, and the orphans that carry its mark: whoever lost
    its parent has one of `orphans_of` instead.
    """
    marked = f"{MARKER}={mark}".encode()
    stats = {int(name): fields for name in _pids() if (fields := _stat(name)) and fields[0] not in {"Z", "X"}}
    found: set[int] = set()
    children: dict[int, list[int]] = {}
    for pid, fields in stats.items():
        children.setdefault(int(fields[1]), []).append(pid)
        if int(fields[3]) in sessions or (int(fields[1]) in orphans_of and _has_mark(pid, marked)):
            found.add(pid)
    waiting = list(found)
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), ()) if pid not in found]
        found.update(new)
        waiting += new
    found.discard(os.getpid())
    return sorted(found)


def session(number: int) -> list[int]:
    """Return the live processes of one session."""
    stats = ((int(name), _stat(name)) for name in _pids())
    return [
        pid for pid, fields in stats if fields and int(fields[3]) == number and fields[0] not in {"Z", "X"}
    ]


def _has_mark(pid: int, marked: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return marked in file.read().split(b"\0")
    except OSError:
        return False


def find_marked(mark: str) -> int:
    """Return the pid of a container's main process, found by its mark; 0 when there is none."""
    marked = f"{MARKER}={mark}".encode()
    for name in _pids():
        fields = _stat(name)
        leads_session = fields is not None and fields[3] == name and fields[0] not in {"Z", "X"}
        if leads_session and _has_mark(int(name), marked):
            return int(name)
    return 0


def kill_all(mark: str, sessions: Collection[int], orphans_of: Collection[int]) -> int:
    """Send SIGKILL to every process of a container; return how many there were."""
    count = 0
    # A process may fork while the list is made: look again until a look finds nobody new.
    seen: set[int] = set()
    for _ in range(10):
        new = [pid for pid in members(mark, sessions, orphans_of) if pid not in seen]
        if not new:
            break
        for pid in new:
            seen.add(pid)
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
                count += 1
    return count


def wait_status(found: os.waitid_result) -> int:
    """Return what wait(2) would have given for what waitid(2) gave."""
    if found.si_code == os.CLD_EXITED:
        return found.si_status << 8
    return found.si_status
