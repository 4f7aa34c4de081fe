from __future__ import annotations

import pytest
from support.kubelet import ReviewingClient
from support.waiting import eventually

from virtual_kubelet.errors import ApiForbidden, ApiNotFound, ApiUnavailable
from virtual_kubelet.kubelet.client_ca import ClusterClientCa
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline


def config_map(pem):
    return {"data": {"client-ca-file": pem, "requestheader-client-ca-file": "other"}}


@pytest.fixture
def started():
    clock, client = SteppedClock(), ReviewingClient(config_map=config_map("one"))
    source = ClusterClientCa(client, clock=clock)

    def step(seconds):
        clock.block_until(1)
        clock.advance(seconds)
        clock.block_until(1)

    yield source, client, clock, step
    source.stop(Deadline(5))


def test_it_is_read_and_read_again_each_minute(started):
    source, client, _, step = started
    assert source() is None
    source.start()
    eventually(lambda: source() == b"one")
    client.config_map = config_map("two")
    step(30)
    assert source() == b"one"
    step(40)
    eventually(lambda: source() == b"two")


def test_an_api_server_that_is_away_is_asked_again_soon(started, caplog):
    source, client, _, step = started
    client.config_map = ApiUnavailable("away")
    source.start()
    step(6)
    assert source() is None
    client.config_map = config_map("one")
    step(6)
    eventually(lambda: source() == b"one")
    assert caplog.text.count("--client-ca-file is not set") == 1


@pytest.mark.parametrize(
    "answer", [ApiForbidden("no"), ApiNotFound("none"), {}, {"data": {}}, config_map(" \n")]
)
def test_a_cluster_that_does_not_tell(started, caplog, answer):
    source, client, _, step = started
    client.config_map = answer
    source.start()
    for _ in range(3):
        step(61)
    assert source() is None
    assert caplog.text.count("client certificates are not accepted") == 1


@pytest.mark.parametrize("answer", [ApiForbidden("no"), ApiUnavailable("away"), {"data": {}}])
def test_what_was_known_stays(started, answer):
    source, client, _, step = started
    source.start()
    eventually(lambda: source() == b"one")
    client.config_map = answer
    for _ in range(2):
        step(70)
    assert source() == b"one"
