"""Five hundred pods through a whole agent while one in ten of Azure's answers is bad, in every way it knows."""

from __future__ import annotations

import threading
import time

import pytest
from support.azure.arm import FakeArm
from support.pods import make_pod

from virtual_kubelet.errors import ApiError
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure import removal
from virtual_kubelet.providers.azure.provider import create
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.testing.cluster import DevCluster

COUNT = 500
SHARE = 0.1
FAULTS = ("429", "503", "500", "html", "cut", "503-after", "cut-after", "500-after", "garbage")


def add_faults(arm):
    """Each kind of bad answer, one in ten in all, and the bad manners that only some calls have."""
    for kind in FAULTS:
        arm.faults.add(kind, probability=SHARE / len(FAULTS), retry_after="0.05" if kind == "429" else None)
    arm.faults.add("409", method="DELETE", code="ContainerGroupTransitioning", probability=SHARE / 2)
    arm.faults.add("404-after", method="DELETE", probability=SHARE / 5)
    arm.faults.add("delete-ignored", method="DELETE", probability=SHARE / 5)
    arm.faults.add("no-instance-view", method="GET", probability=SHARE)
    arm.faults.add("stale-list", method="GET", probability=SHARE)
    arm.faults.add("409", method="PUT", code="ServiceUnavailable", probability=SHARE / 5)
    return arm.faults.add(
        "provisioning-fails",
        method="PUT",
        code="ServiceUnavailable",
        message="no room",
        probability=SHARE / 5,
    )


@pytest.fixture
def arm():
    with FakeArm(speed=20, start_seconds=10, delete_seconds=5, page_size=120) as fake:
        yield fake


@pytest.fixture
def cluster(arm, tmp_path, monkeypatch):
    monkeypatch.setattr(removal, "PAUSES", Backoff(initial=0.1, maximum=1))
    monkeypatch.setattr(removal, "CHECK_AFTER", 3.0)
    monkeypatch.setattr("virtual_kubelet.providers.azure.creation.NO_ROOM_PAUSE", 2.0)
    monkeypatch.setattr("virtual_kubelet.node.provider_calls.BUDGET", 1.5)
    settings = tmp_path / "azure.toml"
    settings.write_text("ReadsPerMinute = 6000\n")

    def make(given):
        return create(
            ProviderConfig(
                node_name=given.node_name,
                config_path=str(settings),
                environ=arm.environ(tmp_path / "auth.json"),
            )
        )

    with DevCluster(make, node_name="aci", provider_sync_period=2, pod_sync_workers=20) as running:
        yield running


def in_parallel(work, items, threads=4):
    parts = [items[number::threads] for number in range(threads)]
    started = [
        spawn(lambda part=part: [work(item) for item in part], name=f"test-{number}")
        for number, part in enumerate(parts)
    ]
    for thread in started:
        thread.join(60)


def pods_of(cluster):
    return {pod["metadata"]["name"]: pod for pod in cluster.client.list(PODS, "default")["items"]}


def api_is_right(arm, cluster, image):
    """Tell whether every pod is Running, with its image, and Azure has one group for each."""
    pods = pods_of(cluster)
    if len(pods) != COUNT or any(pod["status"].get("phase") != "Running" for pod in pods.values()):
        return False
    if any(pod["status"]["containerStatuses"][0]["image"] != image for pod in pods.values()):
        return False
    groups = arm.groups.all()
    return sorted(group.body["tags"]["UID"] for group in groups) == sorted(
        pod["metadata"]["uid"] for pod in pods.values()
    ) and all(group.containers[0]["properties"]["image"] == image for group in groups)


def told(arm, cluster):
    """What a failure of this test should show."""
    pods = pods_of(cluster)
    phases = {}
    for pod in pods.values():
        phases.setdefault(pod["status"].get("phase"), []).append(pod["metadata"]["name"])
    counts = {phase: len(names) for phase, names in phases.items()}
    return f"{counts}, {len(arm.groups.all())} groups, {arm.faults.injected} faults"


def wait_for(predicate, arm, cluster, seconds):
    """Wait, and look seldom: each look lists five hundred pods."""
    deadline, pause = time.monotonic() + seconds, threading.Event()
    while not predicate():
        assert time.monotonic() < deadline, told(arm, cluster)
        pause.wait(1.0)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_nothing_leaks_nothing_doubles_and_every_status_is_right(arm, cluster):
    names = [f"web-{number}" for number in range(COUNT)]
    no_room = add_faults(arm)

    def begin(name):
        pod = make_pod(name, node="aci", restartPolicy="Always", terminationGracePeriodSeconds=120)
        for key in ("uid", "resourceVersion", "generation", "creationTimestamp"):
            pod["metadata"].pop(key)
        pod.pop("status")
        cluster.client.create(PODS, pod, "default")

    in_parallel(begin, names)
    wait_for(lambda: api_is_right(arm, cluster, "busybox:1"), arm, cluster, 100)
    assert len(arm.groups.created) == len(set(arm.groups.created)) == COUNT

    no_room.probability = 0  # an update for which there is no room ends what ran, and so the pod

    def change(name):
        body = {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}
        cluster.client.patch(PODS, name, body, "default")

    in_parallel(change, names)
    wait_for(lambda: api_is_right(arm, cluster, "busybox:2"), arm, cluster, 60)

    def end(name):
        try:
            cluster.client.delete(PODS, name, "default")
        except ApiError as error:
            raise AssertionError(f"{name}: {error}") from error

    in_parallel(end, names)
    wait_for(lambda: not pods_of(cluster), arm, cluster, 100)
    wait_for(lambda: not arm.groups.all(), arm, cluster, 60)
    assert arm.faults.injected > COUNT * 3 * SHARE
