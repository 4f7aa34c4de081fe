"""Real containers through the agent, the embedded control plane and the real kubectl."""

from __future__ import annotations

import json

import pytest
from support.engine_node import cluster
from support.kubectl import kubectl
from support.podman import IMAGE
from support.waiting import eventually

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.errors import Unavailable
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.providers.docker.provider import create

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture(scope="module")
def module_config(podman):
    path = podman.directory / "docker.toml"
    path.write_text(
        f'host = "unix://{podman.socket}"\ninfra-image = "{IMAGE}"\ninfra-command = ["sleep", "1000000"]\n'
    )
    return str(path)


@pytest.fixture
def running(podman, module_config):
    with cluster(create, module_config) as found:
        yield found


def pod(name, *containers, **spec):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"terminationGracePeriodSeconds": 2, "containers": list(containers), **spec},
    }


def container(script, name="main", **fields):
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def status(found, name):
    return found.client.get(PODS, name, "default")["status"]


def statuses(found, name):
    return {item["name"]: item for item in status(found, name).get("containerStatuses") or ()}


def test_a_pods_life_with_kubectl(running, tmp_path):
    kube = kubectl(running.control_plane, tmp_path)
    script = "echo begun; trap 'echo ended; exit 0' TERM; while true; do sleep 0.1; done"
    kube("create", "-f", "-", stdin=json.dumps(pod("web", container(script), container(script, "second"))))
    kube("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    eventually(lambda: kube("logs", "web", "-c", "main") == "begun\n")
    follower = kube.start("logs", "-f", "web", "-c", "main")
    assert follower.stdout.readline() == "begun\n"

    done = kube.run("exec", "web", "-c", "main", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (done.stdout, done.returncode) == ("out\n", 7)
    assert "err" in done.stderr
    assert kube("exec", "-i", "web", "-c", "main", "--", "cat", stdin="typed\n") == "typed\n"
    # Containers of a pod share the network: what one listens on the other reaches as its localhost.
    kube("exec", "web", "-c", "main", "--", "sh", "-c", "echo shared | nc -l -p 7777 >/dev/null 2>&1 &")
    assert "shared" in eventually(
        lambda: kube.run("exec", "web", "-c", "second", "--", "nc", "127.0.0.1", "7777").stdout, 60
    )
    kube("delete", "pod", "web", "--timeout=60s")
    assert follower.communicate(timeout=30)[0] == "ended\n"


def test_one_of_three_fails_and_is_started_again(running):
    wanted = pod(
        "three",
        container("sleep 1000", "one"),
        container("sleep 1000", "two"),
        container("exit 3", "failing"),
    )
    running.client.create(PODS, wanted, "default")
    found = eventually(
        lambda: (
            (items := statuses(running, "three")).get("failing", {}).get("restartCount", 0) >= 1 and items
        ),
        60,
    )
    last = found["failing"]["lastState"].get("terminated") or found["failing"]["state"].get("terminated")
    assert last["exitCode"] == 3
    assert found["one"]["restartCount"] == found["two"]["restartCount"] == 0
    assert "running" in found["one"]["state"]


def test_another_agent_adopts_what_runs(running, podman):
    running.client.create(PODS, pod("kept", container("sleep 1000")), "default")
    before = eventually(lambda: (item := statuses(running, "kept").get("main", {})).get("ready") and item, 60)
    running.agent.stop(10)
    provider = running.make_provider(running.made[0])
    agent = VirtualKubelet(running.made[0], provider)
    running._agent, running._provider = agent, provider
    agent.start()
    agent.wait_ready(30)
    running.client.patch(PODS, "kept", {"metadata": {"labels": {"seen": "yes"}}}, "default")
    running.client.create(PODS, pod("after", container("exit 0"), restartPolicy="Never"), "default")
    eventually(lambda: status(running, "after").get("phase") == "Succeeded", 60)
    after = statuses(running, "kept")["main"]
    assert (after["containerID"], after["restartCount"]) == (before["containerID"], 0)
    ids = podman.run(
        "ps", "--quiet", "--no-trunc", "--filter", "label=io.kubernetes.pod.name=kept"
    ).stdout.split()
    assert len(ids) == 2  # it, and what holds its network


def test_a_changed_image_restarts_the_container(running, podman):
    podman.run("tag", IMAGE, "localhost/vk-other:1")
    running.client.create(PODS, pod("changing", container("sleep 1000")), "default")
    eventually(lambda: statuses(running, "changing").get("main", {}).get("ready"), 60)
    change = {"spec": {"containers": [{"name": "main", "image": "localhost/vk-other:1"}]}}
    running.client.patch(PODS, "changing", change, "default")
    eventually(lambda: statuses(running, "changing")["main"]["restartCount"] == 1, 60)
    eventually(lambda: statuses(running, "changing")["main"]["ready"], 60)


def test_pods_keep_their_status_while_the_engine_is_away(running, podman):
    running.client.create(PODS, pod("steady", container("sleep 1000")), "default")
    before = eventually(
        lambda: (item := statuses(running, "steady").get("main", {})).get("ready") and item, 60
    )
    podman.stop()
    try:
        with pytest.raises(Unavailable, match="cannot be reached"):
            running._provider.ping()  # three of these, and the node is not Ready
        assert running._provider.get_pod_status("default", "steady")["phase"] == "Running"
        assert status(running, "steady")["phase"] == "Running"
    finally:
        podman.start()
    running.client.create(PODS, pod("later", container("exit 0"), restartPolicy="Never"), "default")
    eventually(lambda: status(running, "later").get("phase") == "Succeeded", 60)
    assert statuses(running, "steady")["main"]["containerID"] == before["containerID"]
