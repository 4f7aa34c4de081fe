from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.backoff import Backoff


@pytest.mark.parametrize(
    ("failures", "delay"), [(0, 0.0), (1, 0.005), (2, 0.01), (3, 0.02), (11, 5.12), (16, 163.84), (17, 300.0)]
)
def test_work_queue_defaults(failures, delay):
    assert Backoff().delay(failures) == pytest.approx(delay)


def test_endless_failures_stay_at_the_maximum():
    assert Backoff().delay(10**9) == 300.0


@pytest.mark.parametrize("factor", [1.0, 1.5])
def test_factor(factor):
    backoff = Backoff(initial=2.0, maximum=100.0, factor=factor)
    assert [backoff.delay(n) for n in (1, 2, 3)] == [2.0, 2.0 * factor, 2.0 * factor**2]


@given(
    failures=st.integers(1, 10**6),
    chance=st.floats(0, 1, exclude_max=True),
    jitter=st.floats(0, 2),
)
def test_bounds(failures, chance, jitter):
    backoff = Backoff(initial=0.8, maximum=30.0, jitter=jitter)
    assert 0.8 <= backoff.delay(failures, chance) <= 30.0 * (1 + jitter)
    assert backoff.delay(failures) <= backoff.delay(failures + 1)


@pytest.mark.parametrize(
    "wrong", [{"initial": 0}, {"initial": 2, "maximum": 1}, {"factor": 0.5}, {"jitter": -1}]
)
def test_refuses_what_makes_no_sense(wrong):
    with pytest.raises(ValueError, match="back-off"):
        Backoff(**wrong)
