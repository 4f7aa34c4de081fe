"""Server-side apply, and `metadata.managedFields` of objects that have been applied.

Who owns which field matters only once somebody applies: until then nothing is taken down (the real server does it
with each write, at half a millisecond a pod here). The first apply finds an object without entries and takes all
that is there as the work of `before-first-apply`, as the real server does with objects from before its time.
"""

from __future__ import annotations

from collections.abc import Callable

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry.kinds import Kind, Subresource
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.create import create
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiAlreadyExists, ApiConflict
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import patches, times

__all__ = ["apply"]

UNKNOWN = "before-first-apply"


def apply(
    cluster: Cluster,
    kind: Kind,
    namespace: str,
    name: str,
    applied: JsonObject,
    options: WriteOptions,
    *,
    decode: Callable[[JsonObject], JsonObject],
    subresource: Subresource | None = None,
) -> tuple[Record, bool]:
    """Apply a configuration to an object, which is made if it is not there; return it and whether it is new.

    Raises:
        ApiError: 404 for a subresource of an object that is not there, 409 for fields that others own, 422.
    """
    aspect = subresource.name if subresource else ""
    named = {**applied, "metadata": {"name": name, **(applied.get("metadata") or {})}}
    if cluster.storage.get(kind.stored, namespace, name) is None and subresource is None:
        if named["metadata"].get("uid"):
            raise failures.conflict(
                kind.resource,
                name,
                f"uid mismatch: the provided object specified uid {named['metadata']['uid']}, "
                "and no existing object was found",
            )
        body = decode(_merged(cluster, kind, None, named, options, aspect))
        try:
            return create(cluster, kind, namespace, body, options), True
        except ApiAlreadyExists:
            pass  # somebody else was faster: apply to that

    def transform(old: Record) -> JsonObject:
        return decode(_merged(cluster, kind, old, named, options, aspect))

    rules = subresource.rules if subresource else None
    return modify(cluster, kind, namespace, name, transform, options, rules=rules, applies=True), False


def _merged(
    cluster: Cluster, kind: Kind, old: Record | None, applied: JsonObject, options: WriteOptions, aspect: str
) -> JsonObject:
    schema = patches.schema_of(kind.group, kind.kind) or patches.Schema()
    live = None
    if old is not None:
        live = {"apiVersion": kind.api_version, "kind": kind.kind, **old.copy()}
        if not live["metadata"].get("managedFields"):
            created = live["metadata"]["creationTimestamp"]
            live["metadata"]["managedFields"] = patches.after_update(
                None, live, schema, manager=UNKNOWN, time=created
            )
    try:
        return patches.server_side_apply(
            live,
            {"apiVersion": kind.api_version, "kind": kind.kind, **applied},
            schema,
            manager=options.field_manager,
            time=times.rfc3339(cluster.clock.now()),
            force=options.force,
            subresource=aspect,
        )
    except patches.ApplyConflict as error:
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f"conflict with {each.manager}",
                "field": each.field,
            }
            for each in error.conflicts
        ]
        raise ApiConflict(str(error), reason="Conflict", details={"causes": causes}) from error
    except patches.PatchError as error:
        raise failures.bad_request(str(error)) from error
