"""The Node object, from the first POST to what others do to it."""

from __future__ import annotations

import threading

import pytest
from support.nodehost import TAINT, NodeHost
from support.provider import ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.errors import NotSupported, Unavailable
from virtual_kubelet.pure.node_object import LAST_STATUS
from virtual_kubelet.runtime.threads import Deadline

NODE = "/api/v1/nodes/vk"


@pytest.fixture
def provider():
    return ScriptedProvider()


@pytest.fixture
def host(plane, provider, tmp_path):
    with NodeHost(plane, provider, tmp_path) as host:
        host.wait_ready()
        yield host


def writes(host):
    """Return the agent's writes to the node so far."""
    return [
        (request.verb, request.subresource)
        for request in host.plane.requests.all(resource="nodes")
        if request.verb not in {"get", "list", "watch"} and request.user_agent.startswith("virtual-kubelet/")
    ]


def test_a_node_is_registered_whole_with_one_write(host):
    node = host.node()
    assert node["metadata"]["labels"]["kubernetes.io/os"] == "linux"
    assert TAINT in node["spec"]["taints"]
    assert node["status"]["capacity"]["cpu"] == "8"
    assert len(node["status"]["conditions"]) == 5
    eventually(lambda: host.events.reasons() == ["Starting", "NodeReady"])
    assert writes(host) == [("create", "")]


def test_what_has_not_changed_is_written_each_five_minutes(host):
    eventually(lambda: writes(host) == [("create", "")])
    for _ in range(29):
        host.step(10)
    assert writes(host) == [("create", "")]
    before = host.conditions()["Ready"]
    host.step(10)
    eventually(lambda: writes(host)[1:] == [("patch", "status")])
    after = host.conditions()["Ready"]
    assert after["lastTransitionTime"] == before["lastTransitionTime"]
    assert after["lastHeartbeatTime"] > before["lastHeartbeatTime"]


def test_conditions_of_the_provider_are_seen_within_ten_seconds(host, provider):
    provider.conditions = [{"type": "DiskPressure", "status": "True", "reason": "Full", "message": "m"}]
    host.step(10)
    eventually(lambda: host.conditions()["DiskPressure"]["status"] == "True")
    provider.conditions = []
    host.step(10)
    eventually(lambda: host.conditions()["DiskPressure"]["reason"] == "KubeletHasNoDiskPressure")


def test_a_provider_that_tells_nothing_makes_the_node_not_ready(host, provider):
    provider.fail("node_conditions", *[Unavailable("away")] * 50)
    host.step(10)
    ready = host.wait_ready("False")
    assert (ready["reason"], ready["message"]) == (
        "KubeletNotReady",
        "the provider does not tell its state: away",
    )
    assert host.node()["status"]["capacity"]["cpu"] == "8", "what was known stays"
    provider.failures.clear()
    host.step(10)
    host.wait_ready()
    assert host.events.reasons() == ["Starting", "NodeReady", "NodeNotReady", "NodeReady"]


def test_a_capacity_that_is_no_quantity_is_said(host, provider):
    provider.capacity = lambda: {"cpu": "many"}
    host.step(10)
    assert "capacity is wrong" in host.wait_ready("False")["message"]


def test_a_deleted_node_comes_back_and_owns_its_lease(host):
    old = host.node()["metadata"]["uid"]
    eventually(lambda: host.lease() and host.lease()["metadata"]["ownerReferences"][0]["uid"] == old)
    assert host.admin.delete("/api/v1/nodes/vk").status == 200
    eventually(lambda: host.node() and host.node()["metadata"]["uid"] != old)
    host.wait_ready()
    new = host.node()["metadata"]["uid"]
    eventually(lambda: (lease := host.lease()) and lease["metadata"]["ownerReferences"][0]["uid"] == new)


def test_taints_and_labels_are_healed_and_others_stay(host):
    cordon = {"key": "example.com/maintenance", "effect": "NoExecute"}
    host.patch({"spec": {"taints": [cordon]}, "metadata": {"labels": {"type": "spoilt", "theirs": "1"}}})
    eventually(lambda: host.node()["spec"]["taints"] == [cordon, TAINT])
    eventually(lambda: host.node()["metadata"]["labels"]["type"] == "virtual-kubelet")
    assert host.node()["metadata"]["labels"]["theirs"] == "1"


def test_a_cordon_stays(host):
    host.patch({"spec": {"unschedulable": True}})
    host.step(10)
    assert host.node()["spec"]["unschedulable"] is True


def test_a_new_configuration_replaces_what_the_old_one_wished(host):
    host.restart(taints=[{**TAINT, "effect": "NoExecute"}], labels={"zone": "a"})
    eventually(lambda: [t["effect"] for t in host.node()["spec"]["taints"]] == ["NoExecute"])
    eventually(lambda: host.node()["metadata"]["labels"].get("zone") == "a")
    host.restart(taints=[], labels={})
    eventually(lambda: not host.node()["spec"].get("taints"))
    eventually(lambda: "zone" not in host.node()["metadata"]["labels"])


def test_a_restart_writes_nothing_that_is_there_already(host):
    eventually(lambda: host.controller.ready)  # the node can be seen before its registration is in the log
    host.plane.requests.clear()
    host.restart()
    eventually(lambda: host.controller.ready)
    # The first report of an agent is a heartbeat, which is one patch.
    assert [write for write in writes(host) if write != ("patch", "status")] == []


def test_conflicts_over_taints_are_tried_again(host, plane):
    fault = plane.faults.fail(409, times=2, verb="patch", resource="nodes", subresource="")
    host.rewrite(lambda node: node["spec"].update(taints=[]))
    eventually(lambda: host.node()["spec"].get("taints") == [TAINT])
    assert fault.hits == 2


def test_an_api_server_that_is_away_is_waited_for(host, provider, plane):
    plane.faults.fail(503, times=3, resource="nodes")
    provider.conditions = [{"type": "DiskPressure", "status": "True"}]
    for _ in range(5):
        host.step(10)
    eventually(lambda: host.conditions()["DiskPressure"]["status"] == "True")


def test_rights_that_are_missing_are_done_without(plane, provider, tmp_path):
    plane.faults.fail(403, times=1, verb="create", resource="nodes")
    plane.faults.fail(403, times=-1, verb="patch", resource="nodes", subresource="")
    with NodeHost(plane, provider, tmp_path) as host:
        host.wait_ready()
        labels = host.node()["metadata"]["labels"]
        assert "kubernetes.io/role" not in labels
        assert labels["type"] == "virtual-kubelet"
        host.rewrite(lambda node: node["spec"].update(taints=[]))
        eventually(lambda: host.step(10) or "NodeTaintsForbidden" in host.events.reasons())
        host.step(10)
        host.step(10)
        assert host.events.reasons().count("NodeTaintsForbidden") == 1
        assert host.events.reasons().count("NodeLabelsForbidden") == 1
        assert host.controller.ready


def test_a_right_that_is_taken_later_is_done_without(host, plane):
    plane.faults.fail(403, times=1, verb="patch", resource="nodes", subresource="")
    spoilt = {"kubernetes.io/role": "spoilt", "type": "spoilt"}
    host.rewrite(lambda node: node["metadata"]["labels"].update(spoilt))
    eventually(lambda: host.node()["metadata"]["labels"]["type"] == "virtual-kubelet")
    assert host.node()["metadata"]["labels"]["kubernetes.io/role"] == "spoilt"
    assert host.events.reasons().count("NodeLabelsForbidden") == 1


def test_somebody_who_registers_the_node_first_is_no_trouble(plane, provider, tmp_path):
    with NodeHost(plane, provider, tmp_path) as host:
        host.wait_ready()
        host.stop()
        theirs = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "vk", "labels": {"theirs": "1"}}}
        assert host.admin.delete("/api/v1/nodes/vk").status == 200
        host.start()
        host.stop()
        host.admin.delete("/api/v1/nodes/vk")
        assert host.admin.create("/api/v1/nodes", theirs).status == 201
        host.start()
        host.wait_ready()
        labels = host.node()["metadata"]["labels"]
        assert (labels["theirs"], labels["type"]) == ("1", "virtual-kubelet")
        eventually(lambda: TAINT in host.node()["spec"]["taints"])


def test_a_node_that_appears_while_we_register_it(plane, provider, tmp_path):
    plane.faults.lose(verb="create", resource="nodes", done=True)
    with NodeHost(plane, provider, tmp_path) as host:
        for _ in range(3):
            host.step(10)
        host.wait_ready()


def test_a_stopped_agent_leaves_the_node_as_it_is(plane, provider, tmp_path):
    with NodeHost(plane, provider, tmp_path) as host:
        host.wait_ready()
        host.stop()
        assert host.conditions()["Ready"]["status"] == "True"


def test_a_stopped_agent_can_say_so(plane, provider, tmp_path):
    with NodeHost(plane, provider, tmp_path, not_ready_on_stop=True) as host:
        host.wait_ready()
        host.stop()
        ready = host.conditions()["Ready"]
        assert (ready["status"], ready["message"]) == ("False", "the agent was stopped")
        host.start()
        host.wait_ready()


# --- abilities


class Configuring(ScriptedProvider):
    def configure_node(self, node):
        self.called("configure_node", None)
        node["metadata"]["labels"]["from"] = "provider"
        node["spec"]["providerID"] = "test://1"
        node["status"]["allocatable"]["cpu"] = "7000m"


def test_a_provider_may_configure_the_node(plane, tmp_path):
    provider = Configuring()
    with NodeHost(plane, provider, tmp_path) as host:
        host.wait_ready()
        node = host.node()
        assert node["metadata"]["labels"]["from"] == "provider"
        assert node["spec"]["providerID"] == "test://1"
        assert (node["status"]["allocatable"]["cpu"], node["status"]["capacity"]["cpu"]) == ("7", "8")
        provider.fail("configure_node", NotSupported("no more"), *[Unavailable("broken")] * 50)
        host.step(10)
        host.step(10)
        assert "cannot configure the node: broken" in host.wait_ready("False")["message"]


ADDRESSES = [{"type": "InternalIP", "address": "10.7.7.7"}, {"type": "InternalIP", "address": "fd00::7"}]


class Addressed(ScriptedProvider):
    def node_addresses(self):
        self.called("node_addresses", None)
        return ADDRESSES


def test_a_provider_may_know_the_addresses(plane, tmp_path):
    provider = Addressed()
    with NodeHost(plane, provider, tmp_path) as host:
        host.wait_ready()
        assert host.node()["status"]["addresses"] == ADDRESSES
        provider.fail("node_addresses", *[Unavailable("broken")] * 50)
        host.step(10)
        eventually(
            lambda: host.node()["status"]["addresses"] == [{"type": "InternalIP", "address": "10.0.0.1"}]
        )


def test_what_we_remember_is_in_an_annotation_that_heartbeats_leave_alone(host):
    before = host.node()["metadata"]["annotations"][LAST_STATUS]
    for _ in range(31):
        host.step(10)
    eventually(lambda: len(writes(host)) == 2)
    assert host.node()["metadata"]["annotations"][LAST_STATUS] == before


class Talkative(ScriptedProvider):
    def configure_node(self, node):
        self.called("configure_node", None)
        node["status"]["notAField"] = "x"


def test_a_field_that_the_api_server_drops_is_not_sent_each_time(plane, tmp_path):
    provider = Talkative()
    with NodeHost(plane, provider, tmp_path) as host:
        host.wait_ready()
        host.step(10)
        assert "notAField" not in host.node()["status"]
        before = writes(host)
        for _ in range(5):
            host.step(10)
        assert writes(host) == before


def test_a_node_deleted_while_the_watch_stands_still_comes_back_at_once(host, plane, provider, monkeypatch):
    flowing, changed = threading.Event(), host.informer.changed

    def late(kind, item):
        flowing.wait(30)
        changed(kind, item)

    monkeypatch.setattr(host.informer, "changed", late)
    assert host.admin.delete(NODE).status == 200
    plane.requests.clear()
    provider.conditions = [{"type": "DiskPressure", "status": "True", "reason": "x", "message": "y"}]
    host.controller.report_soon()
    eventually(lambda: host.admin.get(NODE).status == 200)
    flowing.set()
    assert len(plane.requests.all(verb="patch", resource="nodes")) < 5


def test_a_stop_waits_for_no_api_server_that_stands_still(host, plane, provider):
    faults = [plane.faults.delay(60, times=-1, resource="leases")]
    faults.append(plane.faults.delay(60, times=-1, resource="nodes", verb="patch"))
    provider.conditions = [{"type": "DiskPressure", "status": "True", "reason": "x", "message": "y"}]
    host.controller._lease.renew_soon()
    host.controller.report_soon()
    eventually(lambda: all(fault.hits for fault in faults))
    host.controller.stop(Deadline(30))
    names = {thread.name for thread in threading.enumerate()}
    assert not names & {"node-lease", "node-status"}
