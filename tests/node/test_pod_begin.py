"""How pods begin, and how they do not."""

from __future__ import annotations

import time

import pytest
from support.podnode import PodNode
from support.provider import PushingProvider, ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotSupported, Unavailable


def conditions(pod):
    return {c["type"]: c["status"] for c in pod["status"]["conditions"]}


def waiting(pod):
    return pod["status"]["containerStatuses"][0]["state"].get("waiting", {})


def refused(node):
    return eventually(lambda: (p := node.get())["status"].get("reason") == "ProviderFailed" and p)


def test_a_pod_runs_with_one_write(node, provider):
    with node.writes() as writes:
        created = node.apply()
        pod = node.wait_phase("Running")
    assert writes == [("patch", "status", "web")]
    assert pod["metadata"]["uid"] == created["metadata"]["uid"]
    assert pod["status"]["hostIPs"] == [{"ip": "10.9.8.7"}]
    assert conditions(pod)["Ready"] == "True"
    assert provider.count("create_pod") == 1
    assert node.events.reasons() == ["ProviderCreateSuccess"]


def test_the_pod_handed_over_is_the_providers_own(node, provider):
    node.apply()
    node.wait_phase("Running")
    (held,) = provider.given
    with provider.lock:  # it is listed meanwhile
        held["metadata"]["labels"] = {"spoilt": "yes"}
        held["spec"]["containers"][0]["image"] = "spoilt"
    ours = node.informer.store.get("default/web")
    assert "labels" not in ours["metadata"]
    assert ours["spec"]["containers"][0]["image"] == "busybox:1"


def test_a_slow_start_is_seen(node, provider):
    provider.created_as = {"phase": "Pending"}
    node.apply()
    eventually(lambda: node.get()["status"].get("containerStatuses"))
    assert waiting(node.get())["reason"] == "ContainerCreating"
    provider.set_status("web", {"phase": "Running", "podIP": "10.1.0.5"})
    pod = node.wait_phase("Running")
    assert pod["status"]["podIPs"] == [{"ip": "10.1.0.5"}]


def test_a_pod_that_is_over_is_never_begun(node, provider):
    node.stop()
    node.apply()
    node.patch("web", {"status": {"phase": "Succeeded"}}, "/status")
    node.start()
    node.apply("other")
    node.wait_phase("Running", "other")
    node.settled()
    assert provider.count("create_pod", "default/web") == 0


def test_a_failure_that_passes_is_not_even_seen(node, provider):
    provider.fail("create_pod", Unavailable("throttled"))
    node.apply()
    node.wait_phase("Running")
    assert node.events.reasons() == ["ProviderCreateSuccess"]


def test_quota_is_waited_for(node, provider):
    provider.fail("create_pod", Unavailable("quota exceeded", retry_after=20))
    node.apply()
    pod = refused(node)
    assert (pod["status"]["phase"], pod["status"]["message"]) == ("Pending", "quota exceeded")
    assert waiting(pod) == {"reason": "ProviderFailed", "message": "quota exceeded"}
    node.settled()
    assert node.events.messages("ProviderCreateFailed") == ["quota exceeded"]
    assert provider.count("create_pod") == 1, "the echo of our own status must not bring the next try forward"


@pytest.mark.fails_inside
def test_a_failure_of_an_unknown_kind_is_tried_again_for_ever(node, provider):
    provider.fail("create_pod", *[KeyError("bug")] * 6)
    node.apply()
    pod = node.wait_phase("Running")
    assert provider.count("create_pod") == 7
    assert "reason" not in pod["status"]
    assert node.events.messages("ProviderCreateFailed") == ["KeyError: 'bug'"] * 6


@pytest.mark.parametrize("error", [InvalidInput("no GPU here"), NotSupported("no GPU here")])
@pytest.mark.parametrize(("policy", "phase"), [("Never", "Failed"), ("Always", "Pending")])
def test_a_refused_pod_is_not_tried_again(node, provider, error, policy, phase):
    provider.fail("create_pod", error)
    node.apply(restartPolicy=policy)
    pod = refused(node)
    assert (pod["status"]["phase"], pod["status"]["message"]) == (phase, "no GPU here")
    if phase == "Pending":
        assert waiting(pod) == {"reason": "CreateContainerError", "message": "no GPU here"}
    node.patch("web", {"status": {"conditions": [{"type": "x/y", "status": "True"}]}}, "/status")
    node.settled()
    assert provider.count("create_pod") == 1
    assert node.events.messages("ProviderCreateFailed") == ["no GPU here"]


def test_a_refused_pod_is_tried_again_when_it_changes(node, provider):
    provider.fail("create_pod", InvalidInput("no such image"))
    node.apply()
    refused(node)
    node.patch("web", {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}})
    pod = node.wait_phase("Running")
    assert "reason" not in pod["status"]
    assert provider.last("create_pod")["spec"]["containers"][0]["image"] == "busybox:2"


class Lagging(ScriptedProvider):
    """Knows of new pods only after a while, as eventually consistent backends do."""

    lagging = True

    def get_pods(self):
        self.called("get_pods", None)
        return [] if self.lagging else super().get_pods()

    def get_pod(self, namespace, name):
        found = super().get_pod(namespace, name)
        return None if self.lagging else found


def test_a_backend_that_is_behind_gets_no_pod_twice(plane, tmp_path):
    provider = Lagging()
    with PodNode(plane, provider, tmp_path) as node:
        node.apply()
        eventually(lambda: node.get()["status"].get("containerStatuses"))
        listings = provider.count("get_pods")
        eventually(lambda: provider.count("get_pods") >= listings + 3)
        provider.lagging = False
        node.wait_phase("Running")
        assert provider.count("create_pod") == 1


def test_a_pod_that_such_a_backend_never_showed_can_be_deleted(plane, tmp_path):
    provider = Lagging()
    with PodNode(plane, provider, tmp_path) as node:
        node.apply()
        eventually(lambda: provider.count("create_pod") == 1)
        node.delete()
        node.wait_gone()
        assert provider.count("delete_pod") == 1


def test_starts_and_looks_are_measured(node):
    node.apply()
    node.wait_phase("Running")
    node.settled()
    text = node.metrics.render().decode()
    assert "kubelet_pod_start_sli_duration_seconds_count 1.0" in text
    assert "kubelet_pod_start_duration_seconds_count 1.0" in text
    assert 'kubelet_pod_worker_duration_seconds_count{operation_type="create"} 1.0' in text
    assert "kubelet_running_pods 1.0" in text
    assert 'virtual_kubelet_pod_status_patches_total{result="ok"} 1.0' in text


def test_failed_looks_are_counted(node, provider):
    provider.fail("create_pod", Unavailable("full", retry_after=60))
    node.apply()
    refused(node)
    node.settled()
    counted = 'virtual_kubelet_pod_sync_errors_total{error="Unavailable"} 1.0'
    assert counted in node.metrics.render().decode()


def test_a_stop_does_not_wait_for_a_provider_that_asks_for_patience(node, provider):
    provider.fail("create_pod", Unavailable("busy", retry_after=14))
    node.apply()
    eventually(lambda: provider.count("create_pod") == 1)
    before = time.monotonic()
    node.stop()
    assert time.monotonic() - before < 12
    node.start()
    node.wait_phase("Running")


class Eager(PushingProvider):
    """Pushes while it is still being asked to, and may not push at all."""

    def notify_pods(self, callback):
        super().notify_pods(callback)
        for pod in self.pods.values():
            self.changed(pod)
        error = self.failures.get("notify_pods")
        if error:
            raise error[0]


def test_a_provider_may_push_from_the_first_moment(plane, tmp_path):
    provider = Eager()
    with PodNode(plane, provider, tmp_path) as node:
        node.apply()
        node.wait_phase("Running")
        node.restart()
        node.settled()
        assert node.phase() == "Running"
        assert provider.count("delete_pod") == 0


def test_a_provider_that_does_not_push_after_all_is_polled(plane, tmp_path):
    provider = Eager()
    provider.fail("notify_pods", NotSupported("not with this backend"))
    with PodNode(plane, provider, tmp_path):
        listings = provider.count("get_pods")
        eventually(lambda: provider.count("get_pods") >= listings + 3)


def test_a_refusal_that_cannot_be_said_is_said_later(node, provider, plane):
    provider.fail("create_pod", *[InvalidInput("no such image")] * 10)
    plane.faults.fail(503, times=1, verb="patch", resource="pods")
    node.apply(restartPolicy="Never")
    node.wait_phase("Failed")
