"""A rate limit as a value: so many a second, with a burst."""

from __future__ import annotations

__all__ = ["TokenBucket"]


class TokenBucket:
    """A token bucket: holds up to `burst` tokens and gains `rate` a second. A rate of 0 never refills.

    Times are monotonic seconds. Not locked: its owner is.
    """

    def __init__(self, rate: float, burst: int) -> None:
        if rate < 0 or burst < 1:
            raise ValueError(f"a token bucket needs rate >= 0 and burst >= 1, not {rate} and {burst}")
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._filled: float | None = None

    def reserve(self, now: float) -> float:
        """Take a token, on credit if need be; return the seconds to wait until it is there.

        Those who reserve in turn wait in turn: each one's wait includes the debts of those before.
        """
        self._fill(now)
        self._tokens -= 1.0
        if self._tokens >= 0:
            return 0.0
        return -self._tokens / self._rate if self._rate else float("inf")

    def try_take(self, now: float) -> bool:
        """Take a token if there is one."""
        self._fill(now)
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True

    def _fill(self, now: float) -> None:
        if self._filled is not None and now > self._filled:
            self._tokens = min(float(self._burst), self._tokens + (now - self._filled) * self._rate)
        self._filled = now
