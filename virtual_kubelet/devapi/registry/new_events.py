"""events.k8s.io/v1: the same events as in core/v1, under newer names."""

from __future__ import annotations

from virtual_kubelet.objects import JsonObject

__all__ = ["from_core", "to_core"]

NAMES = {
    "regarding": "involvedObject",
    "note": "message",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
OLD_NAMES = {old: new for new, old in NAMES.items()}


def to_core(event: JsonObject) -> JsonObject:
    """Return an event of events.k8s.io as core/v1 has it."""
    return {NAMES.get(field, field): value for field, value in event.items()}


def from_core(event: JsonObject) -> JsonObject:
    """Return an event of core/v1 as events.k8s.io has it."""
    return {OLD_NAMES.get(field, field): value for field, value in event.items()}
