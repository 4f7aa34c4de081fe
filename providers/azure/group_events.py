"""What Azure tells about a container group as Kubernetes events. Pure.

Group and containers have `instanceView.events`: `{count, firstTimestamp, lastTimestamp, name, message, type}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from virtual_kubelet.providers.azure.shapes import mapping, mappings

__all__ = ["GroupEvent", "fresh", "read"]

KINDS = {"warning": "Warning", "error": "Warning"}


@dataclass(frozen=True)
class GroupEvent:
    """One event; `key` and `count` tell whether it was told before."""

    key: tuple[str, str, str, str]
    count: int
    type: str  # Normal or Warning
    reason: str
    message: str


def read(group: Mapping[str, Any]) -> list[GroupEvent]:
    """Return all events of a group, in the order that they are listed."""
    return list(_read(group))


def fresh(events: list[GroupEvent], told: dict[tuple[str, str, str, str], int]) -> list[GroupEvent]:
    """Return those that were not told before, or not as often; takes note of them in `told`."""
    news = []
    for event in events:
        if told.get(event.key, 0) < event.count:
            told[event.key] = event.count
            news.append(event)
    return news


def _read(group: Mapping[str, Any]) -> Iterator[GroupEvent]:
    properties = mapping(group.get("properties"))
    yield from _of("", properties.get("instanceView"))
    for kind in ("initContainers", "containers"):
        for container in mappings(properties.get(kind)):
            view = mapping(container.get("properties")).get("instanceView")
            yield from _of(str(container.get("name") or ""), view)


def _of(container: str, view: Any) -> Iterator[GroupEvent]:
    for event in mappings(mapping(view).get("events")):
        reason = str(event.get("name") or "ContainerGroup")
        message = str(event.get("message") or "")
        about = f"container {container}: " if container else ""
        yield GroupEvent(
            key=(container, reason, message, str(event.get("firstTimestamp") or "")),
            count=_count(event.get("count")),
            type=KINDS.get(str(event.get("type") or "").lower(), "Normal"),
            reason=reason,
            message=f"{about}{message}",
        )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 1
