"""What is known of containers while several threads look at once."""

from __future__ import annotations

import threading

import pytest

from virtual_kubelet.podruntime.driver import CREATED, RUNNING
from virtual_kubelet.providers.engine import labels
from virtual_kubelet.providers.engine.dialect import Engine
from virtual_kubelet.providers.engine.inventory import Inventory
from virtual_kubelet.runtime.threads import spawn

LABELS = {**labels.node_labels("n"), labels.KIND: labels.CONTAINER, labels.UID: "u"}


class Backend:
    """An engine with one container, whose answers can be held back after they were made."""

    def __init__(self):
        self.listed = []
        self.state = "created"
        self.holds = False  # the next answer
        self.made, self.sent = threading.Event(), threading.Event()

    def engine(self):
        return Engine("docker", "24.0.7", "1.43")

    def json(self, method, path, query=None):
        if path == "/containers/json":
            answer = [{"Id": key, "State": "running", "Labels": LABELS} for key in self.listed]
        else:
            answer = {"State": {"Status": self.state}, "Config": {"Labels": LABELS}}
        if self.holds:
            self.holds = False
            self.made.set()
            assert self.sent.wait(30)
        return answer


@pytest.fixture
def backend():
    return Backend()


@pytest.fixture
def inventory(backend):
    found = Inventory(backend)
    found.identify("n", "")
    return found


def held(backend, call, *args):
    """Begin a call whose answer is made now and arrives when the returned function is called."""
    backend.holds = True
    thread = spawn(call, *args, name="held")
    assert backend.made.wait(30)

    def arrive():
        backend.sent.set()
        thread.join(30)

    return arrive


def test_a_list_of_before_forgets_nothing_that_was_made_since(backend, inventory):
    arrive = held(backend, inventory.look)
    backend.state = "running"
    inventory.inspect("x")
    arrive()
    assert inventory.running() == ["x"]
    backend.listed = ["x"]
    inventory.look()
    assert inventory.running() == ["x"]
    backend.listed = []
    inventory.look()
    assert inventory.running() == []


def test_an_answer_of_before_replaces_no_newer_one(backend, inventory):
    arrive = held(backend, inventory.inspect, "x")
    backend.state = "running"
    assert inventory.inspect("x").info.state == RUNNING
    arrive()
    assert inventory.known("x").info.state == RUNNING
    backend.state = "created"
    assert inventory.inspect("x").info.state == CREATED
