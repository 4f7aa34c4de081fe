"""What holds the start of an agent back."""

from __future__ import annotations

import pytest
from support.waiting import eventually

from virtual_kubelet.errors import ApiUnavailable, ConfigError
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import load
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.node.api_gate import ApiGate
from virtual_kubelet.node.synced import Synced
from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.settings import Settings


@pytest.fixture
def client(plane, tmp_path):
    path = tmp_path / "kubeconfig"
    plane.write_kubeconfig(str(path))
    client = Client(load(str(path)), qps=0)
    yield client
    client.close()


def gate(client, **settings):
    return ApiGate(client, Settings(node_name="vk", **settings))


def test_an_open_gate_knows_where_it_leads(client):
    opened = gate(client)
    assert not opened.open
    opened.start()
    assert opened.open
    assert opened.version >= (1, 36)
    assert opened.cluster_id
    assert opened.node_ip == "127.0.0.1"


def test_an_address_of_ones_own_choice(client):
    opened = gate(client, node_ip="10.0.0.9")
    opened.start()
    assert opened.node_ip == "10.0.0.9"


def test_what_may_not_be_read_is_done_without(client, plane):
    plane.faults.fail(403, times=-1, resource="namespaces")
    opened = gate(client)
    opened.start()
    assert opened.cluster_id == ""


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ({"major": "1", "minor": "29+"}, (1, 29)),
        ({"major": "", "minor": None}, (0, 0)),
        ("ok", (0, 0)),
        ({}, (0, 0)),
    ],
)
def test_versions_are_written_in_many_ways(client, monkeypatch, answer, version):
    monkeypatch.setattr(client, "get_path", lambda *_a, **_o: answer)
    opened = gate(client)
    opened.start()
    assert opened.version == version


def informer(client):
    return Informer(client, PODS, field_selector="spec.nodeName=vk")


def test_lists_that_are_forbidden_end_the_start(client, plane):
    plane.faults.fail(403, times=-1, resource="pods")
    pods = informer(client)
    pods.start()
    with pytest.raises(ConfigError, match="does not let this agent watch"):
        Synced([pods], timeout=30).start()
    pods.stop(Deadline(5))


def test_lists_that_do_not_come_end_it_in_time(client, plane):
    plane.faults.fail(500, times=-1, resource="pods")
    pods = informer(client)
    pods.start()
    with pytest.raises(ApiUnavailable, match="within 0.1 s"):
        Synced([pods], timeout=0.1).start()
    pods.stop(Deadline(5))


def test_a_stop_ends_the_wait(client):
    called = []
    waiting = Synced([informer(client)], lambda: called.append(1), timeout=0)
    thread = spawn(waiting.start, name="starter")
    waiting.stop(Deadline(1))
    thread.join(30)
    assert not thread.is_alive()
    assert called == []


def test_lists_that_are_there_let_it_go_on(client):
    called = []
    pods = informer(client)
    pods.start()
    Synced([pods], lambda: called.append(1), timeout=30).start()
    pods.stop(Deadline(5))
    eventually(lambda: called == [1])
