"""Which single reads are worth their cost, and which first. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_kubelet.providers.azure import status as statuses
from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.pure.backoff import Backoff

__all__ = ["LONGEST_INTERVAL", "Reading", "longest_interval", "reading"]

STABLE = 20.0  # a group that has not changed for n seconds is read again after n/20
LONGEST_INTERVAL = 30.0  # seconds, as long as there is budget; fewer where it is more than enough
FEW = 50  # groups up to which none is too many to be read again at once
EACH_SECOND = 100.0  # groups of more that are read again in a second, at the most
BLIND_PAUSES = Backoff(initial=1.0, maximum=LONGEST_INTERVAL)  # after reads that showed no instance view
COMING_INTERVAL = 10.0  # seconds between two reads of a group that comes up: only its events are news


@dataclass(frozen=True)
class Reading:
    """A single read that is worth making."""

    name: str
    urgent: bool
    weight: float  # the greater, the sooner


def longest_interval(groups: int, per_second: float) -> float:
    """Return the seconds after which a group is read again at the latest, where the budget allows `per_second`."""
    return min(groups / per_second, LONGEST_INTERVAL)


def reading(entry: Entry, now: float, groups: int, longest: float = LONGEST_INTERVAL) -> Reading | None:
    """Return the read of one of `groups` groups that is due at `now` (monotonic), or None."""
    if entry.unlisted or entry.doubtful:
        return Reading(entry.name, urgent=True, weight=2.0)
    if entry.removing or entry.told_by_list:
        return None
    state = statuses.provisioning_state(entry.body)
    settled = state in {"succeeded", "failed", "canceled"}
    age = now - max(entry.detail_began, entry.written_at)
    if not settled:
        due = age >= COMING_INTERVAL
        return Reading(entry.name, urgent=False, weight=0.0) if due else None
    if _is_unseen(entry, state):
        blind = entry.blind_reads and now - entry.read_began < BLIND_PAUSES.delay(entry.blind_reads)
        return None if blind else Reading(entry.name, urgent=True, weight=1.0)
    if entry.final:
        return None
    stable = now - entry.changed_at
    shortest = groups / EACH_SECOND if groups > FEW else 0.0
    if age < max(shortest, min(stable / STABLE, longest)):
        return None
    # With less budget than groups, those that changed lately first: their neighbours' news is likelier.
    return Reading(entry.name, urgent=False, weight=age / (60.0 + min(stable, 3600.0)))


def _is_unseen(entry: Entry, state: str) -> bool:
    """Tell whether nobody has looked inside since the group came up, changed its state or was changed by us."""
    return (
        entry.detail is None
        or entry.detail_began < entry.written_at
        or state != statuses.provisioning_state(entry.detail)
    )
