"""Which single reads are worth their cost, and which first. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_kubelet.providers.azure import status as statuses
from virtual_kubelet.providers.azure.entry import Entry

__all__ = ["Reading", "reading"]

STABLE = 20.0  # a group that has not changed for n seconds is read again after n/20
LONGEST_INTERVAL = 30.0  # seconds, as long as there is budget


@dataclass(frozen=True)
class Reading:
    """A single read that is worth making."""

    name: str
    urgent: bool
    weight: float  # the greater, the sooner


def reading(entry: Entry, now: float) -> Reading | None:
    """Return the read of one group that is due at `now` (monotonic), or None."""
    if entry.unlisted or entry.doubtful:
        return Reading(entry.name, urgent=True, weight=2.0)
    if entry.removing or entry.told_by_list:
        return None
    state = statuses.provisioning_state(entry.body)
    settled = state in {"succeeded", "failed", "canceled"}
    if entry.detail is None:
        return Reading(entry.name, urgent=settled, weight=1.0)
    if state != statuses.provisioning_state(entry.detail):
        return Reading(entry.name, urgent=settled, weight=1.0)
    if entry.final:
        return None
    age, stable = now - entry.detail_began, now - entry.changed_at
    if age < min(stable / STABLE, LONGEST_INTERVAL):
        return None
    # With less budget than groups, those that changed lately first: their neighbours' news is likelier.
    return Reading(entry.name, urgent=False, weight=age / (60.0 + min(stable, 3600.0)))
