"""What /healthz and /readyz say of an agent in trouble."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from virtual_kubelet.errors import ApiUnavailable
from virtual_kubelet.node.health import Health, passes


class Parts:
    def __init__(self):
        self.gate = SimpleNamespace(open=True)
        self.informer = SimpleNamespace(synced=True, last_error=None)
        self.slow = []
        calls = SimpleNamespace(slow=lambda seconds=10: [line for line, age in self.slow if age > seconds])
        self.snapshot = SimpleNamespace(failure="", complete=True)
        self.node = SimpleNamespace(ready=True, problem="")
        pods = SimpleNamespace(calls=calls, snapshot=self.snapshot)
        self.health = Health(self.gate, self.informer, pods, self.node, workers=2)

    def failures(self):
        found = {}
        for name, check in self.health.ready().items():
            try:
                assert check() is None
            except RuntimeError as error:
                found[name] = str(error)
        return found


@pytest.fixture
def parts():
    return Parts()


def test_all_is_well(parts):
    assert parts.failures() == {}
    assert passes(parts.health.ready())
    assert passes(parts.health.live())


@pytest.mark.parametrize(
    ("part", "field", "value", "check", "text"),
    [
        ("gate", "open", False, "api-server", "the API server has not answered yet"),
        ("informer", "synced", False, "api-server", "the pods have not been listed yet"),
        ("informer", "last_error", ApiUnavailable("connection refused"), "api-server", "connection refused"),
        ("snapshot", "failure", "backend away", "provider", "backend away"),
        ("snapshot", "complete", False, "provider", "the provider has not listed its pods yet"),
        ("node", "ready", False, "node", "the node is not Ready"),
    ],
)
def test_one_thing_is_wrong(parts, part, field, value, check, text):
    setattr(getattr(parts, part), field, value)
    assert parts.failures() == {check: text}
    assert not passes(parts.health.ready())
    assert passes(parts.health.live())


def test_a_node_says_why_it_is_not_ready(parts):
    parts.node.ready, parts.node.problem = False, "no route to the backend"
    assert parts.failures() == {"node": "no route to the backend"}


def test_calls_that_hang_are_named_up_to_a_few(parts):
    parts.slow = [(f"create_pod of ns/p{number} takes 20 s", 20) for number in range(7)]
    text = parts.failures()["provider-calls"]
    assert text.startswith("create_pod of ns/p0 takes 20 s; ")
    assert text.endswith("p4 takes 20 s and 2 more")
    assert passes(parts.health.live())


def test_an_agent_whose_workers_all_hang_needs_a_restart(parts):
    parts.slow = [("create_pod of ns/a takes 400 s", 400)]
    assert passes(parts.health.live())
    parts.slow.append(("create_pod of ns/b takes 301 s", 301))
    assert not passes(parts.health.live())
