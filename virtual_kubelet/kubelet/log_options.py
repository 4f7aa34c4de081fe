"""The query of /containerLogs, as the kubelet reads it.

Kubernetes v1.36: k8s.io/api core/v1 PodLogOptions, conversion of query parameters in apimachinery
(pkg/runtime/conversion.go), pkg/apis/core/v1/validation. A value of the wrong form is 400, a value out of
range 422.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from virtual_kubelet import codec
from virtual_kubelet.errors import RequestError
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.pure import times

__all__ = ["parse"]

Query = Mapping[str, Sequence[str]]

STREAMS = ("All", "Stdout", "Stderr")
INT64 = 1 << 63
_INTEGER = re.compile(r"[+-]?[0-9]+", re.ASCII)


def parse(query: Query, now: float) -> LogOptions:
    """Return the options; unknown parameters are ignored.

    Args:
        query: parameters; of a repeated one the first counts.
        now: seconds since the epoch, from which `sinceSeconds` counts back.

    Raises:
        RequestError: 400 or 422, with the kubelet's JSON text and the parameter's name.
    """
    tail = _tail(query)
    limit = _integer(query, "limitBytes")
    seconds = _integer(query, "sinceSeconds")
    since = _time(query, "sinceTime")
    stream = _first(query, "stream") or "All"
    if tail is not None and tail < 0:
        raise _invalid("tailLines: must be greater than or equal to 0")
    if limit is not None and limit < 1:
        raise _invalid("limitBytes: must be greater than 0")
    if seconds is not None and since is not None:
        raise _invalid("sinceSeconds: at most one of sinceTime or sinceSeconds may be specified")
    if seconds is not None and seconds < 1:
        raise _invalid("sinceSeconds: must be greater than 0")
    if stream not in STREAMS:
        raise _invalid(f"stream: supported values: {', '.join(STREAMS)}")
    if stream != "All" and tail is not None:
        raise _invalid("stream: tailLines and a specific stream are mutually exclusive")
    return LogOptions(
        tail=tail,
        limit_bytes=limit,
        since=now - seconds if seconds is not None else since,
        timestamps=_boolean(query, "timestamps"),
        follow=_boolean(query, "follow"),
        previous=_boolean(query, "previous"),
        stream=stream,
    )


def _first(query: Query, name: str) -> str | None:
    values = query.get(name)
    return values[0] if values else None


def _boolean(query: Query, name: str) -> bool:
    """Anything but `false` and `0` is true, also nothing (`?follow`)."""
    value = _first(query, name)
    return value is not None and value.lower() not in {"false", "0"}


def _tail(query: Query) -> int | None:
    old = _first(query, "tail")  # before Kubernetes 1.0, and still read by the kubelet
    if old:
        return None if old == "all" else _integer({"tailLines": [old]}, "tailLines")
    return _integer(query, "tailLines")


def _integer(query: Query, name: str) -> int | None:
    value = _first(query, name)
    if value is None:
        return None
    # Bounded before int() sees it: converting thousands of digits takes quadratic time.
    number = int(value) if _INTEGER.fullmatch(value) and len(value) <= 20 else None
    if number is None or not -INT64 <= number < INT64:
        raise _undecodable(f"{name} is not an integer")
    return number


def _time(query: Query, name: str) -> float | None:
    value = _first(query, name)
    if value in {None, "", "null"}:
        return None
    try:
        return times.parse(value or "")
    except ValueError as error:
        raise _undecodable(f"{name} is not a time in RFC 3339") from error


def _undecodable(detail: str) -> RequestError:
    return RequestError(400, _message(f"Unable to decode query: {detail}."))


def _invalid(detail: str) -> RequestError:
    return RequestError(422, _message(f"Invalid request: {detail}."))


def _message(text: str) -> str:
    return codec.dumps({"message": text}).decode()
