"""When a provider counts as away, and when it is back."""

from __future__ import annotations

import threading

import pytest
from support.provider import ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.errors import NotSupported, Unavailable
from virtual_kubelet.node.ping import Ping
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline


class Pinged(ScriptedProvider):
    def ping(self):
        self.called("ping", None)


class Bench:
    def __init__(self, provider):
        self.provider = provider
        self.clock = SteppedClock()
        self.changes = []
        calls = ProviderCalls(provider, metrics=Metrics(), clock=self.clock)
        self.ping = Ping(provider, calls, lambda: self.changes.append(self.ping.problem), clock=self.clock)

    def again(self, error=None):
        """Let ten seconds pass and a ping be answered, or fail."""
        before = self.provider.count("ping")
        if error:
            self.provider.fail("ping", error)
        self.clock.block_until(1)
        self.clock.advance(10)
        eventually(lambda: self.provider.count("ping") == before + 1)
        self.clock.block_until(1)


@pytest.fixture
def bench():
    bench = Bench(Pinged())
    yield bench
    bench.ping.stop(Deadline(5))


def start(bench):
    bench.ping.start()
    eventually(lambda: bench.provider.count("ping") == 1)
    bench.clock.block_until(1)


def test_a_provider_without_a_ping_is_always_there():
    bench = Bench(ScriptedProvider())
    bench.ping.start()
    bench.clock.advance(100)
    assert bench.ping.problem == ""
    bench.ping.stop(Deadline(5))


def test_nothing_is_known_before_the_first_answer(bench):
    assert bench.ping.problem == "the provider has not answered a ping yet"
    start(bench)
    assert bench.ping.problem == ""
    assert bench.changes == [""]


def test_a_ping_that_is_not_supported_is_a_good_one(bench):
    bench.provider.fail("ping", NotSupported("none"))
    start(bench)
    assert bench.ping.problem == ""


def test_a_backend_that_never_answered_is_away_at_once(bench):
    bench.provider.fail("ping", Unavailable("refused"))
    start(bench)
    assert bench.ping.problem == "the provider does not answer: refused"
    bench.again()
    assert bench.ping.problem == ""


def test_three_failures_are_needed_later_and_one_answer_is_enough(bench):
    start(bench)
    for expected in ("", "", "the provider does not answer: refused"):
        bench.again(Unavailable("refused"))
        assert bench.ping.problem == expected
    bench.again()
    assert bench.ping.problem == ""
    assert bench.changes == ["", "the provider does not answer: refused", ""]


def test_a_ping_that_hangs_counts_after_forty_seconds(bench):
    start(bench)
    gate = bench.provider.gates["ping"] = threading.Event()
    bench.clock.advance(10)
    eventually(lambda: bench.provider.count("ping") == 2)
    bench.clock.advance(29)
    assert bench.ping.problem == ""
    bench.clock.advance(12)
    assert bench.ping.problem == "the provider has not answered a ping for 51 s"
    del bench.provider.gates["ping"]
    gate.set()
    eventually(lambda: bench.ping.problem == "")
