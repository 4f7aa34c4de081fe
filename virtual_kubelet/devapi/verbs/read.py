"""Get and list objects."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.memory import HistoryExpired
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.filters import Filter
from virtual_kubelet.devapi.verbs.options import Query, first

__all__ = ["Listing", "get", "list_objects"]

CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list "
    "without the continue parameter."
)


@dataclass(frozen=True)
class Listing:
    """A page of a list."""

    records: Sequence[Record]
    version: int
    next_page: str = ""  # the continue token
    remaining: int = 0  # objects after this page; 0 with selectors, which hide how many there are


def get(cluster: Cluster, kind: Kind, namespace: str, name: str) -> Record:
    """Return an object; `ApiError` 404."""
    record = cluster.storage.get(kind.stored, namespace, name)
    if record is None:
        raise failures.not_found(kind.resource, name)
    return record


def list_objects(cluster: Cluster, kind: Kind, namespace: str, query: Query) -> Listing:
    """Return the objects of a namespace ("": all) that the query's selectors select.

    Raises:
        ApiError: 400, 410 (continue token or exact version too old), 504 (version not reached).
    """
    chosen = Filter(kind, first(query, "labelSelector"), first(query, "fieldSelector"))
    limit = _number(query, "limit")
    token = first(query, "continue")
    start = ""
    if token:
        version, start = _read_token(token)
        records = _at(cluster, kind, namespace, version, CONTINUE_EXPIRED)
    else:
        records, version = _fresh(cluster, kind, namespace, query)
    if start:
        records = [record for record in records if _key(record) > start]
    if not chosen.everything:
        records = [record for record in records if chosen.matches(record.body)]
    if not limit or len(records) <= limit:
        return Listing(records, version)
    page = records[:limit]
    remaining = len(records) - limit if chosen.everything else 0
    return Listing(page, version, _token(version, _key(page[-1])), remaining)


def _fresh(cluster: Cluster, kind: Kind, namespace: str, query: Query) -> tuple[list[Record], int]:
    wanted = check_version(query)
    match = first(query, "resourceVersionMatch")
    if match and not first(query, "resourceVersion"):
        raise failures.bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if match == "Exact":
        if not wanted:
            raise failures.bad_request('resourceVersionMatch "exact" is forbidden for resourceVersion "0"')
        expired = f"The resourceVersion for the provided list is too old: {wanted}"
        return _at(cluster, kind, namespace, wanted, expired), wanted
    records, version = cluster.storage.records(kind.stored, namespace)
    if wanted > version:
        raise failures.too_large_version(wanted, version)
    return records, version


def _at(cluster: Cluster, kind: Kind, namespace: str, version: int, expired: str) -> list[Record]:
    current = cluster.storage.version
    if version > current:
        raise failures.too_large_version(version, current)
    try:
        return cluster.storage.records_at(kind.stored, namespace, version)
    except HistoryExpired as error:
        raise failures.expired(expired) from error


def check_version(query: Query) -> int:
    """Return `resourceVersion` as a number, 0 for none; `ApiError` 400 for what is none."""
    text = first(query, "resourceVersion")
    if not text:
        return 0
    if not text.isdigit():
        raise failures.bad_request(f'resourceVersion: Invalid value: "{text}": must be a number')
    return int(text)


def _number(query: Query, name: str) -> int:
    text = first(query, name)
    if not text:
        return 0
    try:
        return max(int(text), 0)
    except ValueError as error:
        raise failures.bad_request(f'{name}: Invalid value: "{text}": must be a number') from error


def _key(record: Record) -> str:
    # Sorts as (namespace, name) does: no name holds a character below "-".
    return f"{record.namespace}\0{record.name}"


def _token(version: int, after: str) -> str:
    text = codec.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": after})
    return base64.urlsafe_b64encode(text).decode().rstrip("=")


def _read_token(token: str) -> tuple[int, str]:
    try:
        value = codec.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        return int(value["rv"]), str(value["start"])
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise failures.bad_request("continue key is not valid") from error
