"""The agent as its users start it, and killed: what runs goes on running, and its end is not missed."""

from __future__ import annotations

import contextlib

import pytest
from support.agent_process import AgentProcess
from support.hyper.server import FakeHyper
from support.podman import IMAGE, running_podman
from support.signed_proxy import SignedProxy
from support.waiting import eventually

from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.runtime.threads import Deadline

pytestmark = pytest.mark.slow


@contextlib.contextmanager
def fake():
    with FakeHyper() as service:
        yield service.port, "busybox:1", "hyper"
    assert not service.violations


@contextlib.contextmanager
def podman():
    with running_podman() as engine, SignedProxy(str(engine.socket), hidden=("/events", "/_ping")) as proxy:
        yield proxy.port, IMAGE, ""
    assert not proxy.refused


@pytest.fixture(params=[fake, pytest.param(podman, marks=pytest.mark.live)])
def service(request):
    with request.param() as found:
        yield found


@pytest.fixture
def plane():
    found = ControlPlane()
    found.start()
    yield found
    found.stop(Deadline(10))


@pytest.fixture
def client(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig")
    found = Client(config.load(str(tmp_path / "kubeconfig")), qps=0)
    yield found
    found.close()


@pytest.fixture
def agent(service, plane, tmp_path):
    port, _, driver = service
    environ = {
        "HYPER_HOST": f"tcp://127.0.0.1:{port}",
        "HYPER_ACCESS_KEY": "AKID",
        "HYPER_SECRET_KEY": "SECRET",
        "HYPER_VOLUME_DRIVER": driver,
    }
    found = AgentProcess(plane, tmp_path, "--provider", "hyper", "--log-level", "debug", environ=environ)
    found.start()
    yield found
    found.kill()
    assert "SECRET" not in found.log


def pod(name, image, script, **spec):
    container = {"name": "c", "image": image, "command": ["sh", "-c", script]}
    spec = {"nodeName": "engine", "containers": [container], "terminationGracePeriodSeconds": 1, **spec}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


def test_pods_outlive_a_killed_agent(service, client, agent):
    image = service[1]
    volumes = {"volumes": [{"name": "v", "emptyDir": {}}]}
    client.create(PODS, pod("stays", image, "exec sleep 1000", **volumes), "default")
    client.create(PODS, pod("ends", image, "sleep 6; exit 3", restartPolicy="Never"), "default")

    def status(name):
        return client.get(PODS, name, "default")["status"]

    def containers(name):
        return {item["name"]: item for item in status(name).get("containerStatuses") or ()}

    eventually(lambda: status("stays")["phase"] == "Running" and status("ends")["phase"] != "Pending", 60)
    before = containers("stays")["c"]
    agent.kill()
    client.delete(PODS, "stays", "default")
    client.create(PODS, pod("later", image, "exit 0", restartPolicy="Never"), "default")
    agent.start()
    eventually(lambda: status("ends")["phase"] == "Failed", 60, agent.log)
    ended = containers("ends")["c"]
    assert (ended["state"]["terminated"]["exitCode"], ended["restartCount"]) == (3, 0)
    eventually(lambda: status("later")["phase"] == "Succeeded", 60)
    eventually(lambda: "stays" not in {item["metadata"]["name"] for item in client.list(PODS)["items"]}, 60)
    assert before["restartCount"] == 0
