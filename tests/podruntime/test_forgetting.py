"""What is done for a pod that is forgotten."""

from __future__ import annotations

import pytest
from support.pod_driver import runtime_node
from support.pod_world import make_pod
from support.waiting import eventually


@pytest.fixture
def node(tmp_path):
    with runtime_node(tmp_path) as node:
        yield node


def test_a_pod_is_released_once_more_when_its_containers_have_gone(node, monkeypatch):
    """An ended container may have held what else there is, as a volume of an engine's own."""
    held = []
    monkeypatch.setattr(node.driver, "release_pod", lambda uid: held.append((uid, list(node.driver.infos))))
    worker = node.run(make_pod())
    node.manager.delete_pod(worker.state.pod)
    eventually(lambda: worker.state.over)
    assert held == [("u", ["u_c_0"])]
    node.manager.delete_pod(worker.state.pod)
    assert held[1:] == [("u", [])]
