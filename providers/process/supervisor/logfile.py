"""Writes what a container prints into files, one line each, in the form that kubelets and log shippers know.

    2026-01-02T03:04:05.678901234Z stdout F text of the line

The form is the container runtime interface's: F ends a line, P is a part of one that goes on in the next entry.
The file is renamed when it is full (`<file>.<time>`), and the oldest are removed.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

__all__ = ["MAX_LINE", "LogWriter"]

MAX_LINE = 16 * 1024  # bytes of text in one entry: what other container runtimes cut at


class LogWriter:
    """The log of one container. Never raises for a full disk: what cannot be written is lost, and counted."""

    def __init__(self, path: str, max_bytes: int, max_files: int) -> None:
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._max_files = max_files
        self._partial: dict[str, bytes] = {}
        self._second = -1
        self._second_text = ""
        self._fd = -1
        self._size = 0
        self.lost_bytes = 0
        with contextlib.suppress(OSError):
            self._open()

    def write(self, stream: str, data: bytes) -> None:
        """Add what a stream (`stdout`, `stderr`) gave; the end of an unfinished line waits for its rest."""
        lines = (self._partial.pop(stream, b"") + data).split(b"\n")
        rest = lines.pop()
        prefix = f"{self._time()} {stream} ".encode()
        entries: list[bytes] = []
        for line in lines:
            if len(line) > MAX_LINE:
                line = _cut(line, prefix, entries)  # noqa: PLW2901 - what remains of it
            entries += (prefix, b"F ", line, b"\n")
        if len(rest) > MAX_LINE:
            rest = _cut(rest, prefix, entries)
        if rest:
            self._partial[stream] = rest
        if entries:
            self._append(b"".join(entries))

    def flush(self) -> None:
        """Write unfinished lines: nothing more will come."""
        for stream, rest in list(self._partial.items()):
            self._append(f"{self._time()} {stream} F ".encode() + rest + b"\n")
        self._partial.clear()

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, data: bytes) -> None:
        try:
            if self._fd < 0:
                self._open()
            elif self._size and self._size + len(data) > self._max_bytes:
                self._rotate()
            written = os.write(self._fd, data)
            self._size += written
            self.lost_bytes += len(data) - written
        except OSError:
            self.lost_bytes += len(data)

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o640)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        os.close(self._fd)
        self._fd = -1
        now = time.time_ns()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now // 10**9))
        self._path.rename(f"{self._path}.{stamp}.{now % 10**9:09d}")
        self._open()
        # Names sort by time; the file that is being written counts among those that are kept.
        old = sorted(self._path.parent.glob(f"{self._path.name}.*"))
        for path in old[: max(0, len(old) - (self._max_files - 1))]:
            path.unlink(missing_ok=True)

    def _time(self) -> str:
        now = time.time_ns()
        second, nanoseconds = divmod(now, 10**9)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{nanoseconds:09d}Z"


def _cut(line: bytes, prefix: bytes, entries: list[bytes]) -> bytes:
    """Move all full parts of `line` to `entries`; return the rest."""
    while len(line) > MAX_LINE:
        entries += (prefix, b"P ", line[:MAX_LINE], b"\n")
        line = line[MAX_LINE:]
    return line
