"""One life of a pod, however Azure writes its answers."""

from __future__ import annotations

import pytest
from support.azure import manners
from support.azure.io import FakeIO
from support.pods import make_pod

from virtual_kubelet.errors import NotFound


@pytest.fixture(params=["plain", "other", "other, silent"])
def arm(arm, request):
    if "other" in request.param:
        arm.manners = manners.other
    arm.shows_what_it_took = "silent" not in request.param
    return arm


def test_a_life(arm, provider, context):
    port = {"name": "main", "image": "busybox:1", "ports": [{"containerPort": 80}]}
    pod = make_pod(containers=[port], initContainers=[{"name": "init", "image": "i", "command": ["true"]}])
    context.bound = [pod]
    assert provider.get_pods() == []
    provider.create_pod(pod)
    provider.create_pod(pod)
    assert [listed["status"]["phase"] for listed in provider.get_pods()] == ["Pending"]

    arm.time.advance(10)
    (listed,) = provider.get_pods()
    status = listed["status"]
    assert (status["phase"], status["podIP"]) == ("Running", arm.of_pod("web").ip)
    assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": "2026-01-01T00:00:04Z"}}
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    io = FakeIO()
    assert (
        provider.exec_in_container("default", "web", pod["metadata"]["uid"], "main", ["echo", "x"], io) == 0
    )
    assert io.output == b"x\n"

    changed = {**pod, "spec": {**pod["spec"], "containers": [{**port, "image": "busybox:2"}]}}
    provider.update_pod(changed)
    provider.update_pod(changed)
    arm.time.advance(10)
    (listed,) = provider.get_pods()
    assert listed["status"]["containerStatuses"][0]["image"] == "busybox:2"
    assert context.reasons() == ["Updating"]

    arm.of_pod("web").terminate("main", exit_code=3)
    ended = provider.get_pod_status("default", "web")["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")

    provider.delete_pod(pod)
    arm.time.advance(10)
    assert provider.get_pods() == []
    with pytest.raises(NotFound):
        provider.delete_pod(pod)
    assert len(arm.groups.created) == 1
