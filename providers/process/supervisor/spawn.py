"""Starts a process: fork, make the child what it is to be, exec.

Forking is safe here because this process has one thread (see the package); so the child can take a terminal,
namespaces, a user and a directory in plain code, without a helper program in between. What fails there is
reported through a pipe that a successful exec closes by itself; the supervisor's loop waits for it, since
an executable on a hanging file system must not stop everybody else.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gc
import json
import os
import resource
import signal
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from virtual_kubelet.providers.process.supervisor import cgroups, namespaces

__all__ = [
    "Failure",
    "Identity",
    "Plan",
    "Started",
    "preparing",
    "raise_descriptor_limit",
    "read_failure",
    "start",
]

EXIT_NOT_FOUND = 127  # what a shell says of a command that is not there
EXIT_NOT_EXECUTABLE = 126
EXIT_NOT_PREPARED = 128  # what container runtimes say when the container itself could not be made


@dataclass(frozen=True)
class Identity:
    """Whom the process runs as; None: as the supervisor."""

    user: int | None = None
    group: int | None = None
    groups: tuple[int, ...] | None = None
    umask: int = 0o022

    @classmethod
    def from_message(cls, values: Mapping[str, Any]) -> Identity:
        """Return the identity that a request or a record holds."""
        groups = values.get("groups")
        return cls(
            user=values.get("user"),
            group=values.get("group"),
            groups=None if groups is None else tuple(groups),
            umask=values.get("umask", 0o022),
        )


@dataclass(frozen=True)
class Plan:
    """A process to be started."""

    argv: Sequence[str]
    env: Mapping[str, str]
    cwd: str
    stdin: int
    stdout: int
    stderr: int
    terminal: bool = False  # stdin is a terminal: make it the controlling one
    identity: Identity = field(default_factory=Identity)
    mounts: Sequence[namespaces.Mount] = ()
    mount_kind: str = namespaces.NONE
    workspace: str = ""
    enter_pid: int = 0  # whose namespaces to enter
    enter: Sequence[str] = ()  # which of them
    cgroup: str = ""  # which cgroup to enter, "" for none
    status: str = ""  # path of the status pipe, for `preparing`; "" for one without a name


@dataclass(frozen=True)
class Started:
    """A process that was forked; `status_fd` ends when its exec has worked."""

    pid: int
    status_fd: int


@dataclass(frozen=True)
class Failure:
    """Why a child never became what it was to be."""

    exit_code: int
    message: str


_descriptor_limit: tuple[int, int] | None = None  # what processes get, where the supervisor has taken more


def raise_descriptor_limit() -> None:
    """Allow this process as many descriptors as it may have: each container costs three of them."""
    global _descriptor_limit  # noqa: PLW0603 - the process has one limit, and this is its other half
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    _descriptor_limit = (soft, hard)


def start(plan: Plan) -> Started:
    """Fork and return; raise `OSError` when the machine has no room for another process."""
    reader, writer = _status_pipe(plan.status)
    gc.disable()  # a collection in the child would copy every page of the parent
    try:
        pid = os.fork()
        if pid == 0:
            _become(plan, writer)
    except BaseException:
        os.close(reader)
        raise
    finally:
        gc.enable()
        os.close(writer)
    return Started(pid, reader)


def _status_pipe(path: str) -> tuple[int, int]:
    if not path:
        return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.mkfifo(path, 0o600)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        return reader, os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        os.close(reader)
        raise


def preparing(status: str) -> bool:
    """Tell whether a predecessor's child, by the path of its status pipe, is still on the way to its exec."""
    try:
        reader = os.open(status, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return os.read(reader, 4096) != b""
    except BlockingIOError:  # the other end is open
        return True
    finally:
        os.close(reader)


def read_failure(data: bytes) -> Failure | None:
    """Return what a child wrote into its status pipe, None for nothing."""
    if not data:
        return None
    try:
        values = json.loads(data)
        return Failure(int(values["exit_code"]), str(values["message"]))
    except (ValueError, KeyError, TypeError):
        return Failure(EXIT_NOT_PREPARED, "the process could not be prepared")


def _become(plan: Plan, status_fd: int) -> NoReturn:
    stage = "prepare the process"
    try:
        os.setsid()
        _default_signals()
        _take_descriptors(plan, status_fd)
        if _descriptor_limit is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, _descriptor_limit)
        stage = "enter its cgroup"
        if plan.cgroup:
            cgroups.enter(plan.cgroup)
        stage = "set up its mounts"
        if plan.enter:
            namespaces.enter(plan.enter_pid, plan.enter)
        elif plan.mounts:
            namespaces.create(plan.mount_kind, plan.mounts, plan.workspace)
        stage = "change its user"
        _take_identity(plan.identity)
        stage = f'change to the working directory "{plan.cwd}"'
        os.chdir(plan.cwd)
        stage = ""
        os.execvpe(plan.argv[0], list(plan.argv), dict(plan.env))  # noqa: S606 - a container's command is no shell's
    except BaseException as error:  # noqa: BLE001 - whatever it is, the parent has to be told, and this copy ends
        _report(status_fd, stage, plan.argv[0], error)
    os._exit(EXIT_NOT_FOUND)


def _default_signals() -> None:
    # Those with a handler, which an exec would only reset later, and those that are ignored, which it would not.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGPIPE, signal.SIGHUP, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _take_descriptors(plan: Plan, status_fd: int) -> None:
    # The supervisor's own 0 to 2 are /dev/null, so no source lies where another one goes.
    for target, source in enumerate((plan.stdin, plan.stdout, plan.stderr)):
        os.dup2(source, target, inheritable=True)
    if plan.terminal:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    os.closerange(3, status_fd)
    os.closerange(status_fd + 1, os.sysconf("SC_OPEN_MAX"))


def _take_identity(identity: Identity) -> None:
    os.umask(identity.umask)
    if identity.groups is not None:
        os.setgroups(list(identity.groups))
    if identity.group is not None:
        os.setresgid(identity.group, identity.group, identity.group)
    if identity.user is not None:
        os.setresuid(identity.user, identity.user, identity.user)


def _report(status_fd: int, stage: str, command: str, error: BaseException) -> None:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if stage:
        values = {"exit_code": EXIT_NOT_PREPARED, "message": f"cannot {stage}: {reason}"}
    else:
        missing = isinstance(error, OSError) and error.errno in {errno.ENOENT, errno.ENOTDIR}
        code = EXIT_NOT_FOUND if missing else EXIT_NOT_EXECUTABLE
        if missing and "/" not in command:
            reason = "executable file not found in $PATH"
        values = {"exit_code": code, "message": f'exec: "{command}": {reason}'}
    os.write(status_fd, json.dumps(values).encode()[:4096])
