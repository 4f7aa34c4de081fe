"""Lists: those that fail are tried again, by one chain of tries only; those that come late bring nothing back."""

from __future__ import annotations

import pytest
from support.pod_driver import runtime_node
from support.pod_world import make_pod
from support.waiting import eventually

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.podruntime.driver import CREATED, EXITED, RUNNING, ContainerInfo
from virtual_kubelet.podruntime.inventory import RETRY, Inventory
from virtual_kubelet.podruntime.table import Table
from virtual_kubelet.runtime.clock import SteppedClock


class Away:
    def list_containers(self):
        raise Unavailable("the engine is away")


def test_however_many_lists_fail_one_more_is_asked_for():
    planned, asked = [], []
    inventory = Inventory(
        Away(), NoStore(), SteppedClock(0), lambda seconds, call: planned.append((seconds, call))
    )
    for _ in range(3):
        with pytest.raises(Unavailable):
            inventory.take(lambda: asked.append(1))
    ((seconds, call),) = planned
    assert (seconds, asked) == (RETRY, [])
    call()
    assert asked == [1]
    with pytest.raises(Unavailable):
        inventory.take(lambda: asked.append(1))
    assert len(planned) == 2


class Shelf:
    """Has containers of one pod, by attempt and state."""

    def __init__(self, *states):
        self.infos = [
            ContainerInfo(f"c{n}", "u", "default", "web", "c", n, state) for n, state in enumerate(states)
        ]
        self.removed = []

    def list_containers(self):
        return self.infos

    def remove(self, container_id):
        self.removed.append(container_id)


class NoStore:
    def __init__(self):
        self.table = Table()

    def begin_list(self):
        pass

    def adopt(self, uid, infos):
        pass


@pytest.mark.parametrize(
    ("states", "removed"),
    [
        ([EXITED, EXITED, EXITED, RUNNING], ["c0", "c1"]),
        ([EXITED, CREATED], []),
        ([CREATED, RUNNING], ["c0"]),
        ([CREATED, EXITED, EXITED], ["c0"]),
        ([CREATED], []),
    ],
)
def test_what_nobody_can_ask_about_is_removed(states, removed):
    shelf = Shelf(*states)
    Inventory(shelf, NoStore(), SteppedClock(0), lambda seconds, call: None).take(lambda: None)
    assert shelf.removed == removed


def test_a_list_of_before_brings_back_no_pod_that_was_forgotten_since(tmp_path):
    with runtime_node(tmp_path) as node:
        pod = make_pod()
        worker = node.run(pod)
        worker.fail("Evicted", "emptyDir")
        eventually(lambda: worker.state.over)
        node.driver.list_gate.shut()
        node.manager.lost_track()
        assert node.driver.list_gate.reached.wait(30)
        node.manager.delete_pod(pod)
        node.driver.list_gate.open()
        node.listed()
        assert node.manager.get_pods() == []
        assert list((tmp_path / "pods").iterdir()) == []
        assert node.driver.started == ["u_c_0"]
