"""What a snapshot costs, and that it is whole and true."""

from __future__ import annotations

import pytest
from support.azure.arm import GROUPS
from support.pods import make_pod

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.providers.azure import transport as transport_module
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SteppedClock

LIST = r"containerGroups\?"
SINGLE = r"containerGroups/[^/?]+\?"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(transport_module, "PAUSES", Backoff(initial=0.001, maximum=0.002))


@pytest.fixture
def many(arm, provider):
    def make(count, **how):
        provider.get_pods()
        pods = [make_pod(f"web-{number}", **how) for number in range(count)]
        for pod in pods:
            provider.create_pod(pod)
        arm.time.advance(10)
        return pods

    return make


def phases(pods):
    return {pod["metadata"]["name"]: pod["status"]["phase"] for pod in pods}


def test_every_page_of_a_list(arm, provider, many):
    arm.page_size = 7
    many(30)
    assert set(phases(provider.get_pods()).values()) == {"Running"}
    assert arm.count("GET", LIST) + arm.count("GET", r"skiptoken") >= 5


def test_one_page_that_fails_fails_the_list(arm, provider, many):
    arm.page_size = 7
    many(30)
    provider.get_pods()
    original = arm._list

    def second_page_fails(query):
        if "$skiptoken" in query:
            return 500, {}, {"error": {"code": "InternalServerError"}}
        return original(query)

    arm._list = second_page_fails
    with pytest.raises(Unavailable):
        provider.get_pods()


def test_groups_that_have_ended_are_not_read_again(arm, provider, many):
    many(10, restartPolicy="Never")
    for group in arm.groups.all():
        group.terminate("main")
    assert set(phases(provider.get_pods()).values()) == {"Succeeded"}
    reads = arm.count("GET", SINGLE)
    for _ in range(3):
        provider.get_pods()
    assert arm.count("GET", SINGLE) == reads


def test_the_budget_bounds_what_is_read(arm, make_provider):
    clock = SteppedClock()
    provider = make_provider(settings="ReadsPerMinute = 60\n", clock=clock)
    for number in range(400):
        arm.groups.put(f"g-{number}", body(number))
    arm.time.advance(10)
    for _ in range(20):
        pods = provider.get_pods()
        clock.advance(0.25)
    assert len(pods) == 400  # all of them, though not all have been looked into
    assert arm.count("GET") < 350  # of 8,000 that would be needed
    assert "Running" in phases(pods).values()


def body(number, node="vk"):
    return {
        "location": "westeurope",
        "tags": {"NodeName": node, "Namespace": "default", "PodName": f"p-{number}", "UID": f"u-{number}"},
        "properties": {
            "osType": "Linux",
            "containers": [
                {
                    "name": "main",
                    "properties": {"image": "i", "resources": {"requests": {"cpu": 1, "memoryInGB": 1}}},
                }
            ],
        },
    }


def test_after_a_restart_unread_groups_keep_what_the_api_server_holds(arm, make_provider, context):
    context.bound = [
        make_pod(f"p-{number}", uid=f"u-{number}", status={"phase": "Running"}) for number in range(300)
    ]
    for number in range(300):
        arm.groups.put(f"g-{number}", body(number))
    arm.time.advance(10)
    pods = make_provider(settings="ReadsPerMinute = 60\n").get_pods()
    assert set(phases(pods).values()) == {"Running"}


def test_a_list_that_shows_views_needs_no_reads(arm, provider, many):
    arm.list_shows_views = True
    many(10)
    assert set(phases(provider.get_pods()).values()) == {"Running"}
    assert arm.count("GET", SINGLE) == 0


def test_a_missing_instance_view_changes_nothing(arm, provider, many):
    many(1)
    assert phases(provider.get_pods()) == {"web-0": "Running"}
    arm.faults.add("no-instance-view", method="GET")
    assert phases(provider.get_pods()) == {"web-0": "Running"}


def test_a_group_that_shows_no_view_is_not_asked_without_pause(arm, make_provider):
    clock = SteppedClock()
    provider = make_provider(clock=clock)
    arm.groups.put("g-0", body(0))
    arm.time.advance(10)
    arm.faults.add("no-instance-view", method="GET")
    for _ in range(20):
        provider.get_pods()
        clock.advance(0.1)
    assert arm.count("GET", SINGLE) == 2  # at once, and after a second


def test_a_list_that_lags_behind_loses_nothing(arm, provider, many):
    many(3)
    arm.faults.add("stale-list", method="GET")
    for _ in range(5):
        assert len(provider.get_pods()) == 3


def test_a_group_that_vanished_is_gone(arm, provider, many):
    many(2)
    provider.get_pods()
    del arm.groups.groups[arm.of_pod("web-0").name]
    assert phases(provider.get_pods()) == {"web-1": "Running"}
    assert provider.get_pod("default", "web-0") is None


def test_a_group_that_vanished_is_gone_for_a_single_question_too(arm, provider, many):
    many(1)
    provider.get_pods()
    arm.groups.groups.clear()
    assert provider.get_pod("default", "web-0") is None


def test_a_resource_group_that_vanished_is_no_word_about_pods(arm, provider, many):
    many(1)
    provider.get_pods()
    arm.faults.add("404", path=GROUPS, code="ResourceGroupNotFound")
    with pytest.raises(Unavailable, match="ResourceGroupNotFound"):
        provider.get_pods()
    with pytest.raises(Unavailable):
        provider.get_pod("default", "web-0")


def test_leaks_of_a_crash_are_found_by_the_next_process(arm, many, make_provider):
    many(2)
    arm.groups.put("foreign", body(1, node="another"))
    found = make_provider().get_pods()
    assert sorted(phases(found)) == ["web-0", "web-1"]
    assert all(pod["metadata"]["uid"].startswith("uid-") for pod in found)


def test_restarts_are_reported(arm, provider, many):
    many(1)
    arm.of_pod("web-0").restart("main", exit_code=2)
    (pod,) = provider.get_pods()
    container = pod["status"]["containerStatuses"][0]
    assert (container["restartCount"], container["lastState"]["terminated"]["exitCode"]) == (1, 2)


def test_azures_events_are_told_once(arm, provider, many, context):
    many(1)
    arm.of_pod("web-0").event("Pulled", "pulled image")
    provider.get_pods()
    provider.get_pods()
    assert context.events == [("default/web-0", "Normal", "Pulled", "pulled image")]


def test_azures_old_events_are_not_told_again_after_a_restart(arm, provider, many, make_provider, context):
    many(1)
    arm.of_pod("web-0").event("Pulled", "pulled image")
    provider.get_pods()
    again = make_provider()
    again.get_pods()
    arm.of_pod("web-0").event("Killing", "liveness", "Warning")
    again.get_pods()
    assert context.reasons() == ["Pulled", "Killing"]


def test_a_deadline_ends_a_pod(arm, provider, context):
    pod = make_pod(activeDeadlineSeconds=60, status={"startTime": "2026-01-01T00:00:00Z"})
    context.bound = [pod]
    provider.create_pod(pod)
    arm.time.advance(10)
    for _ in range(2):
        (listed,) = provider.get_pods()
        assert (listed["status"]["phase"], listed["status"]["reason"]) == ("Failed", "DeadlineExceeded")
    assert arm.count("POST", "/stop") == 1
    assert context.reasons() == ["DeadlineExceeded"]


def test_whoever_reads_a_pod_that_is_being_stopped_sees_why_it_ended(arm, provider, context, monkeypatch):
    pod = make_pod(
        restartPolicy="Never", activeDeadlineSeconds=60, status={"startTime": "2026-01-01T00:00:00Z"}
    )
    context.bound = [pod]
    provider.create_pod(pod)
    arm.time.advance(10)
    stop, seen = Client.stop, []

    def stop_and_look(client, name):
        stop(client, name)
        arm.of_pod("web").terminate("main")  # with 0, as it was asked to
        seen.append(provider.get_pod("default", "web")["status"])

    monkeypatch.setattr(Client, "stop", stop_and_look)
    provider.get_pods()
    assert [(status["phase"], status["reason"]) for status in seen] == [("Failed", "DeadlineExceeded")]
    assert context.reasons() == ["DeadlineExceeded"]


def test_a_group_that_cannot_be_stopped_runs_and_is_told_of_once(arm, provider, context):
    pod = make_pod(activeDeadlineSeconds=60, status={"startTime": "2026-01-01T00:00:00Z"})
    context.bound = [pod]
    provider.create_pod(pod)
    arm.time.advance(10)
    arm.faults.add("500", path=r"/stop$")
    for _ in range(2):
        assert phases(provider.get_pods()) == {"web": "Running"}
    arm.faults.clear()
    assert phases(provider.get_pods()) == {"web": "Failed"}
    assert context.reasons() == ["DeadlineExceeded"]


@pytest.mark.parametrize(("after", "phase"), [(61, "Failed"), (59, "Succeeded")])
def test_a_deadline_that_an_agent_enforced_and_did_not_tell(arm, make_provider, context, after, phase):
    pod = make_pod(restartPolicy="Never", activeDeadlineSeconds=60)
    make_provider().create_pod(pod)
    arm.time.advance(after)
    status = {"phase": "Running", "startTime": "2026-01-01T00:00:00Z"}
    context.bound = [{**pod, "status": status}]
    arm.of_pod("web").terminate("main")
    assert phases(make_provider().get_pods()) == {"web": phase}
    assert context.reasons() == ["DeadlineExceeded"] * (phase == "Failed")
