"""How many reads ARM lets us make, kept below its published limits.

ARM counts reads per subscription and principal. It publishes two schemes: a bucket of 250 reads that refills by 25
a second (subscriptions migrated since 2024), and 12,000 reads an hour (before). Both are kept: `burst` below the
bucket and `per_second` below its refill in the short run, `per_minute` and a store of an hour's slack in the long
run. Where ARM says in x-ms-ratelimit-remaining-subscription-reads that little is left, only what is urgent goes.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["ReadBudget"]

BURST = 200.0  # of the bucket of 250
PER_SECOND = 20.0  # of the 25 that refill it
SLACK = 1000.0  # reads beyond the rate, once an hour: 180 a minute and this are less than 12,000
SCARCE = 60  # remaining reads below which ARM's own count makes us hold back
SCARCE_FOR = 30.0  # seconds for which that count is believed


@dataclass
class _Bucket:
    size: float
    rate: float  # tokens a second
    level: float
    at: float

    def refill(self, now: float) -> None:
        self.level = min(self.size, self.level + (now - self.at) * self.rate)
        self.at = now


class ReadBudget:
    """Counts reads; safe from any thread. Never blocks: who is told no serves what it knows."""

    def __init__(self, per_minute: int, clock: Clock = SYSTEM) -> None:
        now = clock.monotonic()
        self._clock = clock
        self._lock = threading.Lock()  # guards what follows
        self._short = _Bucket(BURST, max(PER_SECOND, per_minute / 60), BURST, now)
        self._long = _Bucket(max(SLACK, per_minute), per_minute / 60, max(SLACK, per_minute), now)
        self._scarce_until = 0.0
        self.per_second = per_minute / 60
        """The sustained rate."""

    def take(self, *, urgent: bool = False) -> bool:
        """Ask for one read. Urgent ones may use the last of what there is."""
        reserve = 0.0 if urgent else BURST / 5
        with self._lock:
            now = self._clock.monotonic()
            self._short.refill(now)
            self._long.refill(now)
            if not urgent and now < self._scarce_until:
                return False
            if min(self._short.level, self._long.level) < reserve + 1:
                return False
            self._spend()
            return True

    @property
    def plenty(self) -> bool:
        """Whether more than half of what may be saved up is there."""
        with self._lock:
            now = self._clock.monotonic()
            for bucket in (self._short, self._long):
                bucket.refill(now)
            return now >= self._scarce_until and all(
                bucket.level > bucket.size / 2 for bucket in (self._short, self._long)
            )

    def spend(self) -> None:
        """Count a read that is made in any case: somebody waits for its answer."""
        with self._lock:
            now = self._clock.monotonic()
            self._short.refill(now)
            self._long.refill(now)
            self._spend()

    def heed(self, remaining: str | None) -> None:
        """Take in ARM's own count, from the header of an answer."""
        try:
            left = int(remaining or "")
        except ValueError:
            return
        with self._lock:
            now = self._clock.monotonic()
            self._scarce_until = now + SCARCE_FOR if left < SCARCE else 0.0

    def _spend(self) -> None:
        # Below zero, but not without end: a log that is followed must not stop the listing for an hour.
        for bucket in (self._short, self._long):
            bucket.level = max(bucket.level - 1, -BURST)
