"""The log of a mock container: a bounded list of lines that can be followed."""

from __future__ import annotations

import threading
from collections import deque

from virtual_kubelet.provider import LogOptions
from virtual_kubelet.pure import times

__all__ = ["MockLog", "MockLogStream"]

KEPT_LINES = 1000


class MockLog:
    """Lines with their times. Safe from any thread."""

    def __init__(self) -> None:
        self.changed = threading.Condition()  # guards what follows
        self.lines: deque[tuple[float, str]] = deque(maxlen=KEPT_LINES)
        self.written = 0  # how many lines ever were
        self.ended = False

    def write(self, now: float, line: str) -> None:
        """Add a line."""
        with self.changed:
            self.lines.append((now, line))
            self.written += 1
            self.changed.notify_all()

    def end(self) -> None:
        """Say that no line will follow."""
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def open(self, options: LogOptions) -> MockLogStream:
        """Return what `options` asks for. All that a mock writes is standard output."""
        with self.changed:
            lines = list(self.lines) if options.stream != "Stderr" else []
            position = self.written
        if options.since is not None:
            lines = [item for item in lines if item[0] >= options.since]
        if options.tail is not None:
            lines = lines[len(lines) - min(options.tail, len(lines)) :]
        return MockLogStream(self, options, lines, position)


class MockLogStream:
    """A reader of a `MockLog`."""

    def __init__(
        self, log: MockLog, options: LogOptions, lines: list[tuple[float, str]], position: int
    ) -> None:
        self._log = log
        self._options = options
        self._ready = lines
        self._position = position
        self._left = options.limit_bytes
        self._closed = False  # guarded by the log's condition

    def read(self) -> bytes:
        """Return some bytes, b"" at the end."""
        if self._left == 0:
            return b""
        if not self._ready and self._options.follow:
            self._await_lines()
        lines, self._ready = self._ready, []
        data = b"".join(self._format(*line) for line in lines)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data

    def close(self) -> None:
        """Let go; wakes `read`."""
        with self._log.changed:
            self._closed = True
            self._log.changed.notify_all()

    def _await_lines(self) -> None:
        log = self._log
        with log.changed:
            log.changed.wait_for(lambda: self._closed or log.ended or log.written > self._position)
            fresh = 0 if self._closed else min(log.written - self._position, len(log.lines))
            self._position = log.written
            if fresh and self._options.stream != "Stderr":
                self._ready = list(log.lines)[-fresh:]

    def _format(self, at: float, line: str) -> bytes:
        prefix = f"{times.rfc3339_nano(at)} " if self._options.timestamps else ""
        return f"{prefix}{line}\n".encode()
