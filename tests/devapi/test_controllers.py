"""The controllers, on a clock that the test moves."""

from __future__ import annotations

import threading

import pytest
from support.devapi import Api, control_plane, pod, register, running
from support.waiting import eventually

from virtual_kubelet.devapi.controllers import follower
from virtual_kubelet.devapi.controllers.binder import Binder
from virtual_kubelet.devapi.controllers.eviction import TaintEviction
from virtual_kubelet.devapi.controllers.follower import Follower
from virtual_kubelet.devapi.controllers.garbage import OwnerCollector, PodCollector
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline

PODS = "/api/v1/namespaces/default/pods"
MAPS = "/api/v1/namespaces/default/configmaps"
NODE = "/api/v1/nodes/n1"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def plane(clock):
    with control_plane(clock=clock) as plane:
        yield plane


@pytest.fixture
def pause(clock):
    """Return a function that lets seconds pass at once."""

    def pause(seconds):
        # Both followers wait, so none misses the step; then they have done what is due at it.
        clock.block_until(2)
        clock.advance(seconds)
        clock.block_until(2)

    return pause


@pytest.fixture
def passing(pause):
    """Return a function that lets seconds pass, a few at a time, until something is true."""

    def until(predicate, *, at_most, step=5):
        for _ in range(0, at_most, step):
            if predicate():
                return
            pause(step)
        eventually(predicate, message=f"not within {at_most} s of the stepped clock")

    return until


def ready(api):
    conditions = api.get(NODE).json["status"].get("conditions") or []
    return next((c for c in conditions if c["type"] == "Ready"), {})


def taints(api):
    return {(t["key"], t["effect"]) for t in api.get(NODE).json["spec"].get("taints") or []}


def test_a_new_node_is_tainted_until_ready(api):
    api.create("/api/v1/nodes", {"metadata": {"name": "n1"}})
    assert ("node.kubernetes.io/not-ready", "NoSchedule") in taints(api)
    register(api, "n1")
    eventually(lambda: not taints(api))


def test_taints_of_others_are_kept(api):
    api.create(
        "/api/v1/nodes",
        {"metadata": {"name": "n1"}, "spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]}},
    )
    register(api, "n1")
    eventually(lambda: taints(api) == {("own", "NoSchedule")})


def test_conditions_and_cordons_become_taints(api):
    register(api, "n1")
    api.merge(NODE, {"spec": {"unschedulable": True}})
    pressure = {"type": "MemoryPressure", "status": "True"}
    api.strategic(f"{NODE}/status", {"status": {"conditions": [pressure]}})
    expected = {
        ("node.kubernetes.io/unschedulable", "NoSchedule"),
        ("node.kubernetes.io/memory-pressure", "NoSchedule"),
    }
    eventually(lambda: taints(api) == expected)


def test_a_silent_node_becomes_unknown_and_comes_back(api, passing):
    register(api, "n1")
    eventually(lambda: not taints(api))
    passing(lambda: ready(api)["status"] == "Unknown", at_most=60)
    assert ready(api)["reason"] == "NodeStatusUnknown"
    unreachable = "node.kubernetes.io/unreachable"
    eventually(lambda: taints(api) == {(unreachable, "NoSchedule"), (unreachable, "NoExecute")})
    events = api.get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.kind%3DNode").json[
        "items"
    ]
    assert [event["reason"] for event in events] == ["NodeNotReady"]
    back = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "lastHeartbeatTime": "2027-01-01T00:00:00Z",
    }
    api.strategic(f"{NODE}/status", {"status": {"conditions": [back]}})
    eventually(lambda: not taints(api))


def test_a_control_plane_that_stood_still_takes_nobody_for_dead(api, pause, passing):
    register(api, "n1")
    eventually(lambda: not taints(api))
    pause(60)  # nobody could have reported meanwhile
    assert ready(api)["status"] == "True"
    passing(lambda: ready(api)["status"] == "Unknown", at_most=60)


def test_a_lease_is_a_sign_of_life(api, clock, pause, passing):
    register(api, "n1")
    lease = {"metadata": {"name": "n1"}, "spec": {"renewTime": times.micro_time(clock.now())}}
    api.create(LEASES, lease)
    for _ in range(6):
        pause(20)
        api.merge(f"{LEASES}/n1", {"spec": {"renewTime": times.micro_time(clock.now())}})
    assert ready(api)["status"] == "True"
    passing(lambda: ready(api)["status"] == "Unknown", at_most=60)


def test_a_clock_that_is_wrong_is_no_sign_of_death(api, pause):
    register(api, "n1")
    for second in range(6):
        pause(20)
        api.merge(f"{LEASES}/n1", {"spec": {"renewTime": f"2001-01-01T00:00:0{second}.000000Z"}})
        api.update(
            f"{LEASES}/n1", {"metadata": {}, "spec": {"renewTime": f"2001-01-01T00:00:0{second}.000000Z"}}
        )
        heartbeat = {"type": "Ready", "status": "True", "lastHeartbeatTime": f"2001-01-01T00:00:0{second}Z"}
        api.strategic(f"{NODE}/status", {"status": {"conditions": [heartbeat]}})
    assert ready(api)["status"] == "True"


def test_a_node_that_never_reports(api, passing):
    api.create("/api/v1/nodes", {"metadata": {"name": "n1"}})
    passing(lambda: ready(api).get("reason") == "NodeStatusNeverUpdated", at_most=70)


def test_pods_leave_a_lost_node_when_their_toleration_ends(api, passing):
    register(api, "n1")
    api.create(PODS, pod("patient", spec={"nodeName": "n1"}))
    forever = [{"operator": "Exists"}]
    api.create(PODS, pod("forever", spec={"nodeName": "n1", "tolerations": forever}))
    short = [
        {
            "key": "node.kubernetes.io/unreachable",
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": 5,
        }
    ]
    api.create(PODS, pod("short", spec={"nodeName": "n1", "tolerations": short}))
    passing(lambda: "deletionTimestamp" in api.get(f"{PODS}/short").json["metadata"], at_most=90)
    conditions = api.get(f"{PODS}/short").json["status"]["conditions"]
    assert conditions[0]["type"] == "DisruptionTarget"
    assert "deletionTimestamp" not in api.get(f"{PODS}/patient").json["metadata"]
    passing(lambda: "deletionTimestamp" in api.get(f"{PODS}/patient").json["metadata"], at_most=320, step=20)
    assert "deletionTimestamp" not in api.get(f"{PODS}/forever").json["metadata"]


def test_pods_of_a_deleted_node_are_collected(api, passing):
    register(api, "n1")
    api.create(PODS, pod(spec={"nodeName": "n1"}))
    api.delete(NODE)
    passing(lambda: api.get(f"{PODS}/web").status == 404, at_most=60)


def test_a_node_that_comes_back_keeps_its_pods(api, pause):
    register(api, "n1")
    api.create(PODS, pod(spec={"nodeName": "n1"}))
    for _ in range(3):
        api.delete(NODE)
        pause(20)
        register(api, "n1")
        pause(20)
    assert api.get(f"{PODS}/web").status == 200


def test_a_node_that_comes_back_in_the_last_moment_keeps_its_pods(api, plane, clock):
    api.create(PODS, pod(spec={"nodeName": "n1"}))
    collector = PodCollector(plane.cluster)
    collector.act()
    register(api, "n1")  # it has not seen that yet
    clock.advance(collector.quarantine)
    collector.act()
    assert api.get(f"{PODS}/web").json["status"]["phase"] == "Pending"


@pytest.mark.parametrize(("controller", "ends"), [(PodCollector, "_end"), (TaintEviction, "_evict")])
def test_a_pod_that_is_replaced_in_the_last_moment_is_left_alone(api, passing, monkeypatch, controller, ends):
    ended, real = [], getattr(controller, ends)

    def replaced_meanwhile(self, record):
        if not ended:
            api.delete(f"{PODS}/web", {"gracePeriodSeconds": 0})
            api.create(PODS, pod())
        try:
            real(self, record)
        finally:
            ended.append(record)

    monkeypatch.setattr(controller, ends, replaced_meanwhile)
    register(api, "n1")
    api.create(PODS, pod(spec={"nodeName": "n1"}))
    if controller is PodCollector:
        api.delete(NODE)
    else:
        api.merge(NODE, {"spec": {"taints": [{"key": "own", "effect": "NoExecute"}]}})
    passing(lambda: ended, at_most=60)
    left = api.get(f"{PODS}/web").json
    assert left["status"]["phase"] == "Pending"
    assert "deletionTimestamp" not in left["metadata"]
    assert "DisruptionTarget" not in {each["type"] for each in left["status"].get("conditions", ())}


def test_events_are_forgotten_after_an_hour(api, clock, passing):
    path = "/api/v1/namespaces/default/events"
    about = {"kind": "Pod", "namespace": "default", "name": "web"}
    api.create(path, {"metadata": {"name": "old"}, "involvedObject": about})
    api.close()  # the server would end an idle connection just as it is used
    clock.advance(1800)
    said = {"lastTimestamp": times.rfc3339(clock.now())}
    api.create(path, {"metadata": {"name": "new"}, "involvedObject": about, **said})
    api.close()
    clock.advance(1790)
    passing(lambda: api.get(f"{path}/old").status == 404, at_most=120)
    assert api.get(f"{path}/new").status == 200


# ---------------------------------------------------------------------------------------------------------
# The binder


def node_of(api, name="web"):
    return api.get(f"{PODS}/{name}").json["spec"].get("nodeName")


def test_a_pod_is_bound_with_an_event(api):
    register(api, "n1")
    api.create(PODS, pod())
    assert eventually(lambda: node_of(api)) == "n1"
    condition = api.get(f"{PODS}/web").json["status"]["conditions"][0]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    path = "/api/v1/namespaces/default/events?fieldSelector=reason%3DScheduled"
    event = eventually(lambda: api.get(path).json["items"])[0]
    assert event["message"] == "Successfully assigned default/web to n1"


def test_a_pod_waits_for_a_node(api):
    api.create(PODS, pod())
    condition = eventually(lambda: api.get(f"{PODS}/web").json["status"].get("conditions"))[0]
    assert (condition["reason"], condition["message"]) == (
        "Unschedulable",
        "no nodes available to schedule pods",
    )
    register(api, "n1")
    assert eventually(lambda: node_of(api)) == "n1"


def test_a_pod_waits_for_room(api):
    register(api, "n1", cpu="1")
    half = [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "600m"}}}]
    api.create(PODS, pod("first", spec={"containers": half}))
    eventually(lambda: node_of(api, "first"))
    api.create(PODS, pod("second", spec={"containers": half}))
    condition = eventually(lambda: api.get(f"{PODS}/second").json["status"].get("conditions"))[0]
    assert condition["message"] == "0/1 nodes are available: 1 Insufficient cpu."
    api.strategic(f"{PODS}/first/status", {"status": {"phase": "Succeeded"}})
    assert eventually(lambda: node_of(api, "second")) == "n1"


def test_nothing_is_said_of_a_pod_that_somebody_else_binds(api, monkeypatch):
    told, real = [], Binder._wait

    def bound_meanwhile(self, record, message):
        target = {"target": {"kind": "Node", "name": "elsewhere"}}
        if not told:
            assert api.create(f"{PODS}/web/binding", {"metadata": {"name": "web"}, **target}).status == 201
        real(self, record, message)
        told.append(message)

    monkeypatch.setattr(Binder, "_wait", bound_meanwhile)
    api.create(PODS, pod())
    assert eventually(lambda: told)
    (condition,) = api.get(f"{PODS}/web").json["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")
    assert api.get("/api/v1/namespaces/default/events").json["items"] == []


def test_pods_spread_and_slots_count(api):
    register(api, "n1", pods="2")
    register(api, "n2", pods="2")
    for number in range(5):
        api.create(PODS, pod(f"p{number}"))
    eventually(lambda: len([n for n in range(5) if node_of(api, f"p{n}")]) == 4)
    nodes = [node_of(api, f"p{number}") for number in range(5)]
    assert sorted(node for node in nodes if node) == ["n1", "n1", "n2", "n2"]


@pytest.mark.parametrize(
    ("spec", "bound"),
    [
        ({}, False),
        ({"tolerations": [{"key": "virtual", "operator": "Exists"}]}, True),
        ({"tolerations": [{"key": "virtual", "value": "yes", "effect": "NoSchedule"}]}, True),
        ({"tolerations": [{"key": "virtual", "value": "no", "effect": "NoSchedule"}]}, False),
        ({"tolerations": [{"operator": "Exists"}], "nodeSelector": {"kubernetes.io/hostname": "n1"}}, True),
        ({"tolerations": [{"operator": "Exists"}], "nodeSelector": {"kubernetes.io/hostname": "n2"}}, False),
        ({"tolerations": [{"operator": "Exists"}], "schedulerName": "mine"}, None),
        ({"tolerations": [{"operator": "Exists"}], "schedulingGates": [{"name": "example.com/x"}]}, None),
    ],
)
def test_taints_and_selectors(api, spec, bound):
    register(api, "n1")
    api.merge(NODE, {"spec": {"taints": [{"key": "virtual", "value": "yes", "effect": "NoSchedule"}]}})
    api.create(PODS, pod(spec=spec))
    if bound:
        assert eventually(lambda: node_of(api)) == "n1"
        return
    if bound is False:
        eventually(lambda: api.get(f"{PODS}/web").json["status"].get("conditions"))
    else:
        # Another pod's binding shows that this one has been passed over.
        api.create(PODS, pod("other", spec={"tolerations": [{"operator": "Exists"}]}))
        eventually(lambda: node_of(api, "other"))
    assert node_of(api) is None


def test_without_scheduling(tmp_path):
    with control_plane(schedule=False, mount_tokens=False) as plane:
        api = Api(plane)
        register(api, "n1")
        made = api.create(PODS, pod()).json
        assert "volumes" not in made["spec"]
        assert "devapi-binder" not in {thread.name for thread in threading.enumerate()}
        api.close()


def test_a_bound_pod_that_runs_is_left_alone(api):
    register(api, "n1")
    api.create(PODS, pod())
    eventually(lambda: node_of(api))
    before = api.strategic(f"{PODS}/web/status", {"status": running()}).json
    api.create(PODS, pod("other"))
    eventually(lambda: node_of(api, "other"))
    assert api.get(f"{PODS}/web").json == before


def test_what_finds_an_owner_again_in_the_last_moment_stays(api, pause, monkeypatch):
    def owned_by(uid):
        reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": uid}
        return {"metadata": {"name": "dependent", "ownerReferences": [reference]}}

    looks, real = [], OwnerCollector._has_owner

    def adopted_meanwhile(self, record):
        found = real(self, record)
        if record.name == "dependent":
            looks.append(found)
            if len(looks) == 1:
                owner = api.create(MAPS, {"metadata": {"name": "owner"}}).json
                assert api.update(f"{MAPS}/dependent", owned_by(owner["metadata"]["uid"])).status == 200
        return found

    monkeypatch.setattr(OwnerCollector, "_has_owner", adopted_meanwhile)
    api.create(MAPS, owned_by("gone"))
    for _ in range(3):
        pause(1)
    assert looks[0] is False
    assert looks[-1] is True
    assert api.get(f"{MAPS}/dependent").status == 200


def test_an_owner_that_was_there_before_the_controllers_is_known_to_them(api, plane, clock, monkeypatch):
    """However many changes are taken in at once, and in whatever order the kinds come."""
    monkeypatch.setattr(follower, "CROWD", 1)
    owner = api.create(PODS, pod(spec={"nodeName": "n1"})).json
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "web", "uid": owner["metadata"]["uid"]}
    api.create(MAPS, {"metadata": {"name": "dependent", "ownerReferences": [reference]}})
    clock.block_until(2)
    late = Follower(plane.cluster, "late", [OwnerCollector(plane.cluster)])
    late.start()
    clock.block_until(3)  # it has acted, and waits
    late.stop(Deadline(30))
    assert api.get(f"{MAPS}/dependent").status == 200
