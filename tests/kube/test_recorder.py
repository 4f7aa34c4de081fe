from __future__ import annotations

import threading

import pytest
from support.pods import make_pod
from support.scripted_server import ScriptedServer, in_turn
from support.waiting import eventually

from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.recorder import EventRecorder
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline


@pytest.fixture
def clock():
    return SteppedClock(start=1_767_225_600.0)  # 2026-01-01T00:00:00Z


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def make(clock, metrics):
    closing = []

    def make(script=lambda call: call.json({}), *, start=True, **kwargs):
        server = ScriptedServer(script)
        client = Client(ApiAccess(server.url), qps=0, clock=clock)
        arguments = {"component": "vk/pod-controller", "host": "vk", "clock": clock, "metrics": metrics}
        recorder = EventRecorder(client, **arguments, chance=lambda: 0.0, **kwargs)
        closing.append((recorder, client, server))
        if start:
            recorder.start()
        return recorder, server

    yield make
    for recorder, client, server in closing:
        recorder.stop(Deadline(10))
        client.close()
        server.close()


def counted(metrics, result):
    return metrics.registry.get_sample_value("virtual_kubelet_events_total", {"result": result})


def calls(server, count):
    return eventually(lambda: len(server.calls) >= count and server.calls)


POD = make_pod("web", "shop", uid="uid-1", metadata={"resourceVersion": "7"})


def test_a_new_event(make):
    recorder, server = make()
    recorder.event(POD, "Warning", "ProviderCreateFailed", "no room", field_path="spec.containers{main}")
    call = calls(server, 1)[0]
    assert (call.method, call.path) == ("POST", "/api/v1/namespaces/shop/events")
    body = call.object
    name = body["metadata"].pop("name")
    assert name.startswith("web.18")
    assert int(name[4:], 16) // 10**9 == 1_767_225_600
    assert body == {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": "shop"},
        "involvedObject": {
            "kind": "Pod",
            "namespace": "shop",
            "name": "web",
            "uid": "uid-1",
            "apiVersion": "v1",
            "resourceVersion": "7",
            "fieldPath": "spec.containers{main}",
        },
        "type": "Warning",
        "reason": "ProviderCreateFailed",
        "message": "no room",
        "count": 1,
        "firstTimestamp": "2026-01-01T00:00:00Z",
        "lastTimestamp": "2026-01-01T00:00:00Z",
        "source": {"component": "vk/pod-controller", "host": "vk"},
        "reportingComponent": "vk/pod-controller",
        "reportingInstance": "vk",
    }


def test_the_same_again_counts_up(make, clock):
    recorder, server = make()
    recorder.event(POD, "Warning", "BackOff", "again")
    created = calls(server, 1)[0].object
    clock.advance(60)
    recorder.event(POD, "Warning", "BackOff", "again")
    call = calls(server, 2)[1]
    assert (call.method, call.path) == (
        "PATCH",
        f"/api/v1/namespaces/shop/events/{created['metadata']['name']}",
    )
    assert call.object == {"count": 2, "lastTimestamp": "2026-01-01T00:01:00Z", "message": "again"}


def test_an_event_that_has_expired_is_created_anew(make):
    answers = in_turn(lambda c: c.json({}), lambda c: c.status(404, "NotFound"), lambda c: c.json({}))
    recorder, server = make(answers)
    recorder.event(POD, "Normal", "R", "m")
    recorder.event(POD, "Normal", "R", "m")
    made = calls(server, 3)
    assert [call.method for call in made] == ["POST", "PATCH", "POST"]
    assert made[2].object["count"] == 2
    assert made[2].object["metadata"]["name"] != made[0].object["metadata"]["name"]


def test_events_of_a_node_are_in_the_default_namespace(make):
    recorder, server = make()
    recorder.event({"metadata": {"name": "vk", "uid": "n"}}, "Normal", "Starting", "hello")
    call = calls(server, 1)[0]
    assert call.path == "/api/v1/namespaces/default/events"
    assert call.object["involvedObject"] == {"kind": "Node", "name": "vk", "uid": "n", "apiVersion": "v1"}


def test_long_names_and_messages_are_cut_and_secrets_left_out(make):
    recorder, server = make()
    pod = make_pod("x" * 240 + ".y" * 6)
    recorder.event(pod, "Normal", "R", "Bearer abcdefghijkl " + "m" * 2000)
    body = calls(server, 1)[0].object
    assert len(body["metadata"]["name"]) <= 253
    assert ".." not in body["metadata"]["name"]
    assert len(body["message"]) == 1024
    assert body["message"].startswith("Bearer [redacted] m")


def test_names_differ_even_in_the_same_nanosecond(make):
    recorder, server = make()
    for n in range(5):
        recorder.event(POD, "Normal", f"R{n}", "m")
    names = [call.object["metadata"]["name"] for call in calls(server, 5)]
    assert len(set(names)) == 5


def test_event_never_blocks_and_success_goes_first_when_it_is_full(make, metrics):
    recorder, server = make(queue_size=4, start=False)
    for n in range(4):
        recorder.event(POD, "Normal", f"Good{n}", "m")
    recorder.event(POD, "Warning", "Bad0", "m")  # in the place of Good0
    recorder.event(POD, "Normal", "Good4", "m")  # no place
    recorder.event(POD, "Warning", "Bad1", "m")  # in the place of Good1
    assert counted(metrics, "dropped") == 3
    recorder.start()
    reasons = [call.object["reason"] for call in calls(server, 4)]
    assert reasons == ["Good2", "Good3", "Bad0", "Bad1"]
    eventually(lambda: counted(metrics, "sent") == 4)


def test_a_queue_full_of_warnings_drops_the_new(make, metrics):
    recorder, _ = make(queue_size=2, start=False)
    for n in range(5):
        recorder.event(POD, "Warning", f"Bad{n}", "m")
    assert counted(metrics, "dropped") == 3


@pytest.mark.parametrize("qps", [50, 0])
def test_there_is_always_a_limit(make, clock, qps):
    recorder, server = make(qps=qps, burst=3)
    for n in range(5):
        recorder.event(make_pod(f"p{n}"), "Normal", "R", "m")
    calls(server, 3)
    clock.block_until(1)
    assert clock.next_deadline() == pytest.approx(0.02)
    assert len(server.calls) == 3
    clock.advance(0.02)
    calls(server, 4)
    clock.block_until(1)
    clock.advance(1)
    calls(server, 5)


def test_too_many_about_one_object_are_left_out(make, metrics):
    recorder, server = make()
    for n in range(40):
        recorder.event(POD, "Normal", f"R{n}", "m")
    eventually(lambda: counted(metrics, "filtered") == 15)
    assert len(server.calls) == 25


def test_many_similar_ones_are_combined(make):
    recorder, server = make()
    for n in range(12):
        recorder.event(POD, "Warning", "Unhealthy", f"probe {n}")
    made = calls(server, 12)
    assert made[9].object["message"] == "(combined from similar events): probe 9"
    assert made[11].method == "PATCH"
    assert made[11].object["message"] == "(combined from similar events): probe 11"


def test_an_api_server_that_is_away_is_tried_again_within_bounds(make, clock, metrics):
    recorder, server = make(in_turn(*[lambda c: c.status(500)] * 14, lambda c: c.json({})))
    recorder.event(POD, "Normal", "R", "m")
    recorder.event(POD, "Normal", "S", "m")
    pauses = []
    while counted(metrics, "failed") == 0:
        clock.block_until(1)
        pauses.append(clock.next_deadline() - clock.monotonic())
        clock.advance(pauses[-1])
        eventually(lambda: clock.next_deadline() is not None or counted(metrics, "failed"))
    assert pauses[:5] == [1, 2, 4, 8, 10]
    assert sum(pauses) <= 120
    while counted(metrics, "sent") == 0:
        clock.block_until(1)
        clock.advance(10)
        eventually(lambda: clock.next_deadline() is not None or counted(metrics, "sent"))
    assert server.calls[-1].object["reason"] == "S"


@pytest.mark.parametrize(
    ("answer", "complaints"),
    [
        (lambda c: c.status(404, "NotFound", 'namespaces "shop" not found'), 0),
        (lambda c: c.status(403, "Forbidden", "ending", causes=[{"reason": "NamespaceTerminating"}]), 0),
        (lambda c: c.status(403, "Forbidden", "no right to create events"), 1),
        (lambda c: c.status(422, "Invalid", "odd"), 1),
    ],
)
def test_refused_events_are_dropped_quietly(make, metrics, caplog, answer, complaints):
    recorder, server = make(answer)
    for n in range(3):
        recorder.event(POD, "Normal", f"R{n}", "m")
    eventually(lambda: counted(metrics, "failed") == 3)
    assert len(server.calls) == 3
    assert caplog.text.count("an event was refused") == complaints


def test_an_event_whose_answer_was_lost_is_not_doubled(make, clock, metrics):
    recorder, server = make(
        in_turn(lambda c: c.cut(), lambda c: c.status(409, "AlreadyExists"), lambda c: c.json({}))
    )
    recorder.event(POD, "Normal", "R", "m")
    clock.block_until(1)
    clock.advance(1)
    recorder.event(POD, "Normal", "R", "m")
    first, second, third = calls(server, 3)
    assert first.object["metadata"]["name"] == second.object["metadata"]["name"]
    assert third.method == "PATCH"
    eventually(lambda: counted(metrics, "sent") == 2)


def test_stop_writes_what_is_queued(make, metrics, monkeypatch):
    monkeypatch.setattr("virtual_kubelet.kube.recorder.FLUSH", 30.0)
    recorder, server = make()
    for n in range(10):
        recorder.event(POD, "Normal", f"R{n}", "m")
    recorder.stop(Deadline(30))
    assert len(server.calls) == 10
    recorder.event(POD, "Normal", "Late", "m")
    assert counted(metrics, "dropped") == 1


def test_stop_does_not_wait_for_an_api_server_that_is_away(make, clock, metrics):
    recorder, _ = make(lambda c: c.status(503))
    for n in range(10):
        recorder.event(POD, "Normal", f"R{n}", "m")
    clock.block_until(1)
    recorder.stop(Deadline(0.2))
    recorder.stop(Deadline(10))
    assert not recorder._thread.is_alive()
    eventually(lambda: counted(metrics, "failed") + counted(metrics, "dropped") == 10)


def test_stop_before_start(make):
    recorder, _ = make(start=False)
    recorder.stop(Deadline(1))
    recorder.start()
    assert recorder._thread is None
    assert threading.active_count()


@pytest.mark.fails_inside
def test_an_event_that_cannot_be_written_is_not_the_last(make, metrics):
    recorder, server = make()
    recorder.event(POD, "Warning", "Odd", "cannot open '\udcff'")
    recorder.event(POD, "Warning", "Later", "m")
    eventually(lambda: len(server.calls) == 1)
    assert counted(metrics, "failed") == 1
