"""Which form of an object a client wants, and the bytes of it.

A stored body is encoded once (`Record.raw`), for all readers and watchers; the plain view only puts kind and
apiVersion in front of those bytes.
"""

from __future__ import annotations

from typing import Protocol

from virtual_kubelet import codec
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.read import Listing
from virtual_kubelet.objects import JsonObject

__all__ = ["PlainView", "View", "bookmark", "line", "list_meta"]


class View(Protocol):
    """One way to write the objects of one kind."""

    def one(self, record: Record) -> bytes:
        """Encode one object."""

    def many(self, listing: Listing) -> bytes:
        """Encode a list."""


class PlainView:
    """Objects as they are."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def one(self, record: Record) -> bytes:
        """Encode one object."""
        return self._kind.type_meta + self._raw(record)[1:]

    def many(self, listing: Listing) -> bytes:
        """Encode a list; as on the real server its items have no kind and apiVersion of their own."""
        head = f'{{"kind":"{self._kind.kind}List","apiVersion":"{self._kind.api_version}","metadata":'
        items = b",".join(self._raw(record) for record in listing.records)
        return b"".join((head.encode(), codec.dumps(list_meta(listing)), b',"items":[', items, b"]}"))

    def _raw(self, record: Record) -> bytes:
        outward = self._kind.outward
        return record.raw if outward is None else codec.dumps(outward(record.body))


def list_meta(listing: Listing) -> JsonObject:
    """Return a list's metadata."""
    meta: JsonObject = {"resourceVersion": str(listing.version)}
    if listing.next_page:
        meta["continue"] = listing.next_page
        if listing.remaining:
            meta["remainingItemCount"] = listing.remaining
    return meta


def line(kind_of_event: str, encoded: bytes) -> bytes:
    """Return one line of a watch stream."""
    return b'{"type":"%s","object":%s}\n' % (kind_of_event.encode(), encoded)


def bookmark(kind: Kind, version: int, *, initial_events_end: bool = False) -> bytes:
    """Return the line that says: you have seen everything up to `version`."""
    meta: JsonObject = {"resourceVersion": str(version), "creationTimestamp": None}
    if initial_events_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    return line(
        "BOOKMARK", codec.dumps({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta})
    )
