"""A supervisor of the process provider and a client of it, without a provider."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

from support.waiting import eventually

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.providers.process.supervisor import protocol
from virtual_kubelet.providers.process.supervisor_client import SupervisorClient
from virtual_kubelet.runtime.threads import Deadline, spawn

LABELS = {"uid": "u", "container": "c", "attempt": "0", "namespace": "default", "pod": "web"}


class Agent:
    """A client that keeps what it is told."""

    def __init__(self, directory, **options):
        self.told = []
        self.client = SupervisorClient(
            directory, on_container=self.told.append, on_connect=lambda: None, **options
        )
        self.client.start()

    def call(self, op, **fields):
        return self.client.call(op, **fields)

    def start(self, script, name="one", **fields):
        return self.call(
            "start",
            container=name,
            labels=LABELS,
            argv=["sh", "-c", script],
            env={"PATH": "/bin:/usr/bin"},
            **fields,
        )["container"]

    def state(self, name="one"):
        return next(item for item in self.call("list")["containers"] if item["id"] == name)

    def wait_exit(self, name="one"):
        return eventually(lambda: item if (item := self.state(name))["state"] == "exited" else None)

    def state_once_connected(self):
        """Return the state; None while the connection to a supervisor that has ended is not made again."""
        with contextlib.suppress(Unavailable):
            return self.state()
        return None


@contextlib.contextmanager
def running_agent(directory, **options):
    """A client that takes the supervisor with it at its end."""
    agent = Agent(directory, **options)
    try:
        yield agent
    finally:
        with contextlib.suppress(Unavailable):
            agent.call("shutdown", force=True)
        agent.client.stop(Deadline(10))


@contextlib.contextmanager
def impostor(directory, behave):
    """Something that listens where a supervisor would, for one connection; `behave(connection)` in a thread."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / protocol.SOCKET_NAME
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)

        def run():
            connection = listener.accept()[0]
            path.unlink()
            listener.close()
            with connection:
                behave(connection)

        thread = spawn(run, name="impostor")
        try:
            yield
        finally:
            thread.join(30)


def pids_of(directory):
    """Supervisors of a directory. What leads a session has only started one, and is about to end."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if str(directory).encode() in (entry / "cmdline").read_bytes().split(b"\0"):
                pid = int(entry.name)
                if os.getsid(pid) != pid:
                    found.append(pid)
    return found
