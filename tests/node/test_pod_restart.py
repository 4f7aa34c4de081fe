"""What survives a restart of the agent, and what is lost or left over is dealt with."""

from __future__ import annotations

import pytest
from support.podnode import PodNode
from support.pods import make_pod
from support.provider import PushingProvider, ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.runtime.threads import Deadline


def test_a_restart_adopts_without_a_write(node, provider):
    names = [f"web-{number}" for number in range(10)]
    for name in names:
        node.apply(name)
    for name in names:
        node.wait_phase("Running", name)
    node.settled()
    calls = provider.count("create_pod"), provider.count("update_pod")
    with node.writes() as writes:
        node.restart()
        eventually(lambda: node.pods.snapshot.complete)
        eventually(lambda: len(node.pods._controller._records) == 10)
    assert writes == []
    assert (provider.count("create_pod"), provider.count("update_pod")) == calls
    assert provider.count("delete_pod") == 0


def test_changes_made_meanwhile_are_handed_over(node, provider):
    node.apply()
    node.wait_phase("Running")
    node.stop()
    node.patch("web", {"spec": {"containers": [{"name": "main", "image": "busybox:2"}]}})
    node.start()
    eventually(lambda: provider.count("update_pod") == 1)
    assert provider.count("create_pod") == 1


def test_deletions_made_meanwhile_are_done(node, provider):
    node.apply()
    node.apply("other")
    node.wait_phase("Running")
    node.wait_phase("Running", "other")
    node.stop()
    node.delete()
    node.delete("other", grace=0)
    node.start()
    node.wait_gone()
    eventually(lambda: not provider.pods)


def test_a_lost_pod_fails_and_is_not_begun_again(node, provider):
    node.apply()
    node.wait_phase("Running")
    node.stop()
    provider.lose("web")
    node.start()
    pod = node.wait_phase("Failed")
    assert pod["status"]["reason"] == "NotFound"
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == -137
    node.settled()
    assert provider.count("create_pod") == 1


def test_a_pod_lost_while_we_watch(plane, tmp_path):
    provider = ScriptedProvider()
    with PodNode(plane, provider, tmp_path) as node:
        node.apply()
        node.wait_phase("Running")
        provider.lose("web")
        node.wait_phase("Failed")


def test_a_listing_that_fails_loses_nothing(plane, tmp_path):
    provider = ScriptedProvider()
    with PodNode(plane, provider, tmp_path) as node:
        node.apply()
        node.wait_phase("Running")
        provider.fail("get_pods", *[Unavailable("backend away")] * 1000)
        before = provider.count("get_pods")
        eventually(lambda: node.pods.snapshot.failure == "backend away")
        eventually(lambda: provider.count("get_pods") >= before + 4)
        provider.failures.clear()
        eventually(lambda: node.pods.snapshot.failure == "")
        assert node.phase() == "Running"


def test_a_listing_that_leaves_a_pod_out_is_not_believed(plane, tmp_path):
    provider = ScriptedProvider()
    with PodNode(plane, provider, tmp_path) as node:
        node.apply()
        node.wait_phase("Running")
        provider.get_pods = lambda: provider.called("get_pods", None) or []
        asked = provider.count("get_pod")
        eventually(lambda: provider.count("get_pod") >= asked + 2)
        node.settled()
        assert node.phase() == "Running"


def test_a_listing_without_identities_is_an_error(plane, tmp_path):
    provider = ScriptedProvider()
    provider.get_pods = lambda: [{"metadata": {"namespace": "default", "name": "web"}}]
    with PodNode(plane, provider, tmp_path) as node:
        eventually(lambda: "without metadata.uid: default/web" in node.pods.snapshot.failure)
        node.apply()
        node.settled()
        assert provider.count("create_pod") == 0


def test_a_provider_that_cannot_list_at_the_start_delays_everything(node, provider):
    node.stop()
    provider.fail("get_pods", *[Unavailable("starting")] * 2)
    node.apply()
    node.start()
    node.wait_phase("Running")
    assert provider.count("create_pod") == 1


# --- leftovers


def test_pods_that_nobody_knows_are_ended_at_the_start(node, provider):
    node.stop()
    stray = make_pod("stray", terminationGracePeriodSeconds=7)
    provider.plant(stray)
    node.start()
    eventually(lambda: not provider.pods)
    assert provider.last("delete_pod")["metadata"]["deletionGracePeriodSeconds"] == 7


def test_pods_that_appear_later_are_ended_too(plane, tmp_path):
    provider = ScriptedProvider()
    with PodNode(plane, provider, tmp_path) as node:
        eventually(lambda: node.pods.snapshot.complete)
        provider.plant(make_pod("stray"))
        eventually(lambda: not provider.pods)


def test_pods_of_other_namespaces_are_left_alone(plane, tmp_path):
    provider = ScriptedProvider()
    provider.plant(make_pod("theirs", "other"))
    provider.plant(make_pod("ours", "default"))
    with PodNode(plane, provider, tmp_path, namespace="default") as node:
        eventually(lambda: len(provider.pods) == 1)
        node.settled()
        assert {key[1] for key in provider.pods} == {"theirs"}


def test_a_pod_that_the_api_server_still_has_is_not_ended(node, provider):
    """The informer's list may be behind: here the pod is bound to another node by its selector."""
    pod = node.apply("elsewhere", nodeName="other")
    provider.plant({**pod, "metadata": {**pod["metadata"]}})
    node.restart()
    eventually(lambda: node.pods.snapshot.complete)
    node.settled()
    assert provider.count("delete_pod") == 0


@pytest.mark.parametrize("on_delete", ["vanish", "end"])
def test_an_older_pod_of_the_same_name_goes_first(node, provider, on_delete):
    provider.on_delete = on_delete
    node.stop()
    provider.plant(make_pod("web", uid="old"))
    new = node.apply()
    node.start()
    node.wait_phase("Running")
    methods = [(m, uid) for m, _, uid in provider.calls if m in {"create_pod", "delete_pod"}]
    assert methods == [("delete_pod", "old"), ("create_pod", new["metadata"]["uid"])]


# --- what the provider has, for /runningpods


def test_the_backends_pods_are_asked_for_at_most_once_a_period(plane, tmp_path):
    provider = PushingProvider()
    with PodNode(plane, provider, tmp_path, sync_period=60) as node:
        node.apply()
        node.wait_phase("Running")
        provider.plant(make_pod("stray"))
        asked = provider.count("get_pods")
        (pod,) = node.pods.backend()
        assert pod["spec"]["containers"][0]["image"] == "busybox:1"
        node.pods.backend()
        assert provider.count("get_pods") == asked


def test_a_backend_that_cannot_tell_is_an_error(plane, tmp_path):
    provider = ScriptedProvider()
    provider.fail("get_pods", *[Unavailable("away")] * 1000)
    with PodNode(plane, provider, tmp_path) as node:
        eventually(lambda: node.pods.snapshot.failure)
        with pytest.raises(Unavailable):
            node.pods.backend()


def test_a_store_that_is_behind_ends_nobodys_workload(node, provider, plane):
    """The store still shows the old pod of a name whose new one already runs."""
    node.apply()
    node.wait_phase("Running")
    node.settled()
    node.informer.stop(Deadline(5))
    node.delete(grace=0)
    new = node.apply()
    with provider.lock:
        provider.pods.clear()
    provider.plant(new)
    node.pods.snapshot._list()
    node.settled()
    assert provider.count("delete_pod") == 0
