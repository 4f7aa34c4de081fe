"""Objects as `meta.k8s.io` tables and as bare metadata, for those who ask for them in Accept."""

from __future__ import annotations

from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.http.views import PlainView, View, list_meta
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.tables.printers import printer_of
from virtual_kubelet.devapi.verbs.options import Query, first
from virtual_kubelet.devapi.verbs.read import Listing
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import Clock

__all__ = ["MetadataView", "TableView", "view_for"]

READABLE = frozenset({"application/json", "application/*", "*/*", ""})
INCLUDES = ("None", "Metadata", "Object")
META_VERSIONS = ("v1", "v1beta1")


class TableView:
    """Rows for people, each with as much of its object as was asked for."""

    def __init__(self, kind: Kind, version: str, include: str, clock: Clock) -> None:
        self._kind = kind
        self._version = version
        self._include = include
        self._clock = clock
        self._printer = printer_of(kind)

    def one(self, record: Record) -> bytes:
        """Encode a table of one row."""
        return self._encode([record], {"resourceVersion": str(record.version)})

    def many(self, listing: Listing) -> bytes:
        """Encode a table."""
        return self._encode(listing.records, list_meta(listing))

    def _encode(self, records: Any, meta: JsonObject) -> bytes:
        now = self._clock.now()
        return codec.dumps(
            {
                "kind": "Table",
                "apiVersion": f"meta.k8s.io/{self._version}",
                "metadata": meta,
                "columnDefinitions": [column.definition() for column in self._printer.columns],
                "rows": [self._row(record, now) for record in records],
            }
        )

    def _row(self, record: Record, now: float) -> JsonObject:
        row: JsonObject = {"cells": list(self._printer.cells(record.body, now))}
        if self._include == "Object":
            row["object"] = {"kind": self._kind.kind, "apiVersion": self._kind.api_version, **record.body}
        elif self._include == "Metadata":
            row["object"] = _partial(record, self._version)
        return row


class MetadataView:
    """Objects without spec and status (PartialObjectMetadata)."""

    def __init__(self, version: str) -> None:
        self._version = version

    def one(self, record: Record) -> bytes:
        """Encode one object's metadata."""
        return codec.dumps(_partial(record, self._version))

    def many(self, listing: Listing) -> bytes:
        """Encode a list."""
        return codec.dumps(
            {
                "kind": "PartialObjectMetadataList",
                "apiVersion": f"meta.k8s.io/{self._version}",
                "metadata": list_meta(listing),
                "items": [_partial(record, self._version) for record in listing.records],
            }
        )


def _partial(record: Record, version: str) -> JsonObject:
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": record.body["metadata"],
    }


def view_for(kind: Kind, accept: str, query: Query, clock: Clock) -> View:
    """Return the form that a client likes best among those that there are.

    Raises:
        ApiError: 406 where it likes none.
    """
    for wanted in accept.split(",") if accept else [""]:
        media, *rest = (part.strip() for part in wanted.split(";"))
        parameters = dict(part.split("=", 1) for part in rest if "=" in part)
        if media not in READABLE:
            continue  # protobuf, cbor, yaml: JSON comes further down every client's list
        form, version = parameters.get("as", ""), parameters.get("v", "v1")
        if not form:
            return PlainView(kind)
        if parameters.get("g") != "meta.k8s.io" or version not in META_VERSIONS:
            continue
        if form == "Table":
            return TableView(kind, version, _include(query), clock)
        if form in {"PartialObjectMetadata", "PartialObjectMetadataList"}:
            return MetadataView(version)
    raise failures.not_acceptable("application/json")


def _include(query: Query) -> str:
    include = first(query, "includeObject") or "Metadata"
    if include not in INCLUDES:
        complaint = failures.FieldError.not_supported("includeObject", include, INCLUDES)
        raise failures.invalid("TableOptions.meta.k8s.io", "", [complaint])
    return include
