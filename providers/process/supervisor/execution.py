"""A further process in a container: for a client (`exec`), or for a probe or hook whose output is kept (`run`).

It belongs to the connection that asked for it: when that ends, the process is killed.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable
from typing import Any

from virtual_kubelet.providers.process.supervisor import processes, spawn
from virtual_kubelet.providers.process.supervisor.container import Container
from virtual_kubelet.providers.process.supervisor.outputs import Loop
from virtual_kubelet.providers.process.supervisor.streams import CHUNK, PIPE_SIZE

__all__ = ["Execution"]

DRAIN_SECONDS = 0.5


class Execution:
    """One process; `on_end(result)` is called once."""

    def __init__(
        self, loop: Loop, container: Container, on_end: Callable[[Execution, dict[str, Any]], None]
    ) -> None:
        self.container = container
        self.pid = 0
        self.deadline = 0.0  # monotonic; 0: none
        self._loop = loop
        self._on_end = on_end
        self._status_fd = -1
        self._status = b""
        self._capture = -1
        self._limit = 0
        self._output = bytearray()
        self._result: dict[str, Any] | None = None
        self._drain_until = 0.0
        self._timed_out = False

    def start(self, argv: list[str], fds: list[int], *, terminal: bool) -> None:
        """Fork with the client's descriptors: the terminal, or stdin, stdout and stderr."""
        streams = [fds[0]] * 3 if terminal else fds
        self._fork(argv, streams, terminal=terminal)

    def run(self, argv: list[str], timeout: float, limit: int) -> None:
        """Fork with its output kept, the first `limit` bytes of it; killed after `timeout` seconds (0: never)."""
        self._capture, writer = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(self._capture, False)
        self._limit = limit
        null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._fork(argv, [null, writer, writer], terminal=False)
        except OSError:
            self._close()
            raise
        finally:
            os.close(null)
            os.close(writer)
        self._loop.watch(self._capture, selectors.EVENT_READ, self._on_output)
        if timeout > 0:
            self.deadline = time.monotonic() + timeout
            self._loop.busy.add(self)

    def _fork(self, argv: list[str], streams: list[int], *, terminal: bool) -> None:
        record = self.container.record
        env = self.container.env
        started = spawn.start(
            spawn.Plan(
                argv=argv,
                env={"TERM": "xterm", **env}
                if terminal
                else env,  # as container runtimes name a client's terminal
                cwd=record.cwd,
                stdin=streams[0],
                stdout=streams[1],
                stderr=streams[2],
                terminal=terminal,
                identity=spawn.Identity.from_message(record.identity),
                enter_pid=record.pid,
                enter=record.namespaces,
                cgroup=record.cgroup,
            )
        )
        self.pid = started.pid
        self._status_fd = started.status_fd
        self._loop.watch(self._status_fd, selectors.EVENT_READ, self._on_status)

    def _on_status(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._status_fd, 4096)
            self._status += data
            if not data:
                self._loop.forget(self._status_fd)
                os.close(self._status_fd)
                self._status_fd = -1

    def _on_output(self, _events: int) -> None:
        self._read()

    def _read(self) -> bool:
        """Take one piece of output; tell whether there was any."""
        try:
            data = os.read(self._capture, CHUNK)
        except BlockingIOError:
            return False
        if data:
            self._output += data[: max(0, self._limit - len(self._output))]
            return True
        self._loop.forget(self._capture)
        os.close(self._capture)
        self._capture = -1
        if self._result is not None:
            self._finish()
        return False

    def _take_rest(self) -> None:
        """Read what is there now: we may have stood still all the while."""
        for _ in range(PIPE_SIZE // CHUNK):
            if self._capture < 0 or not self._read():
                break

    def ended(self, wait_status: int) -> None:
        """Note how the process ended."""
        for _ in range(3):
            if self._status_fd >= 0:
                self._on_status(0)
        failure = spawn.read_failure(self._status)
        code = os.waitstatus_to_exitcode(wait_status)
        self._result = {"exit_code": code if code >= 0 else 128 - code, "timed_out": self._timed_out}
        if failure is not None:
            self._result |= {"exit_code": failure.exit_code, "failure": failure.message}
        self.deadline = 0.0
        self._drain_until = time.monotonic() + DRAIN_SECONDS
        self._loop.busy.add(self)
        if self._capture < 0:
            self._finish()

    @property
    def busy(self) -> bool:
        """Tell whether `tick` may have something to do."""
        return self.deadline > 0 or self._drain_until > 0

    def tick(self, now: float) -> None:
        """Do what time asks for."""
        if self.deadline and now >= self.deadline:
            self.deadline = 0.0
            self._timed_out = True
            self.kill()
        if self._drain_until and now >= self._drain_until:
            self._take_rest()
            self._finish()  # a daemon that the command left behind holds its output open: not waited for

    def kill(self) -> None:
        """Kill the process and its session."""
        if self.pid and self._result is None:
            # The pid is ours until it is reaped. It may not yet lead its session: name it, too.
            for pid in (self.pid, *processes.session(self.pid)):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def _finish(self) -> None:
        result, self._result = self._result, None
        self._close()
        self.pid = 0
        self._drain_until = 0.0
        if result is not None:
            result["output"] = bytes(self._output).decode("utf-8", "replace")
            self._on_end(self, result)

    def _close(self) -> None:
        for fd in (self._capture, self._status_fd):
            if fd >= 0:
                self._loop.forget(fd)
                os.close(fd)
        self._capture = self._status_fd = -1
