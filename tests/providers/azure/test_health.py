from __future__ import annotations

import math

from virtual_kubelet.errors import Unauthorized, Unavailable
from virtual_kubelet.providers.azure.health import Health
from virtual_kubelet.runtime.clock import SteppedClock


def test_three_failures_in_a_row_and_back():
    clock = SteppedClock()
    health = Health(clock)
    assert (health.verdict().ready, health.verdict().age) == (True, math.inf)
    health.succeeded()
    clock.advance(5)
    health.failed(Unavailable("away"))
    health.failed(Unavailable("away"))
    assert health.verdict().ready
    health.failed(Unavailable("away"))
    verdict = health.verdict()
    assert (verdict.ready, verdict.reason, verdict.age) == (False, "AzureUnreachable", 5)
    assert "away" in verdict.message
    health.succeeded()
    assert health.verdict().ready


def test_refused_credentials_are_named():
    health = Health(SteppedClock())
    for _ in range(3):
        health.failed(Unauthorized("expired"))
    assert health.verdict().reason == "AzureUnauthorized"
