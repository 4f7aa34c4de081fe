"""What systemd hears of a node."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest
from support.waiting import eventually

from virtual_kubelet.cli.service_manager import Announcer, Notifier
from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline


class Node:
    def __init__(self):
        self.metrics = Metrics()
        self.trouble = "api-server: it does not answer"
        self.works = True

    def problem(self):
        return self.trouble

    def healthy(self):
        return self.works


class Manager:
    """The other end of $NOTIFY_SOCKET."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + path[1:] if path.startswith("@") else path)
        self.environ = {"NOTIFY_SOCKET": path}

    def heard(self, timeout=10):
        self.socket.settimeout(timeout)
        return dict(line.split("=", 1) for line in self.socket.recv(4096).decode().splitlines())

    def is_silent(self):
        try:
            self.heard(timeout=0.5)
        except TimeoutError:
            return True
        return False

    def hears(self, name, timeout=10):
        while True:
            notices = self.heard(timeout)
            if name in notices:
                return notices


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    made = Manager(str(tmp_path / "notify") if request.param == "path" else f"@vk-{os.getpid()}")
    yield made
    made.socket.close()


def test_ready_is_said_once_the_node_is(manager):
    node = Node()
    announcer = Announcer(node, Notifier(manager.environ))
    announcer.start()
    try:
        assert manager.heard() == {"STATUS": "not ready: api-server: it does not answer"}
        node.metrics.running_pods.set(3)
        node.trouble = ""
        assert manager.heard() == {"READY": "1", "STATUS": "ready; 3 pods running"}
        announcer.stopping()
        assert manager.heard() == {"STOPPING": "1", "STATUS": "stopping"}
    finally:
        announcer.stop(Deadline(5))


def test_the_watchdog_is_fed_only_while_the_agent_works(manager):
    node = Node()
    node.trouble = ""
    announcer = Announcer(node, Notifier({**manager.environ, "WATCHDOG_USEC": "60000"}))
    announcer.start()
    try:
        assert manager.heard()["WATCHDOG"] == "1"
        assert manager.heard() == {"WATCHDOG": "1"}
        node.works = False
        eventually(manager.is_silent)
    finally:
        announcer.stop(Deadline(5))


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_watchdog_interval(environ, seconds):
    assert Notifier(environ).watchdog == seconds


def test_without_a_service_manager_nothing_runs():
    announcer = Announcer(Node(), Notifier({}))
    announcer.start()
    announcer.stopping()
    assert announcer._thread is None
    announcer.stop(Deadline(1))


def test_a_manager_that_is_gone_does_no_harm(tmp_path):
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).send(READY="1")


def test_text_cannot_forge_a_notice(manager):
    Notifier(manager.environ).send(STATUS="bad\nREADY=1")
    assert manager.heard() == {"STATUS": "bad READY=1"}


def test_the_command_tells_systemd(tmp_path):
    plane = ControlPlane()
    plane.start()
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    manager = Manager(str(tmp_path / "notify"))
    words = (
        "--kubeconfig", str(tmp_path / "kubeconfig"), "--provider", "mock", "--state-dir", str(tmp_path / "state"),
        "--port", "0", "--node-ip", "127.0.0.1",
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "virtual_kubelet", *words],
        env={**os.environ, **manager.environ, "WATCHDOG_USEC": "30000000"},
        stderr=subprocess.DEVNULL,
    )
    try:
        manager.hears("READY", 30)
        node = plane.storage.get("nodes", "", "virtual-kubelet").body
        assert {c["type"]: c["status"] for c in node["status"]["conditions"]}["Ready"] == "True"
        process.send_signal(signal.SIGTERM)
        assert manager.hears("STOPPING")["STOPPING"] == "1"
        eventually(lambda: process.poll() is not None)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()
        manager.socket.close()
        plane.stop(Deadline(10))
