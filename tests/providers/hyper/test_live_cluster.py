"""Signed requests to real containers: agent, embedded control plane, kubectl, and Podman behind the proxy."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request

import pytest
from support.engine_node import cluster
from support.exec_io import FakeIO
from support.kubectl import kubectl
from support.podman import IMAGE
from support.waiting import eventually

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.errors import Unauthorized
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.provider import TerminalSize
from virtual_kubelet.providers.engine.client import Client
from virtual_kubelet.providers.engine.endpoint import parse
from virtual_kubelet.providers.hyper.auth import HyperAuth
from virtual_kubelet.providers.hyper.provider import create
from virtual_kubelet.providers.hyper.signing import Keys
from virtual_kubelet.runtime.clock import SYSTEM, SteppedClock

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def running(podman, config_path):
    with cluster(create, config_path) as found:
        yield found


def pod(name, *containers, **spec):
    metadata = {"name": name, **spec.pop("metadata", {})}
    grace = {"terminationGracePeriodSeconds": 2}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**grace, "containers": list(containers), **spec},
    }


def container(script, name="main", **fields):
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def status(found, name):
    return found.client.get(PODS, name, "default")["status"]


def statuses(found, name):
    return {item["name"]: item for item in status(found, name).get("containerStatuses") or ()}


def test_a_pods_life_with_kubectl(running, podman, proxy, tmp_path):
    kube = kubectl(running.control_plane, tmp_path)
    script = "echo begun; trap 'echo ended; exit 0' TERM; while true; do sleep 0.1; done"
    kube("create", "-f", "-", stdin=json.dumps(pod("web", container(script))))
    kube("wait", "--for=condition=Ready", "pod/web", "--timeout=60s")
    follower = kube.start("logs", "-f", "web")
    assert follower.stdout.readline() == "begun\n"
    done = kube.run("exec", "web", "--", "sh", "-c", "echo out; exit 7")
    assert (done.stdout, done.returncode) == ("out\n", 7)
    address = podman.run(
        "inspect", "--format", "{{.NetworkSettings.IPAddress}}", podman.run("ps", "-q").stdout.strip()
    )
    assert status(running, "web")["podIP"] == address.stdout.strip()
    podman.run("tag", IMAGE, "localhost/vk-other:1")
    running.client.patch(
        PODS, "web", {"spec": {"containers": [{"name": "main", "image": "localhost/vk-other:1"}]}}, "default"
    )
    eventually(lambda: statuses(running, "web")["main"]["restartCount"] == 1, 60)
    follower.communicate(timeout=30)
    kube("delete", "pod", "web", "--timeout=60s")
    assert not proxy.refused


def test_looking_into_a_pod_with_kubectl(running, tmp_path):
    kube = kubectl(running.control_plane, tmp_path)
    www = "mkdir -p /www; echo answer > /www/a; httpd -p 8080 -h /www"
    script = f"{www}; echo one; echo two >&2; until [ -e /go ]; do sleep 0.1; done; echo three; while read line; do echo got $line; done; exec sleep 1000"
    kube("create", "-f", "-", stdin=json.dumps(pod("look", container(script, stdin=True))))
    kube("wait", "--for=condition=Ready", "pod/look", "--timeout=60s")
    eventually(lambda: kube.run("logs", "look").stdout.count("\n") == 2)  # of two streams, in any order
    kube("exec", "look", "--", "touch", "/go")
    eventually(lambda: kube("logs", "look").count("\n") == 3)
    assert kube("logs", "look", "--tail=1") == "three\n"
    assert kube("logs", "look", "--tail=0") == ""
    assert kube("logs", "look", "--limit-bytes=2") in {"on", "tw"}
    assert kube("logs", "look", "--since=1h").count("\n") == 3
    assert kube("logs", "look", "--since-time=2100-01-01T00:00:00Z") == ""
    assert kube("logs", "look", "--timestamps", "--tail=1").endswith("Z three\n")
    done = kube.run("exec", "-i", "look", "--", "sh", "-c", "cat; exit 4", stdin="typed")
    assert (done.stdout, done.returncode) == ("typed", 4)
    assert kube.run("exec", "look", "--", "nosuch").returncode == 127
    attached = kube.start("attach", "-i", "look", stdin=subprocess.PIPE)
    attached.stdin.write("this\n")
    attached.stdin.flush()
    assert attached.stdout.readline() == "got this\n"
    attached.kill()
    attached.communicate()
    summary = json.loads(kube("get", "--raw", "/api/v1/nodes/engine/proxy/stats/summary"))
    assert [item["podRef"]["name"] for item in summary["pods"]] == ["look"]
    eventually(lambda: "look" in kube.run("top", "pod", "--no-headers").stdout, 30)
    forward = kube.start("port-forward", "pod/look", ":8080")
    try:
        port = int(re.search(r":(\d+) ->", forward.stdout.readline())[1])
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/a", timeout=60) as answer:
            assert answer.read() == b"answer\n"
    finally:
        forward.kill()
        forward.communicate()
    kube("delete", "pod", "look", "--timeout=60s")


def test_a_terminal(running):
    running.client.create(PODS, pod("term", container("exec sleep 1000")), "default")
    eventually(lambda: status(running, "term").get("phase") == "Running", 60)
    uid = running.client.get(PODS, "term", "default")["metadata"]["uid"]
    io = FakeIO(stdin=True, tty=True)
    io.resize(TerminalSize(width=111, height=44))
    script = 'until [ "$(stty size)" = "44 111" ]; do sleep 0.05; done; tty; exit 5'
    code = running._provider.exec_in_container("default", "term", uid, "main", ["sh", "-c", script], io)
    io.resize(None)
    assert (code, b"/dev/pts" in io.out) == (5, True)
    io.close()


def test_the_log_of_the_attempt_before(running, tmp_path):
    kube = kubectl(running.control_plane, tmp_path)
    running.client.create(PODS, pod("again", container("echo attempt; exit 1")), "default")
    eventually(lambda: statuses(running, "again").get("main", {}).get("restartCount", 0) >= 1, 60)
    assert kube("logs", "again", "--previous") == "attempt\n"


def test_three_containers_of_which_one_fails(running):
    three = (container("sleep 1000", "one"), container("sleep 1000", "two"), container("exit 3", "failing"))
    running.client.create(PODS, pod("three", *three), "default")
    found = eventually(
        lambda: (
            (items := statuses(running, "three")).get("failing", {}).get("restartCount", 0) >= 1 and items
        ),
        60,
    )
    assert found["one"]["restartCount"] == found["two"]["restartCount"] == 0


def test_another_agent_adopts_what_runs_and_volumes_are_shared(running):
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    containers = (
        container("echo x > /data/x; sleep 1000", "one", **mount),
        container("cat /data/x; sleep 1000", "two", **mount),
    )
    running.client.create(
        PODS, pod("kept", *containers, volumes=[{"name": "data", "emptyDir": {}}]), "default"
    )
    before = eventually(
        lambda: (items := statuses(running, "kept")).get("two", {}).get("ready") and items, 60
    )
    running.agent.stop(10)
    provider = running.make_provider(running.made[0])
    agent = VirtualKubelet(running.made[0], provider)
    running._agent, running._provider = agent, provider
    agent.start()
    agent.wait_ready(30)
    running.client.create(PODS, pod("after", container("exit 0"), restartPolicy="Never"), "default")
    eventually(lambda: status(running, "after").get("phase") == "Succeeded", 60)
    after = statuses(running, "kept")
    assert {k: v["containerID"] for k, v in before.items()} == {k: v["containerID"] for k, v in after.items()}


def test_pods_of_daemonsets_say_why_they_do_not_run(running):
    owner = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d", "uid": "u", "controller": True}
    wanted = pod("daemon", container("sleep 1"), metadata={"ownerReferences": [owner]}, nodeName="engine")
    running.client.create(PODS, wanted, "default")

    def reasons():
        found = status(running, "daemon")
        states = [item["state"].get("waiting") or {} for item in found.get("containerStatuses") or ()]
        return " ".join([found.get("message", ""), *(state.get("message", "") for state in states)])

    eventually(lambda: "DaemonSet" in reasons())


@pytest.mark.parametrize(
    ("keys", "skew"),
    [(Keys("AKID", "WRONG", "us-west-1"), 0), (Keys("AKID", "SECRET", "eu-central-1"), 0), (Keys("AKID", "SECRET", "us-west-1"), 360)],
)  # fmt: skip
def test_the_proxy_refuses_what_is_signed_otherwise(proxy, keys, skew):
    before = len(proxy.refused)
    client = Client(
        parse(f"tcp://127.0.0.1:{proxy.port}"),
        version="1.23",
        auth=HyperAuth(keys, SteppedClock(SYSTEM.now() + skew)),
    )
    with pytest.raises(Unauthorized):
        client.json("GET", "/info")
    client.close()
    assert len(proxy.refused) > before
    proxy.refused.clear()
