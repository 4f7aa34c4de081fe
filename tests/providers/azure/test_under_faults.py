"""Five hundred pods through a whole agent while one in ten of Azure's answers is bad, in every way it knows."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.azure.arm import FakeArm
from support.azure.server import SILENCE
from support.pods import make_pod

from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure import removal, transport
from virtual_kubelet.providers.azure.provider import create
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.testing.cluster import DevCluster

COUNT = 500
SHARE = 0.1
HANG = 400.0  # seconds in which every stage must end on the slowest of machines; they take about ten on an idle one
LOOK = 20.0  # seconds of the fake's time that pass with each look
FAULTS = ("429", "503", "500", "html", "cut", "503-after", "cut-after", "500-after", "garbage")
SOON = {"429": "0.05"}  # its Retry-After
# Refusals of single creations that pass: status and code.
PASSING = (
    ("409", "ServiceUnavailable"),
    ("409", "ContainerGroupQuotaReached"),
    ("409", "ResourceNotAvailable"),
    ("400", "InaccessibleImage"),
    ("429", "RetryableError"),
)


def add_faults(arm):
    """Each kind of bad answer, one in ten in all, and the bad manners that only some calls have."""
    for kind in FAULTS:
        arm.faults.add(kind, probability=SHARE / len(FAULTS), retry_after=SOON.get(kind))
    arm.faults.add("409", method="DELETE", code="ContainerGroupTransitioning", probability=SHARE / 2)
    arm.faults.add("404-after", method="DELETE", probability=SHARE / 5)
    arm.faults.add("delete-ignored", method="DELETE", probability=SHARE / 5)
    arm.faults.add("no-instance-view", method="GET", probability=SHARE)
    arm.faults.add("stale-list", method="GET", probability=SHARE)
    arm.faults.add("silence-after", method="PUT", probability=SHARE / 50)
    for kind, code in PASSING:
        share = SHARE / 5 / len(PASSING)
        arm.faults.add(kind, method="PUT", code=code, probability=share, retry_after=SOON.get(kind))
    return arm.faults.add(
        "provisioning-fails",
        method="PUT",
        code="ServiceUnavailable",
        message="no room",
        probability=SHARE / 5,
    )


@pytest.fixture
def arm():
    with FakeArm(start_seconds=10, delete_seconds=5, page_size=120) as fake:
        yield fake


@pytest.fixture
def cluster(arm, tmp_path, monkeypatch):
    monkeypatch.setattr(removal, "PAUSES", Backoff(initial=0.1, maximum=1))
    monkeypatch.setattr(removal, "CHECK_AFTER", 3.0)
    monkeypatch.setattr("virtual_kubelet.providers.azure.creation.NO_ROOM_PAUSE", 2.0)
    monkeypatch.setattr("virtual_kubelet.providers.azure.transport.REFUSED_PAUSE", 2.0)
    monkeypatch.setattr("virtual_kubelet.node.provider_calls.BUDGET", 1.5)
    monkeypatch.setattr(transport, "TIMEOUT", (5.0, SILENCE / 2))
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
        arm.faults.clear()  # the purge that ends it all asks three times, and all three may meet a fault


def for_each(work, items):
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, items))


def pods_of(cluster):
    return {pod["metadata"]["name"]: pod for pod in cluster.client.list(PODS, "default")["items"]}


def azure_has(arm, image):
    """Tell whether Azure has one group for each pod, with this image."""
    groups = arm.groups.all()
    names = {group.body["tags"]["PodName"] for group in groups}
    images = {group.containers[0]["properties"]["image"] for group in groups}
    return len(groups) == len(names) == COUNT and images == {image}


def all_is_right(arm, cluster, image):
    """Tell whether every pod is Running, with its image, and Azure has one group for each."""
    if not azure_has(arm, image):
        return False  # cheaper to know than five hundred pods are to list
    pods = pods_of(cluster)
    if len(pods) != COUNT or any(pod["status"].get("phase") != "Running" for pod in pods.values()):
        return False
    if any(pod["status"]["containerStatuses"][0]["image"] != image for pod in pods.values()):
        return False
    return {group.body["tags"]["UID"] for group in arm.groups.all()} == {
        pod["metadata"]["uid"] for pod in pods.values()
    }


def told(arm, cluster):
    """What a failure of this test should show."""
    found = {}
    for name, pod in pods_of(cluster).items():
        status = pod["status"]
        image = [item["image"] for item in status.get("containerStatuses", [])]
        found.setdefault((status.get("phase"), status.get("message"), *image), []).append(name)
    pods = "; ".join(f"{len(names)} {what}, as {names[0]}" for what, names in found.items())
    return f"{pods}; {len(arm.groups.all())} groups, {arm.faults.injected} faults"


def wait_for(predicate, arm, cluster):
    """Look until it is so, and seldom, for looks are not cheap; Azure's time goes on with each of them."""
    deadline, pause = time.monotonic() + HANG, threading.Event()
    while not predicate():
        assert time.monotonic() < deadline, told(arm, cluster)
        arm.time.advance(LOOK)
        pause.wait(1.0)


@pytest.mark.slow
@pytest.mark.timeout(4 * HANG)
def test_nothing_leaks_nothing_doubles_and_every_status_is_right(arm, cluster):
    names = [f"web-{number}" for number in range(COUNT)]
    no_room = add_faults(arm)

    def begin(name):
        pod = make_pod(name, node="aci", restartPolicy="Always", terminationGracePeriodSeconds=120)
        for key in ("uid", "resourceVersion", "generation", "creationTimestamp"):
            pod["metadata"].pop(key)
        pod.pop("status")
        cluster.client.create(PODS, pod, "default")

    for_each(begin, names)
    wait_for(lambda: all_is_right(arm, cluster, "busybox:1"), arm, cluster)
    assert len(arm.groups.created) == len(set(arm.groups.created)) == COUNT

    no_room.probability = 0  # an update for which there is no room ends what ran, and so the pod

    def change(name):
        body = {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}}
        cluster.client.patch(PODS, name, body, "default")

    for_each(change, names)
    wait_for(lambda: all_is_right(arm, cluster, "busybox:2"), arm, cluster)

    for_each(lambda name: cluster.client.delete(PODS, name, "default"), names)
    wait_for(lambda: not arm.groups.all() and not pods_of(cluster), arm, cluster)
    assert len(arm.groups.created) == COUNT
    assert arm.faults.injected > COUNT * 3 * SHARE
