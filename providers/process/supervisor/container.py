"""One container: its process, from the fork to the exit code.

starting -> running -> draining -> exited

An adopted process is not our child: that it ended is seen through its pidfd, how is not.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_kubelet.providers.process.supervisor import cgroups, namespaces, processes, spawn
from virtual_kubelet.providers.process.supervisor.cgroups import Cgroups
from virtual_kubelet.providers.process.supervisor.logfile import LogWriter
from virtual_kubelet.providers.process.supervisor.outputs import Attachment, Loop
from virtual_kubelet.providers.process.supervisor.protocol import MARKER
from virtual_kubelet.providers.process.supervisor.records import Record, RecordStore
from virtual_kubelet.providers.process.supervisor.streams import ChildEnds, ContainerStreams

__all__ = ["Container", "StartRequest"]

DRAIN_SECONDS = 1.0  # for output that is still in the pipes when everybody who could write is gone
PREPARATION_SECONDS = 10.0  # for a child of a killed predecessor to come to its exec
ORPHAN_SECONDS = 1.0  # to carry its mark from then on
UNKNOWN_EXIT = 137
OOM_KILLED = "OOMKilled"
UNKNOWN_REASON = "ContainerStatusUnknown"


@dataclass(frozen=True)
class StartRequest:
    """What the agent asks for."""

    record: Record
    argv: list[str]
    env: dict[str, str]
    stdin: bool = False
    mounts: list[namespaces.Mount] = field(default_factory=list)
    limits: dict[str, str] = field(default_factory=dict)  # files of its cgroup


class Container:
    """One container; every method is called from the supervisor's only thread."""

    def __init__(
        self,
        record: Record,
        *,
        loop: Loop,
        store: RecordStore,
        pipes: Path,
        cgroups: Cgroups,
        owner: str,
        on_change: Callable[[Container], None],
    ) -> None:
        self.record = record
        self.env: dict[str, str] = {}
        self._loop = loop
        self._store = store
        self._pipes = pipes
        self._cgroups = cgroups
        self._mark = f"{owner}:{record.id}"
        self._on_change = on_change
        self._streams = ContainerStreams(loop, pipes / record.id, self._output_ended)
        self._drain_until = 0.0  # monotonic; 0: not draining
        self._pidfd = -1
        self._status_path = pipes / f"{record.id}.status"
        self._status_fd = -1
        self._status = b""
        self._adopted = False

    # -- beginning ------------------------------------------------------------------------------------

    def start(self, request: StartRequest, mount_kind: str) -> None:
        """Fork the process; `on_change` follows when its exec has worked, or not."""
        record = self.record
        record.boot_id = processes.boot_id()
        record.started_at = time.time()
        self.env = {**request.env, MARKER: self._mark}
        if request.mounts:
            record.namespaces = ["user", "mnt"] if mount_kind == namespaces.USER else ["mnt"]
        record.cgroup = self._cgroups.create(record.id, request.limits)
        try:
            self._store.save(record)  # before the fork: a successor looks for the process by its mark
            self._open_log()
        except OSError:
            self._cgroups.remove(record.cgroup)
            raise
        ends = ChildEnds()
        try:
            started = spawn.start(self._plan(request, mount_kind, ends))
        except OSError as error:
            text = f"cannot start a process: {error.strerror}"
            self._failed(spawn.Failure(spawn.EXIT_NOT_PREPARED, text))
            return
        finally:
            ends.close()
        record.pid = started.pid
        record.start_time = processes.start_time(started.pid)
        self._save()
        self._status_fd = started.status_fd
        self._loop.watch(self._status_fd, selectors.EVENT_READ, self._on_status)

    def _save(self) -> None:
        # A full disk must not keep the agent from being told; only a successor would miss the record.
        with contextlib.suppress(OSError):
            self._store.save(self.record)

    def _plan(self, request: StartRequest, mount_kind: str, ends: ChildEnds) -> spawn.Plan:
        identity = spawn.Identity.from_message(request.record.identity)
        self._streams.make(ends, terminal=request.record.tty, stdin=request.stdin, owner=identity.user)
        return spawn.Plan(
            argv=request.argv,
            env=self.env,
            cwd=request.record.cwd,
            stdin=ends.stdin,
            stdout=ends.stdout,
            stderr=ends.stderr,
            terminal=request.record.tty,
            identity=identity,
            mounts=request.mounts,
            mount_kind=mount_kind,
            workspace=str(self._pipes),
            cgroup=request.record.cgroup,
            status=str(self._status_path),
        )

    def _open_log(self) -> None:
        record = self.record
        if record.log:
            self._streams.log_to(LogWriter(record.log, record.log_max_bytes, record.log_max_files))

    def _on_status(self, _events: int) -> None:
        try:
            data = os.read(self._status_fd, 4096)
        except BlockingIOError:
            return
        self._status += data
        if data:
            return
        self._loop.forget(self._status_fd)
        os.close(self._status_fd)
        self._status_fd = -1
        failure = spawn.read_failure(self._status)
        if failure is not None:
            self._failed(failure)
        elif self.record.state == "starting":
            self._running()

    def _running(self) -> None:
        self.record.state = "running"
        self._save()
        self._streams.watch()
        self._on_change(self)

    def _failed(self, failure: spawn.Failure) -> None:
        self.record.reason = "ContainerCannotRun"
        self.record.message = failure.message
        self.record.exit_code = failure.exit_code
        self._finish()

    # -- adopting -------------------------------------------------------------------------------------

    def adopt(self) -> None:
        """Take over a container that an earlier supervisor started."""
        record = self.record
        self._adopted = True
        if record.state == "exited":
            return
        if record.state == "starting":
            self._find_orphan()
        self._open_log()
        self._streams.reopen()
        if not self._take_hold():
            self._lost()
            return
        record.state = "running"
        self.env = processes.environment_of(record.pid)
        self._save()
        self._loop.watch(self._pidfd, selectors.EVENT_READ, lambda _events: self._lost())
        self._streams.watch()

    def _find_orphan(self) -> None:
        """Find the process of a predecessor that was killed between fork and note.

        Its child goes on by itself, and carries its mark only once it has become what it was to be: a look too
        early would miss a container, which would be started a second time.
        """
        if self.record.boot_id != processes.boot_id():
            return
        begun = time.monotonic()
        end = begun + ORPHAN_SECONDS
        while True:
            preparing = spawn.preparing(str(self._status_path))  # asked first: the look is the later one
            if self._see_orphan():
                return
            now = time.monotonic()
            if preparing and now < begun + PREPARATION_SECONDS:
                end = now + ORPHAN_SECONDS
            elif now >= end:
                return
            time.sleep(0.02)  # noqa: TID251 - nobody is served yet, and nothing could tell

    def _see_orphan(self) -> bool:
        record = self.record
        if record.pid and processes.environment_of(record.pid).get(MARKER) == self._mark:
            return True
        found = processes.find_marked(self._mark)
        if found:
            record.pid = found
            record.start_time = processes.start_time(found)
        return found > 0

    def _take_hold(self) -> bool:
        """Open the pidfd of the process, if the process with that pid is still the same one."""
        record = self.record
        if record.boot_id != processes.boot_id() or not record.start_time:
            return False
        try:
            self._pidfd = os.pidfd_open(record.pid)
        except OSError:
            return False
        # Only now: between a look and the opening the pid could have passed to another process.
        if processes.start_time(record.pid) == record.start_time:
            return True
        self._close_pidfd()
        return False

    def _close_pidfd(self) -> None:
        if self._pidfd >= 0:
            self._loop.forget(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _lost(self) -> None:
        """Note the end of a process that was not ours: nobody can say how it ended."""
        self.record.reason = UNKNOWN_REASON
        self.record.message = "The container's exit code is not known: its supervisor was killed while it ran"
        self.record.exit_code = UNKNOWN_EXIT
        if self.record.cgroup:
            cgroups.kill(self.record.cgroup)
        # By their marks only: the session's number may be another process's by now.
        processes.kill_all(self._mark, (), self._orphans_of())
        self._drain()

    # -- clients --------------------------------------------------------------------------------------

    def attach(self, fds: dict[str, int]) -> tuple[Attachment, int]:
        """Give a client the output from now on; return also a descriptor for input, or -1."""
        self._loop.busy.add(self)
        return self._streams.attach(fds)

    def close_stdin(self) -> None:
        """Let the container see the end of its input."""
        self._streams.close_stdin()

    def follow(self, fd: int) -> bool:
        """Wake a reader of the log, by a byte into `fd` when it grows, and at the end; False when that has been."""
        if self.record.state == "exited":
            os.close(fd)
            return False
        self._streams.follow(fd)
        return True

    # -- time -----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Tell whether `tick` has something to do."""
        return self._drain_until > 0 or self._streams.busy

    def tick(self, now: float) -> None:
        """Do what time asks for."""
        self._streams.tick()
        if self._drain_until and now >= self._drain_until:
            self._finish()

    # -- end ------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Tell whether the process is there."""
        return self.record.state in {"starting", "running"} and not self._drain_until

    def send_signal(self, number: int) -> None:
        """Signal the main process."""
        if not self.live or not self.record.pid:
            return
        with contextlib.suppress(ProcessLookupError):
            if self._pidfd >= 0:
                signal.pidfd_send_signal(self._pidfd, number)
            else:
                os.kill(self.record.pid, number)

    def kill(self) -> None:
        """Kill every process."""
        if self.live:
            self.send_signal(signal.SIGKILL)
            self._kill_processes()

    def _kill_processes(self) -> None:
        """Kill what is left of the container's processes, wherever they have gone.

        Only while the main process is there or not yet reaped: its pid names the session.
        """
        if self.record.cgroup:
            cgroups.kill(self.record.cgroup)
        sessions = {self.record.pid} if self.record.pid else set()
        processes.kill_all(self._mark, sessions, self._orphans_of())

    def _orphans_of(self) -> set[int]:
        """Return whose children the container's orphans are: ours, and init's where we are a successor."""
        return {os.getpid(), 1} if self._adopted else {os.getpid()}

    def ended(self, wait_status: int) -> None:
        """Note how the main process ended; its pid is not free yet."""
        for _ in range(3):  # what a failed child wrote, the end of its pipe, and one to spare
            if self._status_fd >= 0:
                self._on_status(0)
        if self.record.state == "exited":
            return
        if os.WIFSIGNALED(wait_status):
            self.record.signal = os.WTERMSIG(wait_status)
            if self.record.signal == signal.SIGKILL and cgroups.oom_killed(self.record.cgroup):
                self.record.reason = OOM_KILLED
            self.record.exit_code = 128 + self.record.signal
        else:
            self.record.exit_code = os.WEXITSTATUS(wait_status)
        self.record.finished_at = time.time()
        self._kill_processes()  # a container ends with its first process
        self._drain()

    def _drain(self) -> None:
        self._drain_until = time.monotonic() + DRAIN_SECONDS
        self._loop.busy.add(self)
        self._close_pidfd()
        self._streams.drain()
        self._output_ended()

    def _output_ended(self) -> None:
        if self._drain_until and self._streams.ended:
            self._finish()

    def _finish(self) -> None:
        record = self.record
        if record.state == "exited":
            return
        record.state = "exited"
        record.finished_at = record.finished_at or time.time()
        self._drain_until = 0.0
        self.env = {}
        self._streams.take_rest()  # we may have stood still, or waited for a client, all the while
        self._streams.close()
        self._status_path.unlink(missing_ok=True)
        self._cgroups.remove(record.cgroup)
        self._save()
        self._on_change(self)

    def forget(self) -> dict[str, Any]:
        """Remove what is kept of an ended container."""
        self._store.remove(self.record.id)
        return {}
