"""The heartbeat."""

from __future__ import annotations

import pytest
from support.nodehost import LEASE, NodeHost
from support.provider import ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.errors import ApiError
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import load
from virtual_kubelet.node.lease import NodeLease
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics


@pytest.fixture
def host(plane, tmp_path):
    with NodeHost(plane, ScriptedProvider(), tmp_path) as host:
        host.wait_ready()
        eventually(host.lease)
        yield host


@pytest.fixture
def uid(api):
    """The UID of a Node that is there: what has no owner is collected."""
    return api.create("/api/v1/nodes", {"metadata": {"name": "vk"}}).json["metadata"]["uid"]


@pytest.fixture
def known(uid):
    """What the agent knows of its node: a list of one UID."""
    return [uid]


@pytest.fixture
def lease(plane, tmp_path, known):
    path = tmp_path / "config"
    plane.write_kubeconfig(str(path))
    client = Client(load(str(path)), qps=0)
    yield NodeLease(client, "vk", lambda: known[0], metrics=Metrics(), clock=SteppedClock(1_700_000_000.0))
    client.close()


def test_a_lease_is_made_for_the_node(host):
    lease = host.lease()
    assert lease["spec"]["holderIdentity"] == "vk"
    assert lease["spec"]["leaseDurationSeconds"] == 40
    assert len(lease["spec"]["renewTime"].partition(".")[2]) == len("123456Z")
    owner = {"apiVersion": "v1", "kind": "Node", "name": "vk", "uid": host.node()["metadata"]["uid"]}
    assert lease["metadata"]["ownerReferences"] == [owner]


def test_it_is_renewed_each_ten_seconds(host):
    for _ in range(3):
        before = times.parse(host.lease()["spec"]["renewTime"])
        host.step(10.4)
        eventually(lambda: times.parse(host.lease()["spec"]["renewTime"]) > before)  # noqa: B023


def test_a_deleted_lease_comes_back(host):
    assert host.admin.delete(LEASE).status == 200
    host.step(10.4)
    eventually(host.lease)


def test_a_lease_that_somebody_else_wrote_is_read_again(host):
    def written():
        lease = host.lease()
        lease["metadata"]["labels"] = {"theirs": "1"}
        answer = host.admin.update(LEASE, lease)
        # The agent renews it once more when it hears of its node.
        assert answer.status in {200, 409}, answer.json
        return answer.status == 200 and lease["spec"]["renewTime"]

    before = eventually(written)
    host.step(10.4)
    eventually(lambda: host.lease()["spec"]["renewTime"] > before)
    assert host.lease()["metadata"]["labels"] == {"theirs": "1"}


def test_no_lease_is_made_while_the_node_is_unknown(lease, api, known, uid):
    known[0] = ""
    lease.renew()
    assert api.get(LEASE).status == 404
    known[0] = uid
    lease.renew()
    assert api.get(LEASE).json["metadata"]["ownerReferences"][0]["uid"] == uid


def test_a_lease_keeps_its_owner_while_the_node_is_unknown(lease, api, known, uid):
    lease.renew()
    known[0] = ""
    lease.renew()
    assert api.get(LEASE).json["metadata"]["ownerReferences"][0]["uid"] == uid


def test_a_renewal_is_tried_five_times(lease, plane):
    lease.renew()
    plane.faults.fail(500, times=4, resource="leases")
    lease.renew()
    fault = plane.faults.fail(500, times=-1, resource="leases")
    with pytest.raises(ApiError):
        lease.renew()
    assert fault.hits == 5
    plane.faults.clear()
    lease.renew()


def test_a_lost_answer_is_no_lost_lease(lease, plane):
    lease.renew()
    plane.faults.lose(resource="leases", verb="update", done=True)
    lease.renew()
    lease.renew()


def test_an_outage_is_logged_once(lease, plane, caplog):
    caplog.set_level("INFO")
    plane.faults.fail(500, times=-1, resource="leases")
    lease._renew_or_log()
    lease._renew_or_log()
    plane.faults.clear()
    lease._renew_or_log()
    lease._renew_or_log()
    assert [r.levelname for r in caplog.records if r.name.endswith("lease")] == ["WARNING", "INFO"]
