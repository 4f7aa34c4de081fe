"""When an event is a new one, when it is one more of a series, and when there have been too many.

The rules and numbers are client-go's event correlator's (tools/record, Kubernetes 1.36), which operators and
`kubectl describe` are used to:

- ten different messages of one reason about one object within ten minutes: from then on they are one event,
  "(combined from similar events): ..." with the newest message;
- the same message again: the event that is there gets a higher count;
- more than 25 events about one object: one each five minutes.

What is remembered is bounded; an event that falls out of memory begins a new series.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from cachetools import LRUCache

from virtual_kubelet.pure.token_bucket import TokenBucket

__all__ = ["EventSeries", "Occurrence", "Subject", "Verdict"]

REMEMBERED = 4096  # of each kind of memory
AGGREGATE_AFTER = 10  # different messages
AGGREGATE_WINDOW = 600.0  # seconds without a similar event end an aggregate
SPAM_BURST = 25
SPAM_RATE = 1 / 300  # events a second about one object
COMBINED = "(combined from similar events): "


class Subject(NamedTuple):
    """What events are about."""

    kind: str
    namespace: str
    name: str
    uid: str
    api_version: str
    field_path: str = ""


class Occurrence(NamedTuple):
    """Something that happened."""

    subject: Subject
    type: str
    reason: str
    message: str


@dataclass(frozen=True)
class Verdict:
    """What to write: a new event, or a higher count into the one called `name`."""

    key: tuple[object, ...]
    message: str
    count: int
    first: float  # seconds since the epoch
    last: float
    name: str | None  # None: create one


@dataclass
class _Aggregate:
    last: float
    messages: set[str] = field(default_factory=set)


@dataclass
class _Series:
    first: float
    count: int = 0
    name: str | None = None


class EventSeries:
    """The memory of one source of events. Times are seconds since the epoch; not locked: its owner is."""

    def __init__(self) -> None:
        self._aggregates: LRUCache[tuple[object, ...], _Aggregate] = LRUCache(REMEMBERED)
        self._series: LRUCache[tuple[object, ...], _Series] = LRUCache(REMEMBERED)
        self._budgets: LRUCache[Subject, TokenBucket] = LRUCache(REMEMBERED)

    def observe(self, occurrence: Occurrence, now: float) -> Verdict | None:
        """Return what to write, None when there were too many about this object."""
        key, message = self._aggregate(occurrence, now)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = _Series(first=now)
        series.count += 1
        if not self._budget(occurrence.subject).try_take(now):
            return None
        return Verdict(key, message, series.count, series.first, now, series.name)

    def written(self, key: tuple[object, ...], name: str) -> None:
        """Remember that the series `key` is in the event `name`."""
        series = self._series.get(key)
        if series is not None:
            series.name = name

    def lost(self, key: tuple[object, ...]) -> None:
        """Remember that the event of the series is gone (they live an hour): the next one is created."""
        series = self._series.get(key)
        if series is not None:
            series.name = None

    def _aggregate(self, occurrence: Occurrence, now: float) -> tuple[tuple[object, ...], str]:
        """Return the key of the occurrence's series, and its message in it."""
        subject = occurrence.subject._replace(field_path="")
        similar = (subject, occurrence.type, occurrence.reason)
        aggregate = self._aggregates.get(similar)
        if aggregate is None or now - aggregate.last > AGGREGATE_WINDOW:
            aggregate = self._aggregates[similar] = _Aggregate(last=now)
        aggregate.last = now
        aggregate.messages.add(occurrence.message)
        if len(aggregate.messages) < AGGREGATE_AFTER:
            return tuple(occurrence), occurrence.message
        # One is enough to be over the limit with the next new one; more would grow without bound.
        aggregate.messages.pop()
        return similar, COMBINED + occurrence.message

    def _budget(self, subject: Subject) -> TokenBucket:
        subject = subject._replace(field_path="")
        budget = self._budgets.get(subject)
        if budget is None:
            budget = self._budgets[subject] = TokenBucket(SPAM_RATE, SPAM_BURST)
        return budget
