"""One container: its process, its pipes, its log, and how it ended.

starting -> running -> draining -> exited

Output comes through named pipes that the container's process holds open for reading too: should this
supervisor be killed, the process waits for its successor to read on instead of dying of SIGPIPE. (A terminal has
no such luck.) An adopted process is not our child: that it ended is seen through its pidfd, how is not.
"""

from __future__ import annotations

import contextlib
import os
import pty
import selectors
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_kubelet.providers.process.supervisor import namespaces, processes, spawn
from virtual_kubelet.providers.process.supervisor.logfile import LogWriter
from virtual_kubelet.providers.process.supervisor.outputs import Attachment, Follower, Loop
from virtual_kubelet.providers.process.supervisor.protocol import MARKER
from virtual_kubelet.providers.process.supervisor.records import Record, RecordStore

__all__ = ["Container", "StartRequest"]

DRAIN_SECONDS = 1.0  # for output that is still in the pipes when everybody who could write is gone
CHUNK = 65536
UNKNOWN_EXIT = 137
UNKNOWN_REASON = "ContainerStatusUnknown"


@dataclass(frozen=True)
class StartRequest:
    """What the agent asks for."""

    record: Record
    argv: list[str]
    env: dict[str, str]
    stdin: bool = False
    mounts: list[namespaces.Mount] = field(default_factory=list)


class Container:
    """One container; every method is called from the supervisor's only thread."""

    def __init__(
        self,
        record: Record,
        *,
        loop: Loop,
        store: RecordStore,
        pipes: Path,
        owner: str,
        on_change: Callable[[Container], None],
    ) -> None:
        self.record = record
        self.env: dict[str, str] = {}
        self.drain_until = 0.0  # monotonic; 0: not draining
        self._loop = loop
        self._store = store
        self._pipes = pipes
        self._mark = f"{owner}:{record.id}"
        self._on_change = on_change
        self._outputs: dict[str, int] = {}
        self._stdin = -1
        self._terminal = -1
        self._pidfd = -1
        self._status_fd = -1
        self._status = b""
        self._log: LogWriter | None = None
        self._attachments: list[Attachment] = []
        self._followers: list[Follower] = []
        self._paused = False
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
        self._store.save(record)  # before the fork: a successor looks for the process by its mark
        self._open_log()
        child_fds: list[int] = []
        try:
            plan = self._plan(request, mount_kind, child_fds)
            started = spawn.start(plan)
        except OSError as error:
            self._failed(spawn.Failure(spawn.EXIT_NOT_PREPARED, f"cannot start a process: {error.strerror}"))
            return
        finally:
            for fd in child_fds:
                os.close(fd)
        record.pid = started.pid
        self._status_fd = started.status_fd
        self._loop.watch(self._status_fd, selectors.EVENT_READ, self._on_status)

    def _plan(self, request: StartRequest, mount_kind: str, child_fds: list[int]) -> spawn.Plan:
        if request.record.tty:
            self._terminal, slave = pty.openpty()
            os.set_inheritable(self._terminal, False)
            child_fds.append(slave)
            self._outputs = {"stdout": os.dup(self._terminal)}
            stdin = stdout = stderr = slave
        else:
            stdout, stderr = self._make_output("stdout"), self._make_output("stderr")
            child_fds += [stdout, stderr]
            stdin = self._make_stdin(wanted=request.stdin)
            child_fds.append(stdin)
        return spawn.Plan(
            argv=request.argv,
            env=self.env,
            cwd=request.record.cwd,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            terminal=request.record.tty,
            identity=spawn.Identity.from_message(request.record.identity),
            mounts=request.mounts,
            mount_kind=mount_kind,
            workspace=str(self._pipes),
        )

    def _make_output(self, stream: str) -> int:
        path = self._fifo(stream)
        path.unlink(missing_ok=True)
        os.mkfifo(path, 0o600)
        writer = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._outputs[stream] = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        identity = spawn.Identity.from_message(self.record.identity)
        if identity.user is not None:
            os.fchown(
                writer, identity.user, -1
            )  # so that it may open /dev/stdout, which is this pipe, by name
        return writer

    def _make_stdin(self, *, wanted: bool) -> int:
        if not wanted:
            return os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        reader, self._stdin = os.pipe2(os.O_CLOEXEC)
        return reader

    def _fifo(self, stream: str) -> Path:
        return self._pipes / f"{self.record.id}.{stream}"

    def _open_log(self) -> None:
        if self.record.log:
            self._log = LogWriter(self.record.log, self.record.log_max_bytes, self.record.log_max_files)

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
        record = self.record
        record.start_time = processes.start_time(record.pid)
        record.state = "running"
        self._store.save(record)
        self._watch_outputs()
        self._on_change(self)

    def _failed(self, failure: spawn.Failure) -> None:
        self.record.reason = "ContainerCannotRun"
        self.record.message = failure.message
        self.record.exit_code = failure.exit_code
        self._finish()

    def adopt(self) -> None:
        """Take over a container that an earlier supervisor started."""
        record = self.record
        self._adopted = True
        if record.state == "exited":
            return
        if record.state == "starting" and record.boot_id == processes.boot_id():
            record.pid = processes.find_marked(self._mark)
            record.start_time = processes.start_time(record.pid) if record.pid else 0
            record.state = "running"
        self._open_log()
        for stream in ("stdout", "stderr"):
            with contextlib.suppress(OSError):
                flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
                self._outputs[stream] = os.open(self._fifo(stream), flags)
        if not self._take_hold():
            self._lost()
            return
        self.env = processes.environment_of(record.pid)
        self._store.save(record)
        self._loop.watch(self._pidfd, selectors.EVENT_READ, lambda _events: self._lost())
        self._watch_outputs()

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
        os.close(self._pidfd)
        self._pidfd = -1
        return False

    def _lost(self) -> None:
        """Note the end of a process that was not ours: nobody can say how it ended."""
        self.record.reason = UNKNOWN_REASON
        self.record.message = "The container's exit code is not known: its supervisor was killed while it ran"
        self.record.exit_code = UNKNOWN_EXIT
        # By their marks only: the session's number may be another process's by now.
        processes.kill_all(self._mark, (), self._orphans_of())
        self._drain()

    # -- output ---------------------------------------------------------------------------------------

    def _watch_outputs(self) -> None:
        for stream, fd in self._outputs.items():
            self._loop.watch(fd, selectors.EVENT_READ, self._reader(stream))

    def _reader(self, stream: str) -> Callable[[int], None]:
        return lambda _events: self._read(stream)

    def _read(self, stream: str) -> None:
        """Pass on one piece of output."""
        fd = self._outputs.get(stream, -1)
        if fd < 0:
            return
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:  # EIO: nobody has the terminal open any more
            data = b""
        if not data:
            self._end_output(stream)
            return
        if self._log is not None:
            self._log.write(stream, data)
            self._followers = [follower for follower in self._followers if follower.notify()]
        for attachment in list(self._attachments):
            attachment.write(stream, data)
        if any(attachment.full for attachment in self._attachments):
            self._pause()

    def _end_output(self, stream: str) -> None:
        fd = self._outputs.pop(stream)
        self._loop.forget(fd)
        os.close(fd)
        if self.drain_until and not self._outputs:
            self._finish()

    def _pause(self) -> None:
        self._paused = True
        self._loop.busy.add(self)
        for fd in self._outputs.values():
            self._loop.forget(fd)

    def tick(self, now: float) -> None:
        """Do what time asks for."""
        for attachment in [item for item in self._attachments if item.stalled()]:
            attachment.close()
        if self._paused and all(attachment.relieved for attachment in self._attachments):
            self._paused = False
            self._watch_outputs()
        if self.drain_until and now >= self.drain_until:
            self._finish()

    @property
    def busy(self) -> bool:
        """Tell whether `tick` has something to do."""
        return bool(self.drain_until) or self._paused or bool(self._attachments)

    # -- clients --------------------------------------------------------------------------------------

    def attach(self, fds: dict[str, int]) -> tuple[Attachment, int]:
        """Give a client the output from now on; return also a descriptor for input, or -1."""
        attachment = Attachment(self._loop, fds, self._detached)
        self._attachments.append(attachment)
        self._loop.busy.add(self)
        source = self._terminal if self.record.tty else self._stdin
        return attachment, os.dup(source) if source >= 0 else -1

    def _detached(self, attachment: Attachment) -> None:
        if attachment in self._attachments:
            self._attachments.remove(attachment)

    def close_stdin(self) -> None:
        """Let the container see the end of its input."""
        if self._stdin >= 0:
            os.close(self._stdin)
            self._stdin = -1

    def follow(self, follower: Follower) -> None:
        """Wake a reader of the log when it grows; its pipe is closed when the container ends."""
        if self.record.state == "exited":
            follower.close()
        else:
            self._followers.append(follower)

    # -- end ------------------------------------------------------------------------------------------

    @property
    def live(self) -> bool:
        """Tell whether the process is there."""
        return self.record.state in {"starting", "running"} and not self.drain_until

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
            self.kill_processes()

    def kill_processes(self) -> None:
        """Kill what is left of the container's processes, wherever they have gone.

        Only while the main process is there or not yet reaped: its pid names the session.
        """
        sessions = {self.record.pid} if self.record.pid else set()
        processes.kill_all(self._mark, sessions, self._orphans_of())

    def _orphans_of(self) -> set[int]:
        """Return whose children the container's orphans are: ours, and init's where we are a successor."""
        return {os.getpid(), 1} if self._adopted else {os.getpid()}

    def ended(self, wait_status: int) -> None:
        """Note how the main process ended; its pid is not free yet."""
        if self._status_fd >= 0:
            self._finish_status()
        if self.record.state == "exited":
            return
        if os.WIFSIGNALED(wait_status):
            self.record.signal = os.WTERMSIG(wait_status)
            self.record.exit_code = 128 + self.record.signal
        else:
            self.record.exit_code = os.WEXITSTATUS(wait_status)
        self.record.finished_at = time.time()
        self.kill_processes()  # a container ends with its first process
        self._drain()

    def _finish_status(self) -> None:
        """Read the rest of the status pipe: a child that ended has written all that it had to say."""
        for _ in range(3):  # what it wrote, the end, and one to spare
            if self._status_fd >= 0:
                self._on_status(0)

    def _drain(self) -> None:
        self.drain_until = time.monotonic() + DRAIN_SECONDS
        self._loop.busy.add(self)
        if self._pidfd >= 0:
            self._loop.forget(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1
        if self._terminal >= 0:
            os.close(self._terminal)  # ours; the reading copy gives EIO when the last holder is gone
            self._terminal = -1
        self._paused = False
        self._watch_outputs()
        if not self._outputs:
            self._finish()

    def _finish(self) -> None:
        for stream in list(self._outputs):
            fd = self._outputs.pop(stream)
            self._loop.forget(fd)
            os.close(fd)
            self._fifo(stream).unlink(missing_ok=True)
        for stream in ("stdout", "stderr"):
            self._fifo(stream).unlink(missing_ok=True)
        self.close_stdin()
        if self._terminal >= 0:
            os.close(self._terminal)
            self._terminal = -1
        if self._log is not None:
            self._log.close()
        for attachment in list(self._attachments):
            attachment.finish()
        for follower in self._followers:
            follower.close()
        self._followers.clear()
        self.drain_until = 0.0
        self.env = {}
        record = self.record
        record.state = "exited"
        record.finished_at = record.finished_at or time.time()
        self._store.save(record)
        self._on_change(self)

    def forget(self) -> dict[str, Any]:
        """Remove what is kept of an ended container."""
        self._store.remove(self.record.id)
        return {}
