"""What the fake of Hyper runs: a container is a process of this machine, its log a list of lines."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
import time
from datetime import datetime, timezone

from virtual_kubelet.runtime.threads import spawn

NEVER = "0001-01-01T00:00:00Z"
STDOUT, STDERR = 1, 2


def stamp(seconds):
    return datetime.fromtimestamp(seconds, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f000Z")


def frame(stream, data):
    return struct.pack(">BxxxL", stream, len(data)) + data


def kill(process, number):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


class Container:
    def __init__(self, number, name, body):
        self.id, self.name, self.body = f"{number:064x}", name, body
        self.created = time.time()
        self.started = self.finished = NEVER
        self.status, self.exit_code, self.error = "created", 0, ""
        self.lines = []  # under `changed`: (stream, seconds, bytes)
        self.changed = threading.Condition()
        self.process = None
        self._threads = []

    @property
    def running(self):
        return self.status in {"running", "paused"}

    def start(self):
        command = [*(self.body.get("Entrypoint") or ()), *(self.body.get("Cmd") or ())]
        environment = dict(item.partition("=")[::2] for item in self.body.get("Env") or ())
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if self.body.get("OpenStdin") else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **environment},
            start_new_session=True,
        )
        self.status, self.started = "running", stamp(time.time())
        readers = [
            spawn(self._read, stream, pipe, name="fake-hyper-log")
            for stream, pipe in ((STDOUT, self.process.stdout), (STDERR, self.process.stderr))
        ]
        self._threads = [*readers, spawn(self._wait, readers, name="fake-hyper-wait")]

    def _read(self, stream, pipe):
        with pipe:
            for line in iter(pipe.readline, b""):
                with self.changed:
                    self.lines.append((stream, time.time(), line))
                    self.changed.notify_all()

    def _wait(self, readers):
        code = self.process.wait()
        for reader in readers:
            reader.join(30)
        if self.process.stdin:
            self.process.stdin.close()
        with self.changed:
            self.exit_code = code if code >= 0 else 128 - code
            self.status, self.finished = "exited", stamp(time.time())
            self.changed.notify_all()

    def signal(self, number):
        kill(self.process, number)
        if number == signal.SIGKILL:
            self._threads[-1].join(30)

    def end(self):
        if self.process is not None:
            kill(self.process, signal.SIGKILL)
            for thread in self._threads:
                thread.join(30)

    def follow(self, wanted, start):
        """Yield lines from number `start` on, and those to come, until the end."""
        while True:
            new, ended = self._lines_from(start)
            start += len(new)
            yield from (line for line in new if line[0] in wanted)
            if ended and not new:
                return

    def _lines_from(self, start):
        with self.changed:
            self.changed.wait_for(lambda: len(self.lines) > start or not self.running, 60)
            return self.lines[start:], not self.running

    def words(self):
        return {"created": "Created", "running": "Up 1 second", "exited": f"Exit {self.exit_code}"}[
            self.status
        ]

    def inspect(self):
        return {
            "Id": self.id,
            "Created": stamp(self.created),
            "Name": f"/{self.name}",
            "Image": "sha256:" + "1" * 64,
            "RestartCount": 0,
            "State": {
                "Status": self.status,
                "Running": self.running,
                "ExitCode": self.exit_code,
                "Error": self.error,
                "OOMKilled": False,
                "Dead": False,
                "StartedAt": self.started,
                "FinishedAt": self.finished,
            },
            "Config": {key: value for key, value in self.body.items() if key != "HostConfig"},
            "HostConfig": self.body.get("HostConfig"),
            "NetworkSettings": {"IPAddress": "", "Networks": {"bridge": {"IPAddress": "127.0.0.1"}}},
        }

    def listed(self):
        """As the service's documents show it: `State` is there, and empty."""
        return {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": self.body["Image"],
            "Created": int(self.created),
            "Labels": {**(self.body.get("Labels") or {}), "sh.hyper.fip": ""},
            "State": "",
            "Status": self.words(),
        }


class Exec:
    """A command in a container: a process beside it."""

    def __init__(self, number, body):
        self.id, self.body = f"{number:032x}", body
        self.process = None
        self._terminal = -1

    def start(self):
        """Return a file to write to, and (stream, file) to read from."""
        if not self.body.get("Tty"):
            self.process = subprocess.Popen(
                self.body["Cmd"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
            return self.process.stdin, [(STDOUT, self.process.stdout), (STDERR, self.process.stderr)]
        self._terminal, inner = pty.openpty()
        self.process = subprocess.Popen(
            self.body["Cmd"], stdin=inner, stdout=inner, stderr=inner, start_new_session=True
        )
        os.close(inner)
        return os.fdopen(os.dup(self._terminal), "wb", 0), [(STDOUT, os.fdopen(self._terminal, "rb", 0))]

    def resize(self, height, width):
        fcntl.ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def inspect(self):
        code = self.process.poll() if self.process else None
        return {"ID": self.id, "Running": code is None, "ExitCode": code if code is not None else 0}

    def end(self):
        if self.process is not None and self.process.poll() is None:
            kill(self.process, signal.SIGKILL)
            self.process.wait(30)
