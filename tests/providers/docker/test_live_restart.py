"""Agents are killed while containers of a real Podman start, crash and end; nothing is started twice or lost."""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
from collections import Counter

import pytest
from support.engine_node import Node, container, make_pod
from support.process_agent import Agent
from support.waiting import eventually

from virtual_kubelet.errors import NotFound
from virtual_kubelet.providers.docker.provider import create
from virtual_kubelet.providers.engine import labels

pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.mark.timeout(600)
def test_containers_under_agents_that_are_killed(podman, config_path, tmp_path):
    chance = random.Random(3)
    forever = [make_pod(container("echo start; exec sleep 1000"), name=f"long-{n}") for n in range(4)]
    ending = [make_pod(container(f"echo start; exit {n}"), name=f"short-{n}") for n in range(4)]
    again = make_pod(container("echo start; exit 1"), name="crash", restartPolicy="Always")
    doomed = [make_pod(container("echo start; exec sleep 1000"), name=f"doomed-{n}") for n in range(3)]
    pods = [*forever, *ending, again, *doomed]
    chance.shuffle(pods)
    state = tmp_path / "state"
    for count in range(5):
        agent = Agent(state, pods[: 3 * (count + 1)], wait=count % 2 == 0, docker=config_path)
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.process.wait(chance.uniform(0.5, 4))
        agent.kill()
    node = Node(create, state, config_path)
    node.context.api_pods = pods
    try:
        eventually(node.ready, 60)
        for pod in pods:
            node.provider.create_pod(pod)
        for pod in doomed:
            with contextlib.suppress(NotFound):
                node.delete(pod, grace=1)
        for pod in forever:
            node.wait_state(pod, "running", timeout=120)
        for pod in ending:
            eventually(lambda pod=pod: node.phase(pod) in {"Succeeded", "Failed"}, 120)
            assert node.state(pod)["terminated"]["exitCode"] == int(pod["metadata"]["name"][6:])
        for pod in doomed:
            eventually(lambda pod=pod: node.over(pod), 120)
        eventually(lambda: node.containers(again)["c"]["restartCount"] > 0, 120)
        wanted = Counter(pod["metadata"]["name"] for pod in forever)
        eventually(
            lambda: Counter(name for name, running in members(podman) if running) == wanted,
            120,
            "none twice, none lost, none leaked",
        )
        begun = Counter(name for name, _ in members(podman))
        assert all(begun[pod["metadata"]["name"]] == 1 for pod in [*forever, *ending]), begun
        for pod in [*forever, *ending]:
            assert node.logs(pod) == "start\n"
    finally:
        node.purge()
        node.close()


def members(podman):
    """Return (name of the pod, whether it runs) of each container that is a pod's own."""
    listed = podman.run(
        "ps", "--all", "--format", "json", "--filter", f"label={labels.KIND}={labels.CONTAINER}"
    )
    found = json.loads(listed.stdout or "[]") or []
    return [(item["Labels"]["io.kubernetes.pod.name"], item["State"] == "running") for item in found]
