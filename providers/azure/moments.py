"""Times as Azure and older providers write them, leniently. Pure."""

from __future__ import annotations

import re
from typing import Any

from virtual_kubelet.pure import times

__all__ = ["normal", "seconds"]

# Go's own text of a time, which the Go provider put into a tag: 2017-12-05 21:12:33.5 +0000 UTC m=+0.01
_GO = re.compile(
    r"(\d{4}-\d\d-\d\d)[ Tt](\d\d:\d\d:\d\d(?:\.\d+)?)\s*([+-])(\d\d):?(\d\d)(?:\s.*)?", re.ASCII
)
_BARE = re.compile(r"\d{4}-\d\d-\d\d[ Tt]\d\d:\d\d:\d\d(?:\.\d+)?", re.ASCII)


def seconds(value: Any) -> float | None:
    """Return the seconds since the epoch that `value` writes; None for no time, or none that can be read.

    Year 1 is how .NET and Go write that there is none.
    """
    if not isinstance(value, str):
        return None
    text = value.strip()
    if _BARE.fullmatch(text):
        text = text.replace(" ", "T") + "Z"
    elif match := _GO.fullmatch(text):
        date, time_of_day, sign, hours, minutes = match.groups()
        text = f"{date}T{time_of_day}{sign}{hours}:{minutes}"
    try:
        moment = times.parse(text)
    except ValueError:
        return None
    return moment if moment > 0 else None


def normal(value: Any) -> str:
    """Return `value` as Kubernetes writes times, whole seconds; "" for none."""
    moment = seconds(value)
    return times.rfc3339(moment) if moment is not None else ""
