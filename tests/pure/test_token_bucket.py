from __future__ import annotations

import pytest

from virtual_kubelet.pure.token_bucket import TokenBucket


def test_burst_then_rate():
    bucket = TokenBucket(rate=10, burst=3)
    assert [bucket.reserve(0.0) for _ in range(5)] == pytest.approx([0, 0, 0, 0.1, 0.2])
    assert bucket.reserve(0.2) == pytest.approx(0.1)


def test_fills_up_to_the_burst_only():
    bucket = TokenBucket(rate=10, burst=3)
    bucket.reserve(0.0)
    assert [bucket.reserve(1000.0) for _ in range(4)] == pytest.approx([0, 0, 0, 0.1])


def test_try_take_never_goes_into_debt():
    bucket = TokenBucket(rate=1 / 300, burst=2)
    assert [bucket.try_take(0.0) for _ in range(4)] == [True, True, False, False]
    assert not bucket.try_take(299.0)
    assert bucket.try_take(301.0)
    assert not bucket.try_take(301.0)


def test_a_clock_that_stands_still_gives_nothing():
    bucket = TokenBucket(rate=0, burst=1)
    assert bucket.reserve(0.0) == 0.0
    assert bucket.reserve(100.0) == float("inf")


@pytest.mark.parametrize(("rate", "burst"), [(-1, 1), (1, 0)])
def test_refuses_what_makes_no_sense(rate, burst):
    with pytest.raises(ValueError, match="token bucket"):
        TokenBucket(rate, burst)
