"""Where a provider on the pod runtime keeps its state, and what must not reach a disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

__all__ = ["default_state", "memory_directory"]


def default_state(environ: Mapping[str, str], node_name: str) -> str:
    """Return where state goes when nobody said: by the rules of the XDG base directories, by node."""
    home = environ.get("XDG_STATE_HOME") or str(Path(environ.get("HOME") or "/var/lib") / ".local/state")
    return str(Path(home) / "virtual-kubelet" / node_name)


def memory_directory(state: Path, environ: Mapping[str, str]) -> Path | None:
    """Return a directory on a tmpfs for secrets, of this user and this state directory alone; None: there is none."""
    name = f"virtual-kubelet-{os.geteuid()}-{hashlib.sha256(str(state).encode()).hexdigest()[:16]}"
    # The last one is everybody's: the directory in it is made and checked so that nobody else has it.
    for parent in (environ.get("XDG_RUNTIME_DIR"), "/run", "/dev/shm"):  # noqa: S108 - see above
        if parent and _is_tmpfs(parent) and os.access(parent, os.W_OK):
            return Path(parent) / name
    return None


def _is_tmpfs(path: str) -> bool:
    """Tell whether a path is on a tmpfs, by the longest mount point that holds it."""
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _, point, filesystem, *_ = line.split()
        if (path == point or path.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, filesystem
    return kind in {"tmpfs", "ramfs"}
