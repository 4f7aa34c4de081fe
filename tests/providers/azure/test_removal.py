from __future__ import annotations

import pytest
from support.pods import make_pod
from support.waiting import eventually

from virtual_kubelet.errors import NotFound, Unauthorized
from virtual_kubelet.providers.azure import removal
from virtual_kubelet.providers.azure import transport as transport_module
from virtual_kubelet.pure.backoff import Backoff

QUICK = Backoff(initial=0.01, maximum=0.05)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(removal, "PAUSES", QUICK)
    monkeypatch.setattr(removal, "CHECK_AFTER", 0.1)
    monkeypatch.setattr(transport_module, "PAUSES", QUICK)


@pytest.fixture
def running(arm, make_provider):
    provider = make_provider()
    pod = make_pod()
    provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    return provider, pod


def test_a_removal_that_is_refused_is_pursued(arm, running, context):
    provider, pod = running
    fault = arm.faults.add("409", method="DELETE", code="ContainerGroupTransitioning", times=3)
    provider.delete_pod(pod)
    assert "RemovalDelayed" in context.reasons()
    eventually(lambda: fault.seen == 3 and arm.of_pod("web").gone_at)
    arm.time.advance(10)
    eventually(lambda: provider.get_pod("default", "web") is None)


def test_a_removal_before_the_group_has_come_up(arm, provider):
    pod = make_pod()
    provider.create_pod(pod)
    provider.delete_pod(pod)
    assert provider.get_pod("default", "web") is not None
    arm.time.advance(5)
    eventually(lambda: arm.of_pod("web").gone_at)
    arm.time.advance(5)
    eventually(lambda: not arm.groups.all())
    assert provider.get_pods() == []


def test_a_removal_that_was_taken_and_forgotten_is_asked_for_again(arm, running):
    provider, pod = running
    arm.faults.add("delete-ignored", method="DELETE", times=2)
    provider.delete_pod(pod)
    eventually(lambda: arm.count("DELETE") >= 3)
    arm.time.advance(10)
    eventually(lambda: provider.get_pod("default", "web") is None)


@pytest.mark.parametrize("kind", ["503-after", "cut-after", "404-after", "503", "cut", "html"])
def test_answers_that_say_nothing(arm, running, kind):
    provider, pod = running
    arm.faults.add(kind, method="DELETE", times=1)
    try:
        provider.delete_pod(pod)
    except NotFound:
        assert kind == "404-after"
    eventually(lambda: arm.of_pod("web").gone_at)
    arm.time.advance(10)
    eventually(lambda: not provider.get_pods())


def test_arm_away_for_long(arm, running):
    provider, pod = running
    fault = arm.faults.add("503", method="DELETE")
    provider.delete_pod(pod)
    eventually(lambda: fault.seen > 6)
    fault.times = 0
    eventually(lambda: arm.of_pod("web").gone_at)


def test_told_twice_it_is_asked_for_once(arm, running, monkeypatch):
    monkeypatch.setattr(removal, "CHECK_AFTER", 600.0)  # not a third time, by who pursues it
    provider, pod = running
    provider.delete_pod(pod)
    provider.delete_pod(pod)
    assert arm.count("DELETE") == 1


def test_no_right_to_remove_is_said(arm, running):
    provider, pod = running
    arm.faults.add("401", method="DELETE")
    with pytest.raises(Unauthorized):
        provider.delete_pod(pod)


def test_what_is_not_there_or_not_ours_is_not_found(arm, running, make_provider):
    provider, pod = running
    with pytest.raises(NotFound):
        provider.delete_pod(make_pod("another"))
    arm.of_pod("web").body["tags"]["NodeName"] = "another"
    with pytest.raises(NotFound):
        make_provider().delete_pod(pod)
    assert arm.count("DELETE") == 0


def test_many_removals_share_a_list(arm, provider):
    pods = [make_pod(f"web-{number}") for number in range(30)]
    for pod in pods:
        provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    for pod in pods:
        provider.delete_pod(pod)
    reads = arm.count("GET")
    for pod in pods:
        provider.get_pod("default", pod["metadata"]["name"])
    assert arm.count("GET") - reads < 5


def test_purge_also_after_close(arm, running):
    provider, _ = running
    arm.groups.put("foreign", {**arm.bodies[0], "tags": {"NodeName": "another"}})
    arm.groups.delete_seconds = 0
    arm.time.advance(10)
    provider.close(1)
    provider.purge()
    assert [group.name for group in arm.groups.all()] == ["foreign"]
