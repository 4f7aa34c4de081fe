"""Faults and the record of requests: what other tests stand on."""

from __future__ import annotations

import itertools
import threading
from types import SimpleNamespace

import pytest
import urllib3
from support.devapi import Api, control_plane
from support.waiting import eventually

from virtual_kubelet import codec
from virtual_kubelet.devapi import state
from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.devapi.state import DataDirectory
from virtual_kubelet.devapi.storage.memory import HistoryExpired, MemoryStorage
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn

MAPS = "/api/v1/namespaces/default/configmaps"
A = {"metadata": {"name": "a"}}


def test_requests_are_recorded_in_the_words_of_rbac(api, plane):
    plane.requests.clear()
    api.create(MAPS, A)
    api.get(f"{MAPS}/nobody")
    api.strategic("/api/v1/namespaces/default/pods/web/status", {})
    made, missing, patched = plane.requests.all()
    assert (made.verb, made.resource, made.namespace, made.status) == ("create", "configmaps", "default", 201)
    assert made.user == "kubernetes-admin"
    assert "system:masters" in made.groups
    assert (missing.name, missing.status) == ("nobody", 404)
    assert (patched.verb, patched.subresource) == ("patch", "status")
    assert plane.requests.all(verb="get") == [missing]
    Api(plane, token="wrong").get(MAPS)
    assert plane.requests.all(status=401)[0].user == ""


def test_failures(api, plane):
    plane.faults.fail(503, times=2, verb="create", resource="configmaps")
    for _ in range(2):
        answer = api.create(MAPS, A)
        assert (answer.status, answer.json["reason"]) == (503, "ServiceUnavailable")
    assert api.get(MAPS).status == 200
    assert api.create(MAPS, A).status == 201


def test_failures_say_when_to_come_again(api, plane):
    plane.faults.fail(429, retry_after=7)
    answer = api.get(MAPS)
    assert (answer.status, answer.headers["Retry-After"]) == (429, "7")


def test_standing_faults(api, plane):
    fault = plane.faults.fail(500, times=-1, user="kubernetes-admin", name="a")
    assert [api.get(f"{MAPS}/a").status for _ in range(3)] == [500] * 3
    assert fault.hits == 3
    plane.faults.remove(fault)
    assert api.get(f"{MAPS}/a").status == 404
    plane.faults.fail(500, times=-1)
    plane.faults.clear()
    assert api.get(MAPS).status == 200


@pytest.mark.parametrize(("done", "there"), [(False, 404), (True, 200)])
def test_lost_answers(api, plane, done, there):
    plane.faults.lose(done=done, verb="create")
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.create(MAPS, A)
    assert api.get(f"{MAPS}/a").status == there


def test_delays_end_with_the_server(api, plane):
    plane.faults.delay(60, verb="create")
    answers = []

    def ask():
        try:
            answers.append(api.create(MAPS, A))
        except urllib3.exceptions.HTTPError as error:
            answers.append(error)

    asking = spawn(ask, name="asking")
    eventually(lambda: plane.faults.waiting == 1)
    plane.stop(Deadline(10))
    asking.join(30)
    assert len(answers) == 1


def test_stop_and_start_keep_address_objects_and_tokens(api, plane):
    url, token = plane.url, plane.token("bob", ["system:masters"])
    api.create(MAPS, A)
    version = api.get(MAPS).json["metadata"]["resourceVersion"]
    plane.stop(Deadline(10))
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.get(MAPS)
    plane.stop(Deadline(1))
    plane.start()
    assert plane.url == url
    bob = Api(plane, token=token)
    assert bob.get(f"{MAPS}/a").status == 200
    with bob.watch(MAPS, resourceVersion=version) as events:
        bob.merge(f"{MAPS}/a", {"data": {"a": "b"}})
        assert events.next()[0] == "MODIFIED"
    bob.close()


def test_a_data_directory_outlives_the_process(tmp_path):
    directory = tmp_path / "data"
    with control_plane(data_dir=str(directory)) as plane:
        api = Api(plane)
        made = api.create(MAPS, A).json
        ca, token = plane.ca, api.token
        api.close()
    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}
    with control_plane(data_dir=str(directory)) as plane:
        assert plane.ca == ca
        api = Api(plane, token=token)
        assert api.get(f"{MAPS}/a").json == made
        later = api.create(MAPS, {"metadata": {"name": "b"}}).json
        assert int(later["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])
        api.close()


def test_no_version_is_given_out_again_after_a_crash(tmp_path):
    """Who heard of it would miss what happened since under the same number."""
    told = []
    for number in range(3):
        # Each but the last is killed before it has saved this.
        storage = ControlPlane(data_dir=str(tmp_path)).storage
        for version in told:
            with pytest.raises(HistoryExpired):
                storage.subscribe("pods", "", version, lambda _: True)
        told.append(storage.create("pods", "default", f"p{number}", {"metadata": {}}).version)


class Watched:
    """A lock that lets a test know that somebody has to wait for it."""

    def __init__(self):
        self._lock = threading.Lock()
        self.awaited = threading.Event()

    def __enter__(self):
        if not self._lock.acquire(blocking=False):
            self.awaited.set()
            self._lock.acquire()

    def __exit__(self, *error):
        self._lock.release()


def test_an_older_snapshot_does_not_replace_a_newer_one(tmp_path, monkeypatch):
    """The periodic one stands still before it is written, and `stop` saves meanwhile."""
    data, storage = DataDirectory(str(tmp_path)), MemoryStorage()
    data._saving = saving = Watched()
    calls, threads = itertools.count(), []

    def dumps_slowly(value):
        if next(calls) == 0:
            storage.create("configmaps", "default", "last", {"metadata": {"name": "last"}})
            threads.append(spawn(data.save_objects, storage, name="stop"))
            eventually(lambda: saving.awaited.is_set() or not threads[0].is_alive())
        return codec.dumps(value)

    monkeypatch.setattr(state, "codec", SimpleNamespace(dumps=dumps_slowly, loads=codec.loads))
    data.save_objects(storage)
    assert join_all(threads, Deadline(30)) == []
    saved = MemoryStorage()
    assert data.load_objects(saved)
    assert saved.get("configmaps", "", "last")


@pytest.mark.parametrize("content", ["", "{", "{}"])
def test_a_damaged_data_directory_is_named(tmp_path, content):
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.json"), control_plane(data_dir=str(tmp_path)):
        pass


def test_loopback_only():
    with pytest.raises(ConfigError, match="loopback only"), control_plane(address="0.0.0.0"):
        pass


def test_a_port_that_is_taken(plane):
    port = int(plane.url.rpartition(":")[2])
    with pytest.raises(ConfigError), control_plane(port=port):
        pass


def test_a_stepped_clock_stamps_objects():
    clock = SteppedClock(1_767_323_045.0)
    with control_plane(clock=clock) as plane:
        record = plane.storage.get("namespaces", "", "default")
        assert record.body["metadata"]["creationTimestamp"] == "2026-01-02T03:04:05Z"
