"""Deletion: grace, force, finalizers, preconditions, collections, namespaces."""

from __future__ import annotations

import pytest
from support.devapi import pod
from support.waiting import eventually

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def bound(api):
    return api.create(PODS, pod(spec={"nodeName": "n1"})).json


def test_a_bound_pod_stays_for_its_grace(api, bound):
    deleting = api.delete(f"{PODS}/web").json
    meta = deleting["metadata"]
    assert deleting["kind"] == "Pod"
    assert meta["deletionGracePeriodSeconds"] == 30
    assert meta["generation"] == 2
    again = api.delete(f"{PODS}/web").json
    assert again["metadata"]["resourceVersion"] == meta["resourceVersion"]


def test_the_grace_can_be_shortened_not_lengthened(api, bound):
    first = api.delete(f"{PODS}/web").json["metadata"]
    same = api.delete(f"{PODS}/web", {"gracePeriodSeconds": 60}).json["metadata"]
    assert same["deletionTimestamp"] == first["deletionTimestamp"]
    shorter = api.delete(f"{PODS}/web", {"gracePeriodSeconds": 5}).json["metadata"]
    assert shorter["deletionGracePeriodSeconds"] == 5
    assert shorter["deletionTimestamp"] < first["deletionTimestamp"]


def test_the_query_may_say_the_grace(api, bound):
    assert api.delete(f"{PODS}/web?gracePeriodSeconds=3").json["metadata"]["deletionGracePeriodSeconds"] == 3


def test_a_forced_delete_shows_its_mark_first(api, bound):
    start = bound["metadata"]["resourceVersion"]
    with api.watch(PODS, resourceVersion=start) as events:
        api.delete(f"{PODS}/web", {"gracePeriodSeconds": 0})
        (first, marked), (second, _) = events.next(), events.next()
    assert (first, second) == ("MODIFIED", "DELETED")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 0


def test_a_forced_delete_that_broke_off_can_be_repeated(api, plane, bound):
    """A snapshot may be taken between the mark and the removal."""
    held = plane.storage.get("pods", "default", "web")
    marked = held.copy()
    marked["metadata"].update(deletionTimestamp="2026-01-02T03:04:05Z", deletionGracePeriodSeconds=0)
    assert plane.storage.swap("pods", held, marked)
    assert api.delete(f"{PODS}/web", {"gracePeriodSeconds": 0}).status == 200
    assert api.get(f"{PODS}/web").status == 404


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_goes_at_once(api, bound, phase):
    api.strategic(f"{PODS}/web/status", {"status": {"phase": phase}})
    api.delete(f"{PODS}/web")
    assert api.get(f"{PODS}/web").status == 404


def test_an_unscheduled_pod_goes_at_once(api):
    api.create(PODS, pod(spec={"nodeSelector": {"nowhere": "true"}}))
    assert api.delete(f"{PODS}/web").status == 200
    assert api.get(f"{PODS}/web").status == 404
    assert api.delete(f"{PODS}/web").status == 404


def test_preconditions(api, bound):
    answer = api.delete(f"{PODS}/web", {"preconditions": {"uid": "another"}})
    assert (answer.status, answer.json["reason"]) == (409, "Conflict")
    assert "the UID in the precondition (another) does not match" in answer.json["message"]
    answer = api.delete(f"{PODS}/web", {"preconditions": {"resourceVersion": "1"}})
    assert answer.status == 409
    right = {"uid": bound["metadata"]["uid"], "resourceVersion": bound["metadata"]["resourceVersion"]}
    assert api.delete(f"{PODS}/web", {"preconditions": right}).status == 200


def test_finalizers_hold_an_object(api):
    api.create(MAPS, {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}})
    deleting = api.delete(f"{MAPS}/held").json
    assert deleting["metadata"]["deletionGracePeriodSeconds"] == 0
    assert api.get(f"{MAPS}/held").status == 200
    more = api.merge(f"{MAPS}/held", {"metadata": {"finalizers": ["example.com/hold", "example.com/more"]}})
    assert "no new finalizers can be added" in more.json["message"]
    assert api.merge(f"{MAPS}/held", {"metadata": {"finalizers": None}}).status == 200
    assert api.get(f"{MAPS}/held").status == 404


def test_a_pod_with_finalizers_survives_force(api):
    api.create(PODS, pod(metadata={"finalizers": ["example.com/hold"]}, spec={"nodeName": "n1"}))
    api.delete(f"{PODS}/web", {"gracePeriodSeconds": 0})
    held = api.get(f"{PODS}/web").json
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    api.delete(f"{PODS}/web", {"gracePeriodSeconds": 0})
    assert api.get(f"{PODS}/web").json["metadata"]["resourceVersion"] == held["metadata"]["resourceVersion"]
    api.merge(f"{PODS}/web", {"metadata": {"finalizers": None}})
    assert api.get(f"{PODS}/web").status == 404


def test_losing_finalizers_within_the_grace_does_not_end_a_pod(api):
    api.create(PODS, pod(metadata={"finalizers": ["example.com/hold"]}, spec={"nodeName": "n1"}))
    api.delete(f"{PODS}/web")
    api.merge(f"{PODS}/web", {"metadata": {"finalizers": None}})
    assert api.get(f"{PODS}/web").status == 200


def test_a_deletion_cannot_be_taken_back(api, bound):
    meta = api.delete(f"{PODS}/web").json["metadata"]
    changed = api.merge(f"{PODS}/web", {"metadata": {"deletionTimestamp": None, "labels": {"a": "b"}}}).json
    assert changed["metadata"]["deletionTimestamp"] == meta["deletionTimestamp"]


def test_a_status_says_what_was_deleted(api):
    made = api.create(MAPS, {"metadata": {"name": "a"}}).json
    answer = api.delete(f"{MAPS}/a").json
    assert answer["status"] == "Success"
    assert answer["details"] == {"name": "a", "kind": "configmaps", "uid": made["metadata"]["uid"]}


def test_collections(api):
    for name in "abc":
        api.create(MAPS, {"metadata": {"name": name, "labels": {"keep": str(name == "b")}}})
    answer = api("DELETE", f"{MAPS}?labelSelector=keep%3DFalse")
    assert len(answer.json["items"]) == 2
    left = [item["metadata"]["name"] for item in api.get(f"{MAPS}?labelSelector=keep").json["items"]]
    assert left == ["b"]


def test_a_namespace_is_emptied_first(api):
    api.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    pods = "/api/v1/namespaces/team/pods"
    api.create(pods, pod(spec={"nodeName": "n1"}))
    api.create("/api/v1/namespaces/team/configmaps", {"metadata": {"name": "a"}})
    ending = api.delete("/api/v1/namespaces/team").json
    assert ending["status"]["phase"] == "Terminating"
    eventually(lambda: "deletionTimestamp" in api.get(f"{pods}/web").json["metadata"])
    refused = api.create(pods, pod("late"))
    assert refused.status == 403
    assert refused.json["details"]["causes"][0]["reason"] == "NamespaceTerminating"
    api.delete(f"{pods}/web", {"gracePeriodSeconds": 0})
    eventually(lambda: api.get("/api/v1/namespaces/team").status == 404)
    assert api.get("/api/v1/namespaces/team/configmaps").json["items"] == []


def test_a_new_namespace_is_furnished_at_once(api):
    api.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
    assert api.create("/api/v1/namespaces/team/pods", pod()).status == 201
    ca = api.get("/api/v1/namespaces/team/configmaps/kube-root-ca.crt").json["data"]["ca.crt"]
    assert ca.startswith("-----BEGIN CERTIFICATE-----")


def test_lost_furniture_comes_back(api):
    api.delete("/api/v1/namespaces/default/serviceaccounts/default")
    eventually(lambda: api.get("/api/v1/namespaces/default/serviceaccounts/default").status == 200)


def test_dependents_follow_their_owner(api):
    owner = api.create(MAPS, {"metadata": {"name": "owner"}}).json
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    api.create(MAPS, {"metadata": {"name": "dependent", "ownerReferences": [reference]}})
    foreign = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "x", "uid": "unknown"}
    api.create(MAPS, {"metadata": {"name": "foreign", "ownerReferences": [foreign]}})
    api.delete(f"{MAPS}/owner")
    eventually(lambda: api.get(f"{MAPS}/dependent").status == 404)
    assert api.get(f"{MAPS}/foreign").status == 200
