from __future__ import annotations

import logging
import threading

import pytest
from support.fake_api import FakeApi
from support.ports import held_port
from support.waiting import eventually

from virtual_kubelet.errors import ApiForbidden
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline


class Heard:
    """What handlers were told, as (name, old version, new version)."""

    def __init__(self):
        self.changes = []

    def __call__(self, old, new):
        name = (new or old)["metadata"]["name"]
        self.changes.append(
            (name, *(int(x["metadata"]["resourceVersion"]) if x else None for x in (old, new)))
        )

    def take(self, count):
        eventually(lambda: len(self.changes) >= count)
        taken, self.changes = self.changes, []
        return taken


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def metrics():
    return Metrics()


@pytest.fixture
def api():
    with held_port() as port, FakeApi(port=port) as api:
        yield api


@pytest.fixture
def make(api, clock, metrics):
    closing = []

    def make(url=None, **kwargs):
        client = Client(ApiAccess(url or api.url), qps=0, clock=clock)
        informer = Informer(
            client, PODS, **{"clock": clock, "metrics": metrics, "chance": lambda: 0.0, **kwargs}
        )
        closing.append((informer, client))
        return informer

    yield make
    for informer, client in closing:
        informer.stop(Deadline(10))
        client.close()


@pytest.fixture
def started(make):
    def started(**kwargs):
        informer = make(**kwargs)
        heard = Heard()
        informer.add_handler(heard)
        informer.start()
        return informer, heard

    return started


@pytest.fixture
def watching(api, started):
    """The same, and wait until it watches: what happens next is an event, not a part of the list."""

    def watching(**kwargs):
        informer, heard = started(**kwargs)
        eventually(lambda: api.watching)
        heard.take(len(api.objects))
        return informer, heard

    return watching


def synced(informer):
    eventually(lambda: informer.synced)
    return informer


def step(clock, seconds=60):
    """Let a pause of the reflector pass."""
    clock.block_until(1)
    clock.advance(seconds)


def test_what_is_there_and_what_comes(api, started):
    api.put("a")
    informer, heard = started()
    assert heard.take(1) == [("a", None, 11)]
    api.put("b")
    api.put("a")
    api.remove("b")
    assert heard.take(3) == [("b", None, 12), ("a", 11, 13), ("b", 14, None)]
    assert informer.store.keys() == ["ns/a"]
    assert informer.store.get("ns/a")["metadata"]["resourceVersion"] == "13"


def test_what_is_asked(api, make):
    informer = make(namespace="ns", field_selector="spec.nodeName=vk", label_selector="a=b")
    informer.start()
    synced(informer)
    eventually(lambda: api.watching)
    selectors = {"fieldSelector": "spec.nodeName=vk", "labelSelector": "a=b"}
    assert api.requests(watch=False) == [{**selectors, "resourceVersion": "0"}]
    (asked,) = api.requests(watch=True)
    assert asked == selectors | {
        "watch": "true",
        "resourceVersion": "10",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "300",
    }
    assert {call.path for call in api.server.calls} == {"/api/v1/namespaces/ns/pods"}


@pytest.mark.fails_inside
def test_handlers_run_in_order_with_the_store_ready(api, make):
    informer = make()
    seen = []
    informer.add_handler(lambda old, new: seen.append(("first", len(informer.store), informer.synced)))
    informer.add_handler(lambda old, new: 1 / 0)
    informer.add_handler(lambda old, new: seen.append(("last", threading.current_thread().name)))
    api.put("a")
    informer.start()
    synced(informer)
    assert seen == [("first", 1, False), ("last", "informer-pods")]
    with pytest.raises(RuntimeError, match="before start"):
        informer.add_handler(print)


@pytest.mark.fails_inside
def test_a_handler_that_fails_is_logged(api, make, caplog):
    informer = make()
    informer.add_handler(lambda old, new: 1 / 0)
    api.put("a")
    informer.start()
    synced(informer)
    assert "a handler failed for ns/a" in caplog.text


def test_objects_are_trimmed_and_typed_as_they_arrive(api, make):
    informer = make(transform=lambda item: {**item, "trimmed": True})
    api.put("a")
    informer.start()
    synced(informer)
    api.put("b")
    eventually(lambda: len(informer.store) == 2)
    for item in informer.store.list():
        assert "managedFields" not in item["metadata"]
        assert item["trimmed"]
        assert (item["kind"], item["apiVersion"]) == ("Pod", "v1")


@pytest.mark.fails_inside
def test_a_transform_that_fails_loses_one_object(api, make, caplog):
    def transform(item):
        return item["spec"] and item

    informer = make(transform=transform)
    api.put("bad")
    api.put("good", spec={"x": 1})
    informer.start()
    synced(informer)
    api.put("worse")
    api.put("better", spec={"x": 1})
    eventually(lambda: informer.store.keys() == ["ns/good", "ns/better"])
    assert "bad is ignored" in caplog.text
    assert "worse is ignored" in caplog.text


# -- our own writes -------------------------------------------------------------------------------------


def test_an_answer_to_a_write_is_in_the_store_before_its_echo(api, watching):
    api.put("a")
    informer, heard = watching()
    answer = api.put("a", status={"phase": "Running"})
    informer.put(answer)
    assert informer.store.get("ns/a")["status"] == {"phase": "Running"}
    assert "managedFields" not in informer.store.get("ns/a")["metadata"]
    assert heard.take(1) == [("a", 11, 12)], "told once, by the echo"
    api.put("b")
    assert heard.take(1) == [("b", None, 13)]


def test_what_others_changed_in_the_answer_of_our_write_is_told(api, watching):
    """A deletion and our patch cross: the answer has both, and the deletion's own event is older than it."""
    first = api.put("a")
    informer, heard = watching()
    with api.condition:  # both are done before the watch says anything
        api.put("a", deleting=True)
        answer = api.put("a", deleting=True, status="ours")
        informer.put(answer)
    told = heard.take(1)
    assert told == [("a", int(first["metadata"]["resourceVersion"]), 13)]
    assert informer.store.get("ns/a")["deleting"]


def test_an_answer_that_comes_too_late_resurrects_nothing(api, watching):
    api.put("a")
    informer, _heard = watching()
    answer = api.put("a")
    api.remove("a")
    eventually(lambda: len(informer.store) == 0)
    assert informer.put(answer) is False
    assert informer.store.get("ns/a") is None


# -- gaps -----------------------------------------------------------------------------------------------


def test_a_watch_that_ends_is_resumed_without_a_list(api, clock, watching):
    _, heard = watching()
    clock.advance(400)
    api.event("CLOSE", {})
    api.put("a")
    assert heard.take(1) == [("a", None, 11)]
    assert len(api.requests(watch=False)) == 1


def test_a_connection_that_breaks_is_resumed(api, clock, watching):
    _, heard = watching()
    api.put("a")
    heard.take(1)
    api.event("CUT", {})
    eventually(lambda: not api.watching)
    api.put("b")
    step(clock, 0.25)
    assert heard.take(1) == [("b", None, 12)]
    assert [query["resourceVersion"] for query in api.requests(watch=True)] == ["10", "11"]


def test_after_410_the_newest_list_is_taken_in_pages_and_the_differences_told(
    api, clock, watching, monkeypatch
):
    monkeypatch.setattr("virtual_kubelet.pure.list_watch.PAGE_SIZE", 2)
    for name in "abc":
        api.put(name)
    informer, heard = watching()
    api.event("CUT", {})
    eventually(lambda: not api.watching)
    api.remove("a")
    api.put("b")
    api.put("d")
    api.put("e")
    api.forget_history()
    step(clock, 0.25)
    assert sorted(heard.take(4)) == [("a", 11, None), ("b", 12, 15), ("d", None, 16), ("e", None, 17)]
    lists = api.requests(watch=False)
    assert [(q.get("resourceVersion"), q.get("limit"), q.get("continue")) for q in lists] == [
        ("0", None, None),
        (None, "2", None),
        (None, "2", "2"),
    ]
    assert sorted(informer.store.keys()) == ["ns/b", "ns/c", "ns/d", "ns/e"]


@pytest.mark.parametrize(
    "refusal",
    [
        lambda call: call.status(410, "Expired"),
        lambda call: call.status(504, "Timeout", "Too large resource version: 12, current: 10"),
        lambda call: call.status(504, "Timeout", "?", causes=[{"reason": "ResourceVersionTooLarge"}]),
    ],
)
def test_a_first_list_that_the_server_cannot_give(api, started, refusal):
    api.put("a")
    api.list_faults.append(refusal)
    _, heard = started()
    assert heard.take(1) == [("a", None, 11)]
    assert [query.get("resourceVersion") for query in api.requests(watch=False)] == ["0", None]


def test_a_page_that_is_forgotten_meanwhile(api, clock, started, monkeypatch):
    monkeypatch.setattr("virtual_kubelet.pure.list_watch.PAGE_SIZE", 1)
    api.put("a")
    api.put("b")
    api.list_faults += [
        lambda call: call.status(410, "Expired"),
        api._list,
        lambda call: call.status(410, "Expired"),
    ]
    _, heard = started()
    step(clock, 1)
    assert len(heard.take(2)) == 2
    assert [(q.get("limit"), q.get("continue")) for q in api.requests(watch=False)] == [
        (None, None),
        ("1", None),
        ("1", "1"),
        (None, None),
    ]


def test_an_api_server_that_restarts_is_found_at_once(api, clock, make, caplog):
    caplog.set_level(logging.INFO)
    informer = make()
    heard = Heard()
    informer.add_handler(heard)
    api.put("a")
    informer.start()
    heard.take(1)
    port = api.server.port
    api.close()
    for _ in range(12):
        step(clock, 5)
    clock.block_until(1)
    assert clock.next_deadline() - clock.monotonic() <= 7.5, "never more than seconds behind"
    with FakeApi(port=port) as again:
        again.version = api.version
        again.put("b")
        clock.advance(8)
        assert heard.take(1) == [("b", None, 12)]
        informer.stop(Deadline(10))
    said = [r.message for r in caplog.records if "cannot be reached" in r.message]
    assert 4 <= len(said) <= 8, "about once in ten seconds"
    assert "works again after" in caplog.text


def test_an_unreachable_server_at_the_start(api, clock, make, caplog):
    informer = make(url="http://127.0.0.1:1")
    informer.start()
    clock.block_until(1)
    assert not informer.synced
    assert "Connection refused" in str(informer.last_error)
    assert "pods: the API server 127.0.0.1:1 cannot be reached" in caplog.text


def test_a_server_that_closes_every_watch_is_not_hammered(api, clock, started):
    api.watch_faults = [lambda call: call.stream().end()] * 50
    started()
    pauses = []
    for _ in range(7):
        clock.block_until(1)
        pauses.append(round(clock.next_deadline() - clock.monotonic(), 3))
        clock.advance(pauses[-1])
    assert pauses == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30]
    assert len(api.requests(watch=True)) <= 8
    assert len(api.requests(watch=False)) == 1


def test_410_again_and_again_is_not_hammered(api, clock, started):
    error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "old"}
    api.watch_faults = [lambda call: (call.stream().event("ERROR", error), call.end())] * 50
    started()
    for pause in (0.8, 1.6, 3.2):
        clock.block_until(1)
        assert clock.next_deadline() - clock.monotonic() == pytest.approx(pause)
        clock.advance(pause)


@pytest.mark.parametrize("code", [403, 500])
def test_lists_that_are_refused(api, clock, started, code, caplog):
    api.list_faults = [lambda call: call.status(code, message="not for you")] * 3
    informer, _ = started()
    for _ in range(3):
        clock.block_until(1)
        assert "not for you" in str(informer.last_error)
        if code == 403:
            assert isinstance(informer.last_error, ApiForbidden)
        clock.advance(60)
    synced(informer)
    eventually(lambda: informer.last_error is None)
    assert "not for you" in caplog.text


def test_a_server_that_names_a_time_is_left_alone_until_then(api, clock, started):
    api.list_faults = [lambda call: call.status(429, headers={"Retry-After": "20"})]
    informer, _ = started()
    clock.block_until(1)
    assert clock.next_deadline() == 20
    clock.advance(20)
    synced(informer)


@pytest.mark.parametrize(
    "answer", [{}, {"metadata": {}}, {"metadata": 5, "items": []}, {"metadata": {"resourceVersion": 5}}]
)
def test_a_list_that_is_none(api, clock, started, answer):
    api.list_faults = [lambda call: call.json(answer)]
    informer, _ = started()
    step(clock)
    synced(informer)


def test_a_list_of_nothing(api, started):
    api.list_faults = [lambda call: call.json({"metadata": {"resourceVersion": "10"}, "items": None})]
    informer, heard = started()
    synced(informer)
    api.put("a")
    assert heard.take(1) == [("a", None, 11)]


# -- what no server should send -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "item"),
    [
        ("ADDED", {}),
        ("ADDED", {"metadata": None}),
        ("MODIFIED", {"metadata": {"name": 5}}),
        ("BOOKMARK", {}),
        ("INVENTED", {"metadata": {"name": "x", "resourceVersion": "99"}}),
    ],
)
def test_odd_events_are_ignored(api, watching, kind, item):
    informer, heard = watching()
    api.event(kind, item)
    api.put("a")
    assert heard.take(1) == [("a", None, 11)]
    assert informer.store.keys() == ["ns/a"]
    assert len(api.requests(watch=True)) == 1


def test_nonsense_in_the_stream_is_followed_by_a_list(api, clock, started):
    def nonsense(call):
        call.stream().chunk(b'{"type": "ADDED", "object"\n')
        call.hold()

    api.watch_faults = [nonsense]
    _, heard = started()
    clock.block_until(1)
    api.put("a")
    step(clock)
    assert heard.take(1) == [("a", None, 11)]
    assert [query.get("resourceVersion") for query in api.requests(watch=False)] == ["0", None]


@pytest.mark.fails_inside
@pytest.mark.parametrize("where", ["replace", "apply"])
def test_a_mistake_of_our_own_is_logged_and_survived(api, clock, make, monkeypatch, caplog, where):
    informer = make()
    whole = getattr(informer.store, where)

    def broken(*arguments):
        monkeypatch.setattr(informer.store, where, whole)
        raise TypeError("a mistake")

    monkeypatch.setattr(informer.store, where, broken)
    informer.start()
    if where == "apply":
        eventually(lambda: api.watching)
    api.put("a")
    step(clock)
    eventually(lambda: informer.store.get("ns/a") is not None)
    assert "a mistake" in caplog.text


def test_an_error_in_the_stream_backs_off_and_resumes(api, clock, started):
    error = {"kind": "Status", "code": 500, "reason": "InternalError", "message": "etcd"}
    api.watch_faults = [lambda call: (call.stream().event("ERROR", error), call.end())]
    _, heard = started()
    step(clock, 0.8)
    api.put("a")
    assert heard.take(1) == [("a", None, 11)]
    assert len(api.requests(watch=False)) == 1


def test_bookmarks_move_the_version_on(api, clock, watching):
    informer, _ = watching()
    api.bookmark()
    eventually(lambda: informer._reflector._bookmarks)
    api.event("CUT", {})
    step(clock, 0.25)
    eventually(lambda: len(api.requests(watch=True)) == 2)
    assert api.requests(watch=True)[1]["resourceVersion"] == "11"


# -- life -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["list_faults", "watch_faults"])
def test_stop_cuts_off_a_request_that_is_not_answered(api, make, where):
    entered = threading.Event()
    setattr(api, where, [lambda call: (entered.set(), call.hold())])
    informer = make()
    informer.start()
    entered.wait(30)
    informer.stop(Deadline(30))
    assert not informer._thread.is_alive()
    assert not informer.wait_synced(None) or where == "watch_faults"


def test_stop_ends_a_quiet_watch_and_a_pause(api, make, clock):
    for url in (api.url, "http://127.0.0.1:1"):
        informer = make(url=url)
        informer.start()
        eventually(lambda: api.watching) if url == api.url else clock.block_until(1)
        informer.stop(Deadline(30))
        informer.stop(Deadline(30))
        assert not informer._thread.is_alive()


def test_stop_before_start(make):
    informer = make()
    informer.stop(Deadline(1))
    informer.start()
    assert informer._thread is None
    assert not informer.wait_synced()


def test_wait_synced_can_time_out(make, clock):
    informer = make()
    results = []
    thread = threading.Thread(target=lambda: results.append(informer.wait_synced(5)))  # noqa: TID251
    thread.start()
    clock.block_until(1)
    clock.advance(5)
    thread.join(30)
    assert results == [False]


def test_resync_tells_of_everything_once_a_period_spread_over_it(api, clock, make):
    for n in range(10):
        api.put(str(n))
    informer = make(resync_period=10)
    told = []
    informer.add_handler(
        lambda old, new: old is new and told.append((clock.monotonic(), new["metadata"]["name"]))
    )
    informer.start()
    synced(informer)
    for _ in range(10):
        step(clock, 1)
    eventually(lambda: len(told) == 10)
    assert sorted(name for _, name in told) == [str(n) for n in range(10)]
    assert sorted({at for at, _ in told}) == [float(n) for n in range(1, 11)]


def test_numbers(api, metrics, watching):
    api.put("a")
    _, heard = watching()
    api.put("b")
    heard.take(1)

    def value(name, **labels):
        return metrics.registry.get_sample_value(
            f"virtual_kubelet_informer_{name}", {"resource": "pods", **labels}
        )

    assert value("objects") == 2
    assert value("synced") == 1
    assert value("lists_total") == 1
    assert value("events_total", type="ADDED") == 1
