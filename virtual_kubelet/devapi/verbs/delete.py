"""Delete an object: at once, after its grace period, or when its finalizers are gone (rest.BeforeDelete)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["DeleteOptions", "delete"]


@dataclass(frozen=True)
class DeleteOptions:
    """`metav1.DeleteOptions`, as far as it matters here."""

    grace: int | None = None
    uid: str = ""
    version: str = ""
    dry_run: bool = False

    @classmethod
    def from_body(cls, body: JsonObject, *, grace: int | None = None, dry_run: bool = False) -> DeleteOptions:
        """Read a request's body; the query's parameters hold where the body says nothing."""
        preconditions = body.get("preconditions") or {}
        in_body: Any = body.get("gracePeriodSeconds")
        if in_body is not None and not isinstance(in_body, int):
            raise failures.bad_request(f"gracePeriodSeconds must be a number of seconds, not {in_body!r}")
        return cls(
            grace=grace if in_body is None else in_body,
            uid=preconditions.get("uid") or "",
            version=preconditions.get("resourceVersion") or "",
            dry_run=dry_run or "All" in (body.get("dryRun") or []),
        )


def delete(
    cluster: Cluster, kind: Kind, namespace: str, name: str, options: DeleteOptions
) -> tuple[Record, bool]:
    """Delete, or begin to; return the object's state and whether it is gone.

    Raises:
        ApiError: 404, or 409 where a precondition does not hold.
    """
    while True:
        old = cluster.storage.get(kind.stored, namespace, name)
        if old is None:
            raise failures.not_found(kind.resource, name)
        _check_preconditions(kind, old, options)
        result = _attempt(cluster, kind, old, options)
        if result is not None:
            return result


def _check_preconditions(kind: Kind, old: Record, options: DeleteOptions) -> None:
    if options.uid and options.uid != old.uid:
        raise failures.precondition_failed(kind.resource, old.name, "UID", options.uid, old.uid)
    if options.version and options.version != str(old.version):
        raise failures.precondition_failed(
            kind.resource, old.name, "ResourceVersion", options.version, str(old.version)
        )


def _attempt(cluster: Cluster, kind: Kind, old: Record, options: DeleteOptions) -> tuple[Record, bool] | None:
    """Take one step from `old`; None when somebody else changed it meanwhile."""
    marked = _mark(kind, old, options, cluster.clock.now())
    if options.dry_run:
        return (old if marked is None else Record(old.namespace, old.name, marked, old.version)), False
    current: Record | None = old
    if marked is not None:
        current = cluster.storage.swap(kind.stored, old, marked)
        if current is None:
            return None
    assert current is not None
    if not _goes_now(kind, current.body):
        return current, False
    last = cluster.storage.remove(kind.stored, current, current.copy())
    return None if last is None else (last, True)


def _mark(kind: Kind, old: Record, options: DeleteOptions, now: float) -> JsonObject | None:
    """Return the object marked as being deleted, or None where there is nothing to mark."""
    meta = old.body["metadata"]
    if "deletionTimestamp" in meta:
        return _shorten(old, options)
    grace = kind.strategy.grace_period(old.body, options.grace)
    if grace is None:
        if not meta.get("finalizers") and kind.strategy.may_go(old.body):
            return None
        grace = 0
    body = old.copy()
    body["metadata"]["deletionTimestamp"] = times.rfc3339(now + grace)
    body["metadata"]["deletionGracePeriodSeconds"] = grace
    if body["metadata"].get("generation"):
        body["metadata"]["generation"] += 1
    kind.strategy.begin_delete(body)
    return body


def _shorten(old: Record, options: DeleteOptions) -> JsonObject | None:
    """A second delete may only bring the end nearer."""
    meta = old.body["metadata"]
    granted = meta.get("deletionGracePeriodSeconds", 0)
    if options.grace is None or options.grace >= granted:
        return None
    grace = max(options.grace, 0)
    body = old.copy()
    end = times.parse(meta["deletionTimestamp"]) - granted + grace
    body["metadata"]["deletionTimestamp"] = times.rfc3339(end)
    body["metadata"]["deletionGracePeriodSeconds"] = grace
    return body


def _goes_now(kind: Kind, body: JsonObject) -> bool:
    meta = body["metadata"]
    return (
        not meta.get("finalizers")
        and not meta.get("deletionGracePeriodSeconds")
        and kind.strategy.may_go(body)
    )
