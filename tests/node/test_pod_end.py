"""How pods end."""

from __future__ import annotations

import threading

from support.provider import PushingProvider
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, NotFound, ProviderError

ENDED = {"name": "main", "state": {"terminated": {"exitCode": 0}}}


def run(node, **spec):
    pod = node.apply(**spec)
    node.wait_phase("Running")
    return pod


def test_deletion_is_one_patch_and_one_delete(node, provider):
    provider.on_delete = "end"
    run(node)
    with node.writes() as writes:
        node.delete()
        node.wait_gone()
    assert writes == [("patch", "status", "web"), ("delete", "", "web")]
    assert provider.last("delete_pod")["metadata"]["deletionGracePeriodSeconds"] == 30
    assert node.events.reasons() == ["ProviderCreateSuccess", "ProviderDeleteSuccess"]


def test_a_pod_that_vanishes_from_the_provider_is_gone(node, provider):
    run(node)
    node.delete()
    node.wait_gone()
    assert provider.count("delete_pod") == 1


def test_the_last_words_are_those_of_the_containers(node, provider):
    provider.on_delete = "stay"
    run(node, metadata={"finalizers": ["example.com/hold"]})
    node.delete()
    eventually(lambda: provider.count("delete_pod") == 1)
    state = {"terminated": {"exitCode": 143, "reason": "Error"}}
    provider.set_status("web", {"containerStatuses": [{"name": "main", "state": state}]})
    pod = node.wait_phase("Failed")
    assert pod["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 143


def test_a_pod_stays_until_its_containers_are_gone(node, provider):
    provider.on_delete = "stay"
    run(node)
    node.delete()
    eventually(lambda: provider.count("delete_pod") == 1)
    if not isinstance(provider, PushingProvider):
        eventually(lambda: provider.count("get_pod") >= 3)
    assert node.phase() == "Running"
    provider.set_status("web", {"phase": "Running", "containerStatuses": [ENDED]})
    node.wait_gone()
    assert provider.count("delete_pod") == 1


def test_a_shortened_grace_period_is_told(node, provider):
    provider.on_delete = "stay"
    run(node)
    node.delete()
    eventually(lambda: provider.count("delete_pod") == 1)
    node.delete(grace=3)
    eventually(lambda: provider.count("delete_pod") == 2)
    assert provider.last("delete_pod")["metadata"]["deletionGracePeriodSeconds"] == 3
    provider.lose("web")
    node.wait_gone()


def test_a_failing_deletion_is_repeated_and_the_pod_stays(node, provider):
    provider.fail("delete_pod", *[ProviderError("busy")] * 3, NotFound("gone by itself"))
    run(node)
    node.delete()
    node.wait_gone()
    assert node.events.reasons() == ["ProviderCreateSuccess", "ProviderDeleteFailed"]


def test_force_deletion_ends_the_workload(node, provider):
    run(node)
    node.delete(grace=0)
    eventually(lambda: not provider.pods)
    assert provider.last("delete_pod")["metadata"]["deletionGracePeriodSeconds"] == 0
    # The object shows its mark for a moment: whoever looks just then has something left to say it of.
    assert node.events.reasons() in (
        ["ProviderCreateSuccess"],
        ["ProviderCreateSuccess", "ProviderDeleteSuccess"],
    )
    eventually(lambda: len(node.pods._controller._records) == 0)


def test_a_removal_that_is_not_told_yet_has_its_grace_all_the_same(node, provider, monkeypatch):
    """The informer's thread stands still between its store and its handlers."""
    store, gate, removed = node.informer.store, threading.Event(), threading.Event()
    remove = type(store).remove

    def slowly(self, item):
        found = remove(self, item)
        if self is store:
            removed.set()
            gate.wait(30)
        return found

    monkeypatch.setattr(type(store), "remove", slowly)
    with provider.hanging("create_pod") as create:
        node.apply()
        eventually(lambda: provider.count("create_pod") == 1)
        node.delete(grace=0)
        assert removed.wait(30)
        create.set()
        eventually(lambda: provider.count("delete_pod") == 1)
    assert provider.last("delete_pod")["metadata"]["deletionGracePeriodSeconds"] == 0
    gate.set()
    eventually(lambda: len(node.pods._controller._records) == 0)


def test_deletion_while_the_provider_creates(node, provider):
    with provider.hanging("create_pod") as gate:
        node.apply()
        eventually(lambda: provider.count("create_pod") == 1)
        node.delete()
        gate.set()
        node.wait_gone()
    eventually(lambda: not provider.pods)


def test_a_pod_that_was_never_begun_goes_without_a_word_to_the_provider(node, provider):
    provider.fail("create_pod", InvalidInput("never"))
    node.apply()
    eventually(lambda: node.get()["status"].get("reason"))
    node.delete()
    node.wait_gone()
    assert provider.count("delete_pod") == 0


def test_a_finished_pod_goes_at_once(node, provider):
    run(node, restartPolicy="Never")
    provider.set_status("web", {"phase": "Succeeded"})
    node.wait_phase("Succeeded")
    with node.writes() as writes:
        node.delete()
        node.wait_gone()
        eventually(lambda: not provider.pods)
    # The API server removes what is over by itself, in two steps; who looks between them may ask for it too.
    assert set(writes) <= {("delete", "", "web")}


def test_finalizers_hold_a_pod_without_a_loop(node, provider):
    run(node, metadata={"finalizers": ["example.com/hold"]})
    with node.writes() as writes:
        node.delete()
        node.wait_phase("Failed")
        node.settled()
        node.patch("web", {"metadata": {"labels": {"a": "1"}}})
    assert [verb for verb, _, _ in writes].count("delete") == 1
    node.patch("web", {"metadata": {"$deleteFromPrimitiveList/finalizers": ["example.com/hold"]}})
    node.wait_gone()


def test_a_name_that_comes_again_waits_for_the_old_pod(node, provider):
    provider.on_delete = "stay"
    old = run(node)
    node.delete(grace=0)
    node.wait_gone()
    new = node.apply()
    eventually(lambda: provider.count("delete_pod") >= 1)
    node.settled()
    assert provider.count("create_pod") == 1
    provider.on_delete = "vanish"
    with provider.lock:
        key = next(key for key in provider.pods if key[2] == old["metadata"]["uid"])
        del provider.pods[key]
    pod = node.wait_phase("Running")
    assert pod["metadata"]["uid"] == new["metadata"]["uid"]
    begun = [uid for method, _, uid in provider.calls if method == "create_pod"]
    assert begun == [old["metadata"]["uid"], new["metadata"]["uid"]]


def test_who_goes_on_listing_what_has_ended_is_told_once(node, provider):
    provider.on_delete = "stay"
    run(node)
    node.delete()
    eventually(lambda: provider.count("delete_pod") == 1)
    provider.set_status("web", {"phase": "Running", "containerStatuses": [ENDED]})
    node.wait_gone()
    if not isinstance(provider, PushingProvider):
        listings = provider.count("get_pods")
        eventually(lambda: provider.count("get_pods") > listings + 2)
    node.settled()
    assert provider.count("delete_pod") == 1
    node.restart()
    eventually(lambda: provider.count("delete_pod") == 2)
    provider.lose("web")


def test_last_words_and_final_deletion_are_repeated(node, provider, plane):
    provider.on_delete = "stay"
    run(node)
    node.delete()
    eventually(lambda: provider.count("delete_pod") == 1)
    faults = [
        plane.faults.fail(503, times=2, verb="patch", resource="pods", name="web"),
        plane.faults.fail(500, times=2, verb="delete", resource="pods", name="web"),
    ]
    provider.set_status("web", {"phase": "Running", "containerStatuses": [ENDED]})
    node.wait_gone()
    assert [fault.hits for fault in faults] == [2, 2]
    assert provider.count("delete_pod") == 1
