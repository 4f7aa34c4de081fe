"""What the supervisor writes down of each container, so that its successor knows: one small JSON file each.

No environment and no arguments: both may hold secrets.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

__all__ = ["Record", "RecordStore", "valid_id"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,250}")


def valid_id(text: object) -> bool:
    """Tell whether `text` can name a container, and so a file."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


@dataclass
class Record:
    """One container. Times are seconds since the epoch."""

    id: str
    labels: dict[str, str]
    log: str  # path of the log file, "" for none
    log_max_bytes: int
    log_max_files: int
    tty: bool = False
    stdin_once: bool = False
    cwd: str = "/"
    state: str = "starting"  # running, exited
    boot_id: str = ""
    pid: int = 0
    start_time: int = 0  # of the process, in clock ticks since boot: tells it from a later one of that pid
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    namespaces: list[str] = field(default_factory=list)  # what an exec has to enter: user, mnt
    cgroup: str = ""  # path of its own one, "" for none
    identity: dict[str, Any] = field(default_factory=dict)  # user, group, groups, umask

    def describe(self) -> dict[str, Any]:
        """Return what the agent is told."""
        return asdict(self)


_NAMES = frozenset(item.name for item in fields(Record))


class RecordStore:
    """A directory of records. Each change replaces the whole file: a reader never sees half of one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._owner = ""
        directory.mkdir(mode=0o700, exist_ok=True)

    def owner(self) -> str:
        """Return the name of this directory's supervisors, made up once.

        It is part of the mark on every process, so that no supervisor takes another one's for its own.
        """
        if not self._owner:
            path = self._directory.parent / "owner"
            if not path.exists():
                path.write_text(secrets.token_hex(8))
            self._owner = path.read_text()
        return self._owner

    def load(self) -> list[Record]:
        """Return all records; a file that is none is left out."""
        found = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                values = json.loads(path.read_bytes())
                found.append(Record(**{key: item for key, item in values.items() if key in _NAMES}))
            except (OSError, ValueError, TypeError, AttributeError):
                continue
        return found

    def save(self, record: Record) -> None:
        """Write one record down."""
        path = self._path(record.id)
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps(record.describe()))
        os.replace(temporary, path)

    def remove(self, container_id: str) -> None:
        """Forget one record."""
        self._path(container_id).unlink(missing_ok=True)

    def _path(self, container_id: str) -> Path:
        return self._directory / f"{container_id}.json"
