"""One pod's looks and refreshes, with the runtime's real threads around them."""

from __future__ import annotations

import time

import pytest
from support.pod_driver import runtime_node
from support.pod_world import container, make_pod
from support.waiting import eventually

from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.driver import EXITED, CommandResult
from virtual_kubelet.runtime.threads import spawn


@pytest.fixture
def node(tmp_path):
    with runtime_node(tmp_path) as node:
        yield node


def test_what_cannot_be_done_for_one_container_holds_up_no_other(node):
    worker = node.run(make_pod(container("a"), container("b")))
    node.driver.broken_signals = 1
    # One look finds both: a is to be ended, b to be started again.
    worker.state.tell(node.driver.put("u_b_0", state=EXITED, exit_code=1, finished_at=time.time()))
    worker.state.change(
        lambda record: transitions.begin_stop(record.container("a"), 30, "Unhealthy", "", time.time())
    )
    worker.look()
    eventually(lambda: {"u_a_1", "u_b_1"} <= set(node.driver.started))
    assert node.driver.broken_signals == 0


def test_of_two_refreshes_at_once_the_newer_content_stays(node):
    node.context.config_maps["settings"] = {"key": "one"}
    volume = {"name": "config", "configMap": {"name": "settings"}}
    worker = node.run(make_pod(volumes=[volume]))
    file = node.state / "pods" / "u" / "volumes" / "config" / "key"
    node.context.gate.shut()
    node.context.config_maps["settings"] = {"key": "two"}
    first = spawn(worker.refresh, name="test-refresh")
    assert node.context.gate.reached.wait(30)
    assert file.read_text() == "one"
    node.context.config_maps["settings"] = {"key": "three"}
    worker.refresh()
    node.context.gate.open()
    first.join(30)
    assert file.read_text() == "three"


def test_a_probe_that_the_backend_cannot_run_says_nothing_of_its_container(node):
    node.driver.result = CommandResult(-1, error="the connection broke")
    probe = {"exec": {"command": ["x"]}, "periodSeconds": 1, "failureThreshold": 1}
    node.run(make_pod(container(livenessProbe=probe)))
    text = "Liveness probe errored and resulted in unknown state: the connection broke"
    eventually(lambda: ("web", "Warning", "Unhealthy", text) in node.context.events)
    assert node.manager.get_pod_status("default", "web")["containerStatuses"][0]["ready"]
    node.driver.result = CommandResult(1, "bad")
    eventually(lambda: "u_c_1" in node.driver.started)


def test_a_hook_that_the_backend_cannot_run_is_run_when_it_can(node, monkeypatch):
    monkeypatch.setattr("virtual_kubelet.podruntime.hooks.RETRY", 0.01)
    monkeypatch.setattr("virtual_kubelet.podruntime.hooks.TRIES", 1_000_000)
    node.driver.result = CommandResult(-1, error="the connection broke")
    asked = node.driver.asked
    node.run(make_pod(container(lifecycle={"postStart": {"exec": {"command": ["x"]}}})))
    eventually(lambda: len(asked) > 2)
    node.driver.result = CommandResult(0)
    eventually(lambda: node.manager.get_pod_status("default", "web")["containerStatuses"][0]["ready"])
    assert node.driver.started == ["u_c_0"]
