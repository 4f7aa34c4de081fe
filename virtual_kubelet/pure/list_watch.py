"""The decisions of list and watch: what to ask the API server next, and after which pause.

    first     LIST at resourceVersion=0: whatever the server has in its cache, in one piece
    then      WATCH from there; each event and bookmark moves the version on
    ended     WATCH again from the last version
    expired   the server has forgotten that version (410), or has not reached it yet (504 "too large resource
              version", an API server that lags behind): LIST at no version, which asks etcd, in pages
    broken    a stream of nonsense, or the same version refused again and again: LIST at no version

Failures are paused after, by exponential back-off with jitter; a watch that lived for a while starts it afresh.
A server that cannot be reached at all is tried more often than one that answers with errors: it costs that
server nothing, and pods wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from virtual_kubelet.pure.backoff import Backoff

__all__ = ["PAGE_SIZE", "ListWatch", "Outcome", "Request"]

PAGE_SIZE = 500
HEALTHY = 10.0  # seconds; a watch that lived as long ends the back-off
SHORT = 5.0  # seconds; a watch that the server ends earlier counts as a failure
STUCK = 4  # refusals of a watch at one version, without an event, after which it is listed again

REFUSED_BACKOFF = Backoff(initial=0.8, maximum=30.0, factor=2.0, jitter=1.0)
UNREACHABLE_BACKOFF = Backoff(initial=0.25, maximum=5.0, factor=2.0, jitter=0.5)


class Outcome(Enum):
    """How a list or a watch ended."""

    DONE = "done"  # the list was taken in; the watch came to its end
    EXPIRED = "expired"  # 410, or a version that is too large
    REFUSED = "refused"  # any other answer that is an error
    UNREACHABLE = "unreachable"  # no answer, or the connection broke
    NONSENSE = "nonsense"  # an answer that cannot be understood


@dataclass(frozen=True)
class Request:
    """What to ask next: a watch from `version`, or a list at it ("" for the newest), in pages or not."""

    watch: bool
    version: str
    limit: int | None = None


class ListWatch:
    """The state of one list and watch."""

    def __init__(self) -> None:
        self._version: str | None = None  # None: a list is due
        self._first = True
        self._paged = True
        # Two troubles, each with a back-off of its own: a server that comes back is not made to wait for
        # what it had refused, and its first 410 is nobody's fault.
        self._failures = 0  # answers that were failures, since a watch lived
        self._absences = 0  # requests without an answer, in a row
        self._refusals = 0  # in a row, of a watch at one version
        self._last = Outcome.DONE

    def next(self) -> Request:
        """Return what to ask."""
        if self._version is not None:
            return Request(watch=True, version=self._version)
        if self._first:
            return Request(watch=False, version="0")
        return Request(watch=False, version="", limit=PAGE_SIZE if self._paged else None)

    def saw(self, version: str) -> None:
        """Move on: a list, event or bookmark carried this version."""
        self._version = version
        self._refusals = 0

    def list_ended(self, outcome: Outcome) -> None:
        """Take in how a list ended; after `DONE`, call `saw` with its version."""
        if outcome is Outcome.DONE:
            # The failures stay counted until a watch lives: list and 410 in turn are no success.
            self._first = False
            self._paged = True
            self._absences = 0
            self._last = outcome
            return
        if outcome in {Outcome.EXPIRED, Outcome.NONSENSE}:
            # A version that the server does not have, or a page that it has forgotten meanwhile.
            self._paged = self._first
            self._first = False
        self._fail(outcome)

    def watch_ended(self, outcome: Outcome, lifetime: float) -> None:
        """Take in how a watch ended, after `lifetime` seconds."""
        if lifetime >= HEALTHY:
            self._failures = self._absences = 0
        if outcome is Outcome.DONE and lifetime >= SHORT:
            self._last = outcome
            return
        if outcome is Outcome.REFUSED:
            self._refusals += 1
        if outcome in {Outcome.EXPIRED, Outcome.NONSENSE} or self._refusals >= STUCK:
            self._version = None
            self._refusals = 0
        self._fail(Outcome.REFUSED if outcome is Outcome.DONE else outcome)

    def pause(self, chance: float) -> float:
        """Return the seconds to wait before `next`; `chance` is from [0, 1)."""
        if self._last is Outcome.DONE:
            return 0.0
        if self._last is Outcome.UNREACHABLE:
            return UNREACHABLE_BACKOFF.delay(self._absences, chance)
        if self._last is Outcome.EXPIRED:
            # The first time is no one's fault, and what is missed meanwhile waits for the list.
            return REFUSED_BACKOFF.delay(self._failures - 1, chance)
        return REFUSED_BACKOFF.delay(self._failures, chance)

    def _fail(self, outcome: Outcome) -> None:
        if outcome is Outcome.UNREACHABLE:
            self._absences += 1
        else:
            self._failures += 1
            self._absences = 0
        self._last = outcome
