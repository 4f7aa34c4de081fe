"""A Podman service of the test's own: its socket, storage and settings in a temporary directory, gone with it."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
from pathlib import Path

import pytest
from support.waiting import eventually

IMAGE = "localhost/vk-busybox:1"
SETTINGS = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{directory}/libpod"
[network]
network_config_dir = "{directory}/networks"
"""


def echo_server(port):
    """Return a container that sends back what comes to a port."""
    return {"image": IMAGE, "command": ["nc", "-ll", "-p", str(port), "-e", "cat"]}


def busybox():
    for path in ("/bin/busybox", "/usr/bin/busybox"):
        if Path(path).exists() and b"dynamically" not in _file(path):
            return path
    return ""


def _file(path):
    # A static program has no interpreter in it.
    return b"dynamically" if b"/lib64/ld-linux" in Path(path).read_bytes()[:4096] else b""


@functools.cache
def missing():
    """Return why there can be no Podman here; "" when there can."""
    if os.geteuid() != 0:
        return "the podman of tests needs root"
    for program in ("podman", "runc"):
        if not shutil.which(program):
            return f"{program} is not installed (scripts/lib/test-peers)"
    return "" if busybox() else "busybox-static is not installed (scripts/lib/test-peers)"


class Podman:
    """The service; `stop` and `start` may be called by tests, containers live on."""

    def __init__(self):
        self.directory = Path(tempfile.mkdtemp(prefix="vkpod-"))
        self.socket = self.directory / "podman.sock"
        (self.directory / "containers.conf").write_text(SETTINGS.format(directory=self.directory))
        self.environment = {**os.environ, "CONTAINERS_CONF": str(self.directory / "containers.conf")}
        self.pid = 0

    def command(self, *arguments):
        return [
            "podman",
            "--root",
            f"{self.directory}/root",
            "--runroot",
            f"{self.directory}/run",
            *arguments,
        ]

    def run(self, *arguments):
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=self.directory,
            capture_output=True,
            text=True,
            check=False,
        )

    def start(self):
        self.socket.unlink(missing_ok=True)
        with (self.directory / "service.log").open("ab") as log:
            # Nobody's child: tests that restart it leave no new child of theirs behind.
            started = subprocess.run(
                [
                    "sh",
                    "-c",
                    '"$@" >&2 & echo $!',
                    "sh",
                    *self.command("system", "service", "--time=0", f"unix://{self.socket}"),
                ],
                env=self.environment,
                cwd=self.directory,  # conmon leaves a file named oom where it runs
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                check=True,
            )
        self.pid = int(started.stdout)
        eventually(self._answers, 30, "the podman service does not answer")

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as sock:
            try:
                sock.connect(str(self.socket))
                sock.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
                return sock.recv(100).startswith(b"HTTP/1")
            except OSError:
                return False

    def stop(self):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        eventually(lambda: not Path(f"/proc/{self.pid}").exists())

    def make_image(self):
        archive = self.directory / "image.tar"
        with tarfile.open(archive, "w") as tar:
            tar.add(busybox(), "bin/busybox")
            applets = subprocess.run([busybox(), "--list"], capture_output=True, text=True, check=True).stdout
            for name in applets.split():
                if name != "busybox":
                    entry = tarfile.TarInfo(f"bin/{name}")
                    entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                    tar.addfile(entry)
            for name in ("tmp", "etc", "root", "proc", "sys", "dev"):
                entry = tarfile.TarInfo(name)
                entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                tar.addfile(entry)
            self._text(tar, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n")
            self._text(tar, "etc/group", "root:x:0:\nnobody:x:65534:\n")
        done = self.run("import", str(archive), IMAGE)
        assert done.returncode == 0, done.stderr

    def _text(self, tar, name, text):
        path = self.directory / "text"
        path.write_text(text)
        tar.add(path, name)

    def remains(self, uid):
        """Return what there is of a pod: containers and volumes with its label."""
        label = f"label=io.kubernetes.pod.uid={uid}"
        containers = self.run("ps", "--all", "--quiet", "--filter", label).stdout.split()
        volumes = self.run("volume", "ls", "--quiet", "--filter", label).stdout.split()
        return [f"container {item}" for item in containers] + [f"volume {item}" for item in volumes]

    def _end_monitors(self):
        """End what watches over commands: Podman lets it wait for five minutes after their end."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                command = (entry / "cmdline").read_bytes().decode("utf-8", "replace")
                if "conmon" in command and f"{self.directory}/" in command:
                    os.kill(int(entry.name), signal.SIGKILL)

    def close(self):
        self.run("rm", "--all", "--force", "--time", "0")
        self.stop()
        self._end_monitors()
        self.run("system", "reset", "--force")
        mounts = Path("/proc/self/mounts").read_text()
        for line in reversed(mounts.splitlines()):
            point = line.split()[1]
            if point.startswith(str(self.directory)):
                subprocess.run(["umount", "-l", point], check=False, capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)


@contextlib.contextmanager
def running_podman():
    reason = missing()
    if reason:
        pytest.skip(reason)
    service = Podman()
    try:
        service.start()
        service.make_image()
        # Without --rm: on a busy machine the container can be gone before podman has asked how it ended.
        check = service.run("run", "--name", "check", IMAGE, "true")
        if check.returncode != 0:
            pytest.skip(f"podman cannot run containers on this machine: {check.stderr.strip()[-300:]}")
        service.run("rm", "--force", "check")
        yield service
    finally:
        service.close()
