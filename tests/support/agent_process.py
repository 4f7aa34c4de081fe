"""The agent as its users start it: the command line in a process of its own, which can be killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.waiting import eventually

ROOT = Path(__file__).parent.parent.parent


class AgentProcess:
    """One node of a control plane; `start` and `kill` may be called again and again."""

    def __init__(self, plane, directory, *words, environ=None):
        plane.write_kubeconfig(directory / "agent-kubeconfig")
        self._plane = plane
        self._log = directory / "agent.log"
        self._words = (
            "--kubeconfig", str(directory / "agent-kubeconfig"), "--state-dir", str(directory / "agent-state"),
            "--port", "0", "--node-ip", "127.0.0.1", "--nodename", "engine", *words,
        )  # fmt: skip
        self._environ = {**os.environ, "PYTHONPATH": str(ROOT), **(environ or {})}
        self._process = None

    def start(self):
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "virtual_kubelet", *self._words],
                env=self._environ,
                stdout=log,
                stderr=log,
            )
        eventually(self._ready, 60, self.log)

    def _ready(self):
        assert self._process.poll() is None, self.log
        node = self._plane.storage.get("nodes", "", "engine")
        conditions = node.body["status"].get("conditions") or () if node else ()
        return any((item["type"], item["status"]) == ("Ready", "True") for item in conditions)

    @property
    def log(self):
        return self._log.read_text()

    def kill(self):
        """End it as a crash would: nothing of it is cleaned up."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
