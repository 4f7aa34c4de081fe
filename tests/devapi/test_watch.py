"""Watches: where they begin, what they show, how they end."""

from __future__ import annotations

import contextlib

import pytest
from support.devapi import Api, control_plane, pod, register
from support.waiting import eventually
from urllib3.exceptions import ProtocolError

from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}


def config(name, **labels):
    return {"metadata": {"name": name, "labels": labels}}


def names(events):
    return [(kind, obj["metadata"]["name"]) for kind, obj in events]


@pytest.fixture
def version(api):
    """Return a function: the present version."""
    return lambda: api.get(MAPS).json["metadata"]["resourceVersion"]


def test_from_a_version_on(api, version):
    api.create(MAPS, config("before"))
    start = version()
    api.create(MAPS, config("between"))
    with api.watch(MAPS, resourceVersion=start) as events:
        assert events.next()[1]["metadata"]["name"] == "between"
        api.merge(f"{MAPS}/before", {"data": {"a": "b"}})
        api.delete(f"{MAPS}/between")
        assert names([events.next(), events.next()]) == [("MODIFIED", "before"), ("DELETED", "between")]


def test_events_carry_their_kind_and_rising_versions(api, version):
    with api.watch(MAPS, resourceVersion=version()) as events:
        api.create(MAPS, config("a"))
        api.delete(f"{MAPS}/a")
        (_, made), (_, gone) = events.next(), events.next()
    assert (made["kind"], made["apiVersion"]) == ("ConfigMap", "v1")
    assert int(gone["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


@pytest.mark.parametrize("start", ["", "0"])
def test_without_a_version_what_is_there_comes_first(api, start):
    api.create(MAPS, config("a"))
    query = {"resourceVersion": start} if start else {}
    with api.watch(MAPS, fieldSelector="metadata.name%3Da", **query) as events:
        assert names([events.next()]) == [("ADDED", "a")]


def test_selectors_make_objects_come_and_go(api, version):
    api.create(MAPS, config("a", app="x"))
    with api.watch(MAPS, resourceVersion=version(), labelSelector="app%3Dy") as events:
        api.merge(f"{MAPS}/a", {"metadata": {"labels": {"app": "y"}}})
        api.merge(f"{MAPS}/a", {"data": {"a": "b"}})
        left = api.merge(f"{MAPS}/a", {"metadata": {"labels": {"app": "z"}}}).json
        api.delete(f"{MAPS}/a")
        api.create(MAPS, config("b", app="y"))
        seen = [events.next() for _ in range(4)]
    assert names(seen) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]
    # The last state that was selected, at the version at which it ceased to be.
    assert seen[2][1]["metadata"]["labels"] == {"app": "y"}
    assert seen[2][1]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


def test_a_pod_appears_on_its_node(api):
    start = api.get(PODS).json["metadata"]["resourceVersion"]
    with api.watch("/api/v1/pods", resourceVersion=start, fieldSelector="spec.nodeName%3Dn1") as events:
        api.create(PODS, pod())
        api.create(f"{PODS}/web/binding", {"target": {"kind": "Node", "name": "n1"}})
        assert names([events.next()]) == [("ADDED", "web")]


def test_of_one_name(api, version):
    with api.watch(f"{MAPS}", resourceVersion=version(), fieldSelector="metadata.name%3Db") as events:
        api.create(MAPS, config("a"))
        api.create(MAPS, config("b"))
        assert names([events.next()]) == [("ADDED", "b")]


def test_too_old_is_an_event(api, version, plane):
    start = version()
    plane.faults.expire_history("configmaps")
    with api.watch(MAPS, resourceVersion=start) as events:
        assert events.status == 200
        kind, status = events.next()
        assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
        assert events.rest() == []


def test_a_running_watch_can_be_told_to_list_again(api, version, plane):
    with api.watch(MAPS, resourceVersion=version()) as events:
        eventually(lambda: plane.requests.all(verb="watch"))
        plane.faults.expire_history("configmaps")
        assert events.next()[1]["code"] == 410


def test_a_running_watch_can_be_dropped(api, version, plane):
    with api.watch(MAPS, resourceVersion=version()) as events:
        eventually(lambda: plane.faults.drop_watches("configmaps"))
        assert events.rest() == []


def test_it_ends_at_its_time_with_a_bookmark():
    clock = SteppedClock()
    with control_plane(clock=clock, schedule=False) as plane:
        api = Api(plane)
        start = api.get(MAPS).json["metadata"]["resourceVersion"]
        with api.watch(MAPS, resourceVersion=start, timeoutSeconds=1, allowWatchBookmarks="true") as events:
            clock.block_until(2)  # the controllers, and the watch
            clock.advance(1)
            kind, obj = events.next()
            assert kind == "BOOKMARK"
            assert obj["kind"] == "ConfigMap"
            assert int(obj["metadata"]["resourceVersion"]) >= int(start)
            assert events.rest() == []
        api.close()


def test_initial_events_end_with_a_bookmark(api):
    api.create(MAPS, config("a"))
    query = {
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
        "allowWatchBookmarks": "true",
    }
    with api.watch(MAPS, fieldSelector="metadata.name%3Da", **query) as events:
        assert names([events.next()]) == [("ADDED", "a")]
        kind, obj = events.next()
        assert kind == "BOOKMARK"
        assert obj["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        api.merge(f"{MAPS}/a", {"data": {"a": "b"}})
        assert names([events.next()]) == [("MODIFIED", "a")]
    assert api.get(f"{MAPS}?watch=1&sendInitialEvents=true").status == 422


def test_as_tables(api):
    register(api)
    start = api.get(PODS).json["metadata"]["resourceVersion"]
    with api.watch(PODS, headers=TABLE, resourceVersion=start) as events:
        api.create(PODS, pod())
        kind, table = events.next()
    assert kind == "ADDED"
    assert table["kind"] == "Table"
    assert table["columnDefinitions"][0]["name"] == "Name"
    assert table["rows"][0]["cells"][:3] == ["web", "0/1", "Pending"]
    assert table["rows"][0]["object"]["metadata"]["name"] == "web"


def test_bad_questions(api):
    assert api.get(f"{MAPS}?watch=1&resourceVersion=x").status == 400
    assert api.get(f"{MAPS}?watch=1&fieldSelector=data.a%3Db").status == 400
    assert api.get(f"{MAPS}?watch=1&labelSelector=a%3D%3D%3Db").status == 400


def test_the_end_of_the_server_ends_a_watch(api, plane, version):
    with api.watch(MAPS, resourceVersion=version()) as events:
        eventually(lambda: plane.requests.all(verb="watch"))
        plane.stop(Deadline(5))
        # Cleanly or with a bang, as a server that dies: a watch is never sure of its end.
        with contextlib.suppress(ProtocolError):
            assert events.rest() == []
