"""The decisions of a work queue: which key is next, and when. No lock, no clock: `now` is an argument.

A key is in at most one of three places:

    ready     its time has come; first come, first served
    delayed   its time is still to come
    in hand   a worker has taken it and has not called `done` yet; it may be marked to come back

Rules, which the tests check on random histories:

- never two of one key: a second `add` only moves the first one forward (an earlier time wins, a later one is
  ignored), or marks a key in hand;
- nothing is lost: an added key is taken later, unless it is discarded;
- never early: a key is not taken before the time it was added for;
- in order: keys are taken in the order of their times, equal times in the order of their adding (a time that
  has passed counts as the moment of adding).
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from itertools import count
from typing import NamedTuple

__all__ = ["QueueState", "Taken"]

MIN_COMPACT = 64  # stale heap entries that are not worth a clean-up


class Taken(NamedTuple):
    """A key that was taken, and since when it could have been."""

    key: str
    since: float


class QueueState:
    """The state of one queue. Times are monotonic seconds; `now` never goes back between calls."""

    def __init__(self) -> None:
        self._order = count()
        # key -> since when. Not a plain dict: finding its first key walks over all those removed before it.
        self._ready: OrderedDict[str, float] = OrderedDict()
        self._delayed: dict[str, tuple[float, int]] = {}  # key -> (due, order)
        # May hold entries of keys that were moved or taken meanwhile: `_delayed` is the truth.
        self._heap: list[tuple[float, int, str]] = []
        self._in_hand: dict[str, float | None] = {}  # key -> when it has to come back, None: not at all

    def __len__(self) -> int:
        return len(self._ready) + len(self._delayed)

    @property
    def in_hand(self) -> int:
        """How many keys workers have."""
        return len(self._in_hand)

    def ready(self, now: float) -> int:
        """Return how many keys could be taken at `now`."""
        self._promote(now)
        return len(self._ready)

    def add(self, key: str, due: float, now: float) -> None:
        """Ask for `key` to be taken at `due` or as soon as possible after it."""
        if key in self._in_hand:
            again = self._in_hand[key]
            self._in_hand[key] = due if again is None else min(again, due)
            return
        self._promote(now)
        if key in self._ready:
            return
        waiting = self._delayed.get(key)
        if waiting is not None and waiting[0] <= due:
            return
        if due <= now:
            self._delayed.pop(key, None)
            self._ready[key] = now
        else:
            self._delay(key, due)

    def take(self, now: float) -> Taken | None:
        """Take the next key that is ready, or None."""
        self._promote(now)
        if not self._ready:
            return None
        key, since = self._ready.popitem(last=False)
        self._in_hand[key] = None
        return Taken(key, since)

    def next_due(self) -> float | None:
        """Return when the next delayed key is due, or None; says nothing about ready keys."""
        heap = self._heap
        while heap and not self._is_current(heap[0]):
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def done(self, key: str, now: float) -> None:
        """Give a key back; it is queued again if it was added meanwhile. Raises `KeyError` if not in hand."""
        again = self._in_hand.pop(key)
        if again is not None:
            self.add(key, again, now)

    def discard(self, key: str) -> None:
        """Forget that `key` was added; one in hand stays in hand, but does not come back."""
        self._ready.pop(key, None)
        self._delayed.pop(key, None)
        if key in self._in_hand:
            self._in_hand[key] = None

    def _delay(self, key: str, due: float) -> None:
        order = next(self._order)
        self._delayed[key] = (due, order)
        heapq.heappush(self._heap, (due, order, key))
        if len(self._heap) > 2 * len(self._delayed) + MIN_COMPACT:
            self._heap = [(due, order, key) for key, (due, order) in self._delayed.items()]
            heapq.heapify(self._heap)

    def _promote(self, now: float) -> None:
        """Move delayed keys whose time has come to the ready ones, in the order of their times."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            entry = heapq.heappop(heap)
            if self._is_current(entry):
                due, _, key = entry
                del self._delayed[key]
                self._ready[key] = due

    def _is_current(self, entry: tuple[float, int, str]) -> bool:
        return self._delayed.get(entry[2]) == entry[:2]
