from __future__ import annotations

import pytest

from virtual_kubelet.providers.azure.budget import ReadBudget
from virtual_kubelet.runtime.clock import SteppedClock


def drain(budget, **how):
    taken = 0
    while budget.take(**how):
        taken += 1
    return taken


def test_an_hour_stays_below_the_older_limit_and_a_second_below_the_newer_bucket():
    clock = SteppedClock()
    budget = ReadBudget(180, clock)
    taken = first = drain(budget, urgent=True)
    assert first <= 250
    for _ in range(3600):
        clock.advance(1)
        second = drain(budget, urgent=True)
        assert second <= 25
        taken += second
    assert 10_800 <= taken <= 12_000


@pytest.mark.parametrize("per_minute", [60, 180, 1200])
def test_the_sustained_rate(per_minute):
    clock = SteppedClock()
    budget = ReadBudget(per_minute, clock)
    for _ in range(3600):
        drain(budget, urgent=True)
        clock.advance(1)
    drain(budget, urgent=True)
    taken = 0
    for _ in range(600):
        clock.advance(1)
        taken += drain(budget, urgent=True)
    assert taken == pytest.approx(per_minute * 10, rel=0.01)


def test_the_last_of_it_is_for_what_is_urgent():
    budget = ReadBudget(180, SteppedClock())
    assert drain(budget) == 160
    assert drain(budget, urgent=True) == 40
    assert not budget.plenty


def test_what_must_be_read_counts_and_is_paid_for_later():
    clock = SteppedClock()
    budget = ReadBudget(180, clock)
    for _ in range(100_000):
        budget.spend()
    assert not budget.take(urgent=True)
    clock.advance(120)
    assert budget.take(urgent=True)


def test_arms_own_count_is_heeded():
    clock = SteppedClock()
    budget = ReadBudget(180, clock)
    budget.heed("59")
    assert not budget.take()
    assert budget.take(urgent=True)
    assert not budget.plenty
    budget.heed("11999")
    assert budget.take()
    budget.heed("3")
    clock.advance(31)
    assert budget.take()
    budget.heed(None)
    budget.heed("many")
    assert budget.take()
