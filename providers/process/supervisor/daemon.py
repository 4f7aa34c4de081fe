"""Becomes a supervisor: takes the lock, detaches from the agent that started it, listens, serves.

The lock is what makes two supervisors of one directory impossible: it is held as long as the process lives, and
only its holder touches the socket. One that does not get it lets the other do the work.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from virtual_kubelet.providers.process.supervisor import processes, spawn
from virtual_kubelet.providers.process.supervisor.cgroups import Cgroups, delegated
from virtual_kubelet.providers.process.supervisor.protocol import LOCK_NAME, SOCKET_NAME, unix_address
from virtual_kubelet.providers.process.supervisor.server import Server

__all__ = ["main"]

LOG_NAME = "supervisor.log"
LOG_BYTES = 1024 * 1024
LOCK_WAIT = 10.0  # for a predecessor that is about to end
NOBODY_YET = 75  # EX_TEMPFAIL: the lock is held by one that does not listen


def main(arguments: Sequence[str]) -> int:
    """Run a supervisor; return the exit code, 0 also when another one already serves the directory."""
    parser = argparse.ArgumentParser(
        prog="virtual-kubelet-supervisor", description="Holds containers' processes."
    )
    parser.add_argument("--dir", required=True, type=Path, help="its directory: socket, lock, records")
    parser.add_argument(
        "--foreground", action="store_true", help="do not detach, and stay when idle: for systemd"
    )
    parser.add_argument("--cgroup", default="", help="the cgroup (v2) that containers get theirs in")
    options = parser.parse_args(arguments)
    directory = options.dir.absolute()
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    directory.chmod(0o700)
    lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if not _take(lock, directory):
        return 0 if _answers(directory) else NOBODY_YET
    listener = _listen(directory)
    if not options.foreground:
        _detach()
    _harden()
    cgroups = Cgroups(options.cgroup or delegated())
    server = Server(directory, listener, _logger(directory), cgroups, stay=options.foreground)
    if options.foreground:
        _tell_systemd("READY=1")
    server.serve()
    # In this order: a client that comes before the unlink is refused and asks again; the lock goes last.
    (directory / SOCKET_NAME).unlink(missing_ok=True)
    listener.close()
    return 0


def _take(lock: int, directory: Path) -> bool:
    """Take the lock; False when another supervisor has it and listens (or seems to be stuck)."""
    end = time.monotonic() + LOCK_WAIT
    pause = 0.01
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _answers(directory) or time.monotonic() > end:
                return False
            time.sleep(pause)  # noqa: TID251 - nothing in this process could wake it, and nothing needs to
        else:
            return True


def _answers(directory: Path) -> bool:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe,
        unix_address(directory / SOCKET_NAME) as address,
    ):
        try:
            probe.connect(address)
        except OSError:
            return False
    return True


def _listen(directory: Path) -> socket.socket:
    path = directory / SOCKET_NAME
    path.unlink(missing_ok=True)  # a predecessor's that was killed: we hold the lock
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with unix_address(path) as address:
        listener.bind(address)
    path.chmod(0o600)
    listener.listen(64)
    return listener


def _detach() -> None:
    """Leave the agent: its session, its directory, its descriptors. Returns in a process of init's."""
    if os.fork():
        _leave()
    os.setsid()
    if os.fork():
        _leave()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)


def _leave() -> NoReturn:
    os._exit(0)  # no exit handler, no flush: the child has it all


def _tell_systemd(notice: str) -> None:
    """Send a notice as sd_notify(3) does; the containers are not to know the socket."""
    path = os.environ.pop("NOTIFY_SOCKET", "")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(notice.encode(), address)


def _harden() -> None:
    os.chdir("/")
    os.umask(0o077)
    for number in signal.valid_signals():
        # What the agent's shell ignores (nohup!) must not be ignored in containers.
        if number not in {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, set())
    processes.adopt_orphans()
    spawn.raise_descriptor_limit()


def _logger(directory: Path) -> Callable[[str], None]:
    """Return what writes a line into the supervisor's own small log; one that cannot be written is lost."""
    path = directory / LOG_NAME

    def log(line: str) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        with contextlib.suppress(OSError):  # a full disk, no descriptor left: no reason to end
            full = path.exists() and path.stat().st_size > LOG_BYTES
            with open(path, "w" if full else "a", encoding="utf-8") as file:
                file.write(f"{stamp} {line}\n")

    return log


def run() -> NoReturn:
    """Run with the arguments of the command line."""
    sys.exit(main(sys.argv[1:]))
