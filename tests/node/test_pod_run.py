"""What is reported of pods that run, and what of their changes reaches the provider."""

from __future__ import annotations

import pytest
from support.podnode import PodNode
from support.provider import PushingProvider
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotSupported, ProviderError, Unavailable
from virtual_kubelet.runtime.threads import Deadline


def conditions(pod):
    return {c["type"]: c["status"] for c in pod["status"]["conditions"]}


@pytest.fixture
def running(node):
    node.apply()
    node.wait_phase("Running")
    return node


# --- changes


def test_changes_reach_the_provider_once(running, provider):
    running.patch("web", {"metadata": {"labels": {"a": "1"}}})
    eventually(lambda: provider.count("update_pod") == 1)
    assert provider.last("update_pod")["metadata"]["labels"] == {"a": "1"}
    running.settled()
    running.patch("web", {"status": {"conditions": [{"type": "x/y", "status": "True"}]}}, "/status")
    running.settled()
    assert provider.count("update_pod") == 1
    assert running.events.reasons() == ["ProviderCreateSuccess", "ProviderUpdateSuccess"]


def test_a_failed_change_leaves_a_running_pod_running(running, provider):
    provider.fail("update_pod", *[ProviderError("busy")] * 3)
    running.patch("web", {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}})
    eventually(lambda: "ProviderUpdateSuccess" in running.events.reasons())
    assert provider.count("update_pod") == 4
    assert running.events.messages("ProviderUpdateFailed") == ["busy"]
    assert running.phase() == "Running"


@pytest.mark.parametrize("error", [InvalidInput("cannot grow"), NotSupported("never")])
def test_a_change_that_cannot_be_is_tried_once(running, provider, error):
    provider.fail("update_pod", error)
    running.patch("web", {"metadata": {"labels": {"a": "1"}}})
    eventually(lambda: provider.count("update_pod") == 1)
    running.patch("web", {"status": {"conditions": [{"type": "x/y", "status": "True"}]}}, "/status")
    running.settled()
    assert provider.count("update_pod") == 1
    assert running.phase() == "Running"


# --- status


def test_finished_pods_are_reported_and_kept(node, provider):
    node.apply(restartPolicy="Never")
    node.wait_phase("Running")
    state = {"terminated": {"exitCode": 3, "reason": "Error"}}
    provider.set_status("web", {"containerStatuses": [{"name": "main", "state": state}]})
    pod = node.wait_phase("Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 3
    node.settled()
    assert provider.count("delete_pod") == 0


def test_what_others_write_stays(node, provider):
    node.apply(readinessGates=[{"conditionType": "x/ready"}])
    pod = node.wait_phase("Running")
    assert conditions(pod)["Ready"] == "False"
    node.patch("web", {"status": {"conditions": [{"type": "x/ready", "status": "True"}]}}, "/status")
    eventually(lambda: conditions(node.get())["Ready"] == "True")
    provider.set_status("web", {"phase": "Running", "podIP": "10.1.0.5"})
    pod = eventually(lambda: (p := node.get())["status"].get("podIP") and p)
    assert conditions(pod)["x/ready"] == "True"


def test_a_status_that_somebody_spoilt_is_mended(running):
    running.patch("web", {"status": {"phase": "Pending"}}, "/status")
    running.wait_phase("Running")


def test_addresses_are_replaced_and_removed(running, provider):
    for addresses in (["10.1.0.5"], ["10.1.0.6"], []):
        provider.set_status("web", {"phase": "Running", "podIPs": [{"ip": ip} for ip in addresses]})
        eventually(lambda: [i["ip"] for i in running.get()["status"].get("podIPs", [])] == addresses)  # noqa: B023


def test_an_invalid_status_is_said_once(running, provider):
    provider.set_status("web", {"phase": "Running", "podIP": "not an address"})
    eventually(lambda: "FailedStatusUpdate" in running.events.reasons())
    running.patch("web", {"metadata": {"labels": {"a": "1"}}})
    eventually(lambda: provider.count("update_pod") == 1)
    running.settled()
    assert running.events.reasons().count("FailedStatusUpdate") == 1
    provider.set_status("web", {"phase": "Running", "podIP": "10.1.0.5"})
    eventually(lambda: running.get()["status"].get("podIP") == "10.1.0.5")


def test_a_pod_that_is_over_for_the_api_server_is_stopped(running, provider):
    running.patch("web", {"status": {"phase": "Failed", "reason": "Evicted"}}, "/status")
    eventually(lambda: not provider.pods)
    assert running.get()["status"]["reason"] == "Evicted"
    assert provider.count("delete_pod") == 1


# --- trouble with the API server


def test_a_status_is_written_when_the_api_server_is_back(running, provider, plane):
    plane.faults.fail(500, times=3, verb="patch", resource="pods")
    provider.set_status("web", {"phase": "Running", "podIP": "10.1.0.5"})
    eventually(lambda: running.get()["status"].get("podIP") == "10.1.0.5")


def test_a_lost_answer_does_no_harm(running, provider, plane):
    plane.faults.lose(verb="patch", resource="pods", done=True)
    provider.set_status("web", {"phase": "Running", "podIP": "10.1.0.5"})
    eventually(lambda: running.get()["status"].get("podIP") == "10.1.0.5")
    running.settled()


def test_a_pod_that_was_replaced_gets_no_status_of_the_old_one(running, provider, plane):
    plane.faults.drop_watches("pods")
    provider.set_status("web", {"phase": "Running", "podIP": "10.1.0.5"})
    eventually(lambda: running.get()["status"].get("podIP") == "10.1.0.5")


def test_a_pod_whose_name_belongs_to_another_gets_no_status(node, provider, plane):
    """The store is behind: the patch carries the old UID, which the API server refuses."""
    old = node.apply()
    node.wait_phase("Running")
    node.settled()
    node.informer.stop(Deadline(5))
    node.delete(grace=0)
    new = node.apply()
    provider.set_status("web", {"phase": "Running", "podIP": "10.1.0.5"})
    refused = 'virtual_kubelet_pod_status_patches_total{result="conflict"} 1.0'
    eventually(lambda: refused in node.metrics.render().decode())
    held = node.get()
    assert held["metadata"]["uid"] == new["metadata"]["uid"] != old["metadata"]["uid"]
    assert "podIP" not in held["status"]


def test_a_provider_that_only_says_ask_me_is_asked(plane, tmp_path):
    provider = PushingProvider()
    with PodNode(plane, provider, tmp_path, sync_period=60) as node:
        pod = node.apply()
        node.wait_phase("Running")
        with provider.lock:
            (held,) = provider.pods.values()
            held["status"] = {"phase": "Running", "podIP": "10.1.0.5"}
        provider.callback("default", "web", pod["metadata"]["uid"], None)
        eventually(lambda: node.get()["status"].get("podIP") == "10.1.0.5")


def test_a_server_that_drops_part_of_a_status_is_not_asked_for_ever(node, provider, plane):
    node.apply()
    node.wait_phase("Running")
    provider.set_status("web", {"phase": "Running", "notAField": "x"})
    second = 'virtual_kubelet_pod_status_patches_total{result="ok"} 2.0'
    eventually(lambda: second in node.metrics.render().decode())  # a provider that is polled is heard later
    with node.writes() as writes:
        for number in range(3):
            provider.set_status("web", {"phase": "Running", "notAField": "x", "podIP": f"10.1.0.{number}"})
            eventually(lambda: node.get()["status"].get("podIP") == f"10.1.0.{number}")  # noqa: B023
        for name in node.informer.store.keys():  # noqa: SIM118
            node.pods.look_at(name)
    assert len(writes) == 3


class Asking(PushingProvider):
    """Pushes no status: it wants to be asked."""

    def changed(self, pod):
        if self.callback is not None:
            self.callback(*self.key(pod), None)


@pytest.fixture
def asking(plane, tmp_path):
    with PodNode(plane, Asking(), tmp_path) as node:
        node.listed()
        yield node


def test_a_question_in_the_middle_of_a_creation_is_answered(asking):
    asking.apply()
    asking.wait_phase("Running")


def test_a_question_that_could_not_be_answered_is_asked_again(asking):
    provider = asking.provider
    asking.apply()
    asking.wait_phase("Running")
    asking.settled()
    provider.fail("get_pod", *[Unavailable("away")] * 3)
    provider.set_status("web", {"phase": "Failed"})
    asking.wait_phase("Failed")
