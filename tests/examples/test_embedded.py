"""The example is run as its reader would run it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support.waiting import eventually

from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.runtime.threads import Deadline

SCRIPT = Path(__file__).parents[2] / "examples" / "embedded.py"


@pytest.fixture
def kubeconfig(tmp_path):
    server = ControlPlane()
    server.start()
    server.write_kubeconfig(str(tmp_path / "kubeconfig"))
    yield str(tmp_path / "kubeconfig")
    server.stop(Deadline(10))


def test_the_timer_runs_out(kubeconfig):
    client = Client(config.load(kubeconfig), qps=0)
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), kubeconfig], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        try:
            assert "Ready" in program.stdout.readline()
            pod = {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "timer", "annotations": {"example/seconds": "0.5"}},
                "spec": {
                    "nodeName": "timers",
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "none"}],
                },
            }
            client.create(PODS, pod, "default")
            eventually(lambda: client.get(PODS, "timer", "default")["status"]["phase"] == "Succeeded")
            client.delete(PODS, "timer", "default")
            eventually(lambda: not client.list(PODS, "default")["items"])
            program.stdin.write("\n")
            program.stdin.flush()
            assert program.wait(30) == 0
        finally:
            program.kill()
            client.close()
