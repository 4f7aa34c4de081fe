"""How the agent calls its provider."""

from __future__ import annotations

import pytest
from support.pods import make_pod
from support.provider import ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    ProviderError,
    Unauthorized,
    Unavailable,
)
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline, spawn


class Bench:
    def __init__(self):
        self.provider = ScriptedProvider()
        self.clock = SteppedClock()
        self.metrics = Metrics()
        self.calls = ProviderCalls(self.provider, metrics=self.metrics, clock=self.clock)
        self.outcome = []

    def create(self):
        """Call in a thread of its own; the clock is stepped meanwhile."""

        def call():
            try:
                self.calls.create_pod(make_pod())
                self.outcome.append("ok")
            except ProviderError as error:
                self.outcome.append(error)

        self.thread = spawn(call, name="caller")

    def finish(self, step=5.0):
        while self.thread.is_alive():
            if self.clock.next_deadline() is not None:
                self.clock.advance(step)
            self.thread.join(0.01)
        return self.outcome[0]


@pytest.fixture
def bench():
    return Bench()


@pytest.mark.parametrize("error", [Unavailable("x"), Conflict("x"), Unauthorized("x"), ProviderError("x")])
@pytest.mark.parametrize(("failures", "calls"), [(1, 2), (2, 3), (3, 3), (5, 3)])
def test_what_may_pass_is_tried_three_times(bench, error, failures, calls):
    bench.provider.fail("create_pod", *[error] * failures)
    bench.create()
    assert bench.finish() is ("ok" if failures < 3 else error)
    assert bench.provider.count("create_pod") == calls


@pytest.mark.parametrize("error", [InvalidInput("x"), NotFound("x")])
def test_what_is_final_is_tried_once(bench, error):
    bench.provider.fail("create_pod", error)
    bench.create()
    assert bench.finish() is error
    assert bench.provider.count("create_pod") == 1


def test_the_backends_own_word_on_when_to_come_back_counts(bench):
    bench.provider.fail("create_pod", Unavailable("slow down", retry_after=9))
    bench.create()
    bench.clock.block_until(1)
    assert bench.clock.next_deadline() == pytest.approx(9)
    assert bench.finish() == "ok"


def test_nobody_waits_longer_than_fifteen_seconds_inside_a_call(bench):
    bench.provider.fail("create_pod", Unavailable("later", retry_after=16))
    bench.create()
    assert str(bench.finish()) == "later"
    assert bench.provider.count("create_pod") == 1


def test_a_stop_ends_the_wait(bench):
    bench.provider.fail("create_pod", *[Unavailable("away")] * 5)
    bench.create()
    bench.clock.block_until(1)
    bench.calls.stop(Deadline(5))
    bench.thread.join(30)
    assert str(bench.outcome[0]) == "the agent stops"
    assert bench.provider.count("create_pod") == 1


@pytest.mark.fails_inside
def test_other_exceptions_become_ours_and_keep_secrets(bench, caplog):
    bench.provider.fail("get_pods", RuntimeError("GET https://user:hunter2@host/ failed"))
    with pytest.raises(ProviderError) as caught:
        bench.calls.get_pods()
    assert "RuntimeError" in str(caught.value)
    assert "hunter2" not in str(caught.value)
    assert caught.value.retryable


def test_a_pod_that_is_not_found_is_none(bench):
    bench.provider.fail("get_pod", NotFound("x"), NotFound("x"))
    assert bench.calls.get_pod("default", "web") is None
    assert bench.calls.get_pod_status("default", "web") is None


def test_slow_calls_are_named_and_counted_while_they_hang(bench, caplog):
    bench.calls.start()
    with bench.provider.hanging("create_pod") as gate:
        bench.create()
        eventually(lambda: bench.provider.count("create_pod") == 1)
        for _ in range(6):
            bench.clock.block_until(1)
            bench.clock.advance(2)
        assert bench.calls.slow() == ["create_pod of default/web takes 12 s"]
        assert bench.calls.slow(60) == []
        eventually(lambda: "slow provider: create_pod of default/web" in caplog.text)
        text = bench.metrics.render().decode()
        assert 'virtual_kubelet_provider_slow_calls_total{method="create_pod"} 1.0' in text
        assert 'virtual_kubelet_provider_calls_in_flight{method="create_pod"} 1.0' in text
        gate.set()
        bench.thread.join(30)
    assert bench.calls.slow() == []
    assert len([r for r in caplog.records if "slow provider" in r.message]) == 1
    bench.calls.stop(Deadline(5))


def test_calls_are_counted_by_result(bench):
    bench.provider.fail("create_pod", InvalidInput("x"))
    bench.create()
    bench.finish()
    bench.calls.get_pods()
    text = bench.metrics.render().decode()
    assert 'virtual_kubelet_provider_calls_total{method="create_pod",result="InvalidInput"} 1.0' in text
    assert 'virtual_kubelet_provider_calls_total{method="get_pods",result="ok"} 1.0' in text
