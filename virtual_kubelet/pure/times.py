"""Points in time as Kubernetes writes them, and back.

Inside the package a time is a float of seconds since the epoch (`runtime.clock`). On the wire there are three
forms, all RFC 3339: `metav1.Time` has whole seconds, `metav1.MicroTime` exactly six digits of fraction (the
API server refuses five or seven), and the kubelet's log lines have nine.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache

__all__ = ["micro_time", "parse", "parse_micro_time", "rfc3339", "rfc3339_nano"]

_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
_RFC3339 = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)


def rfc3339(seconds: float) -> str:
    """Return `metav1.Time`, for example `2026-01-02T03:04:05Z`; a fraction is cut off, not rounded."""
    return _whole_seconds(int(seconds // 1))


def micro_time(seconds: float) -> str:
    """Return `metav1.MicroTime`, for example `2026-01-02T03:04:05.678901Z`."""
    return _isoformat(seconds, "microseconds") + "Z"


def rfc3339_nano(seconds: float) -> str:
    """Return the time with nine digits of fraction, as the kubelet stamps log lines.

    The last three digits are zero: a float of seconds since the epoch cannot hold nanoseconds.
    """
    return _isoformat(seconds, "microseconds") + "000Z"


def parse(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time with any fraction and offset.

    Raises:
        ValueError: `text` is not such a time; the message holds it.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a time such as 2026-01-02T03:04:05Z (RFC 3339)")
    date, time_of_day, fraction, sign, hours, minutes = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{time_of_day}+00:00")
    except ValueError as error:
        raise ValueError(f"{text!r} is not a time: {error}") from error
    seconds = (moment - _EPOCH).total_seconds()
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
    return seconds + float(f"0.{fraction or 0}")


def parse_micro_time(text: str) -> float:
    """Return the seconds of a `metav1.MicroTime`, as strict as the API server: six digits of fraction.

    Raises:
        ValueError: `text` is not such a time; the message holds it.
    """
    match = _RFC3339.fullmatch(text)
    if match is not None and len(match.group(3) or "") != 6:
        raise ValueError(f"{text!r} has not the six digits of fraction of a MicroTime")
    return parse(text)


@lru_cache(maxsize=256)  # a busy node stamps hundreds of things within one second
def _whole_seconds(seconds: int) -> str:
    return _isoformat(seconds, "seconds") + "Z"


def _isoformat(seconds: float, timespec: str) -> str:
    # Not fromtimestamp, which asks the C library, and that refuses times before 1970 on some systems.
    return (_EPOCH + timedelta(seconds=seconds)).isoformat(timespec=timespec)[:-6]
