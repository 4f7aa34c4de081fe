"""What the storage holds: an object at one resourceVersion, and the change that led to it."""

from __future__ import annotations

from virtual_kubelet import codec
from virtual_kubelet.objects import JsonObject

__all__ = ["Change", "Record"]


class Record:
    """An object as it was at one resourceVersion; never changes, so threads share it without a lock.

    `body` has no apiVersion and kind, which belong to the view that a client asked for. `raw` is its JSON,
    encoded once, when first asked for: lists, watches and answers all reuse it.
    """

    __slots__ = ("_raw", "body", "name", "namespace", "version")

    def __init__(self, namespace: str, name: str, body: JsonObject, version: int) -> None:
        self.namespace = namespace
        self.name = name
        self.body = body
        self.version = version
        self._raw: bytes | None = None

    @property
    def raw(self) -> bytes:
        """The body's JSON."""
        raw = self._raw
        if raw is None:
            # Two threads may both do this; they make the same bytes.
            raw = self._raw = codec.dumps(self.body)
        return raw

    @property
    def uid(self) -> str:
        """The object's UID."""
        uid: str = self.body["metadata"]["uid"]
        return uid

    def copy(self) -> JsonObject:
        """Return a body of one's own to change."""
        body: JsonObject = codec.loads(self.raw)
        return body


class Change:
    """One step of one object: `previous` is None for a creation, `deleted` says that `record` is its end."""

    __slots__ = ("bucket", "deleted", "previous", "record")

    def __init__(
        self, bucket: str, record: Record, previous: Record | None, *, deleted: bool = False
    ) -> None:
        self.bucket = bucket
        self.record = record
        self.previous = previous
        self.deleted = deleted

    @property
    def version(self) -> int:
        """The resourceVersion of the change."""
        return self.record.version
