"""How long to wait after the n-th failure: exponential, capped, with jitter."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["Backoff"]


@dataclass(frozen=True)
class Backoff:
    """Exponential back-off as a value; who fails how often is the caller's to count.

    The defaults are the work queue's: 5 ms doubling up to 5 minutes, never giving up.
    """

    initial: float = 0.005  # seconds after the first failure
    maximum: float = 300.0  # seconds, before jitter
    factor: float = 2.0
    jitter: float = 0.0  # share of the delay that chance may add: 0.5 gives 1 to 1.5 times the delay

    def __post_init__(self) -> None:
        if not (0 < self.initial <= self.maximum and self.factor >= 1 and self.jitter >= 0):
            raise ValueError(f"a back-off needs 0 < initial <= maximum, factor >= 1, jitter >= 0: {self}")

    def delay(self, failures: int, chance: float = 0.0) -> float:
        """Return the seconds to wait after `failures` failures in a row; `chance` is from [0, 1)."""
        if failures <= 0:
            return 0.0
        return self._plain(failures) * (1.0 + self.jitter * chance)

    def _plain(self, failures: int) -> float:
        if self.factor == 1.0:
            return self.initial
        # By logarithm first: the power itself leaves the range of floats after a night of failures.
        if (failures - 1) * math.log(self.factor) >= math.log(self.maximum / self.initial):
            return self.maximum
        return min(self.maximum, self.initial * self.factor ** (failures - 1))
