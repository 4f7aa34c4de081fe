"""Change an object: PUT, PATCH, subresources and inner controllers all come through here.

The new object is computed from the stored one outside any lock and committed only if nobody was faster;
otherwise it is computed again, so that a patch applies to the newest object and a PUT finds out that its
resourceVersion is old.
"""

from __future__ import annotations

from collections.abc import Callable

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry import metadata
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.registry.strategy import UpdateRules
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import patches, times

__all__ = ["Transform", "modify", "replace"]

TRIES = 1000  # lost races before giving up; each lost race is somebody else's progress

Transform = Callable[[Record], JsonObject]
"""Makes the new body from the stored record, without changing the record's."""


def modify(
    cluster: Cluster,
    kind: Kind,
    namespace: str,
    name: str,
    transform: Transform,
    options: WriteOptions,
    *,
    rules: UpdateRules | None = None,
    applies: bool = False,
    subresource: str = "",
) -> Record:
    """Apply `transform` under `rules` (None: those of the main resource) and return the object as it is then.

    Unless it `applies` (and says itself who owns what), managedFields are kept true where there are any.

    Raises:
        ApiError: 404, 409 Conflict, 422, and what `transform` raises.
    """
    for _ in range(TRIES):
        old = cluster.storage.get(kind.stored, namespace, name)
        if old is None:
            raise failures.not_found(kind.resource, name)
        new = transform(old)
        _check(kind, old, new)
        _prepare(kind, old, new, rules or kind.strategy)
        for admit in cluster.update_admission:
            admit(cluster, kind, new, old.body, options)
        if not applies:
            _keep_owners(cluster, kind, old, new, options, subresource)
        record = _commit(cluster, kind, old, new, dry_run=options.dry_run)
        if record is not None:
            return record
    raise failures.conflict(kind.resource, name)


def replace(body: JsonObject, kind: Kind) -> Transform:
    """Return the transform of a PUT: `body`, if its UID is the object's."""

    def transform(old: Record) -> JsonObject:
        new = {**body, "metadata": dict(body["metadata"])}
        uid = new["metadata"].get("uid")
        if uid and uid != old.uid:
            raise failures.conflict(
                kind.resource,
                old.name,
                f"StorageError: invalid object, Code: 4, Key: /registry/{kind.plural}/{old.namespace}/{old.name}, "
                "ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: "
                f"UID in precondition: {uid}, UID in object meta: {old.uid}",
            )
        return new

    return transform


def _check(kind: Kind, old: Record, new: JsonObject) -> None:
    """Refuse a body that names another object, or an older state of this one."""
    meta = new["metadata"]
    if meta.setdefault("name", old.name) != old.name:
        raise failures.bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({old.name})"
        )
    if kind.namespaced and meta.setdefault("namespace", old.namespace) != old.namespace:
        raise failures.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    claimed = meta.get("resourceVersion") or "0"
    if claimed != "0":
        if not claimed.isdigit():
            raise failures.bad_request(
                f'resourceVersion: Invalid value: "{claimed}": strconv.ParseUint: parsing "{claimed}": invalid syntax'
            )
        if int(claimed) != old.version:
            raise failures.conflict(kind.resource, old.name)
    elif not kind.strategy.unconditional_update:
        complaint = failures.FieldError.invalid(
            "metadata.resourceVersion", "0x0", "must be specified for an update"
        )
        raise failures.invalid(kind.resource, old.name, [complaint])
    meta["resourceVersion"] = str(old.version)


def _prepare(kind: Kind, old: Record, new: JsonObject, rules: UpdateRules) -> None:
    metadata.keep_system_fields(new["metadata"], old.body["metadata"])
    if not kind.namespaced:
        new["metadata"].pop("namespace", None)
    kind.strategy.default(new)
    rules.prepare_update(new, old.body)
    complaints = metadata.validate(
        new["metadata"], namespaced=kind.namespaced, name_rule=kind.strategy.name_rule
    )
    complaints += metadata.validate_update(new["metadata"], old.body["metadata"])
    complaints += rules.validate_update(new, old.body)
    if complaints:
        raise failures.invalid(kind.qualified_kind, old.name, complaints)


def _keep_owners(
    cluster: Cluster, kind: Kind, old: Record, new: JsonObject, options: WriteOptions, subresource: str
) -> None:
    """Take down in managedFields who changed what; objects that were never applied have none."""
    held = old.body["metadata"].get("managedFields")
    if not held and "managedFields" not in new["metadata"]:
        return
    # A writer that leaves the entries out does not mean to remove them; one that edits them does.
    entries = new["metadata"].get("managedFields", held)
    before = {**old.body, "metadata": {**old.body["metadata"], "managedFields": entries}}
    new["metadata"]["managedFields"] = patches.after_update(
        before,
        {"apiVersion": kind.api_version, **new},
        patches.schema_of(kind.group, kind.kind) or patches.Schema(),
        manager=options.field_manager or options.user.rpartition(":")[2] or "unknown",
        time=times.rfc3339(cluster.clock.now()),
        subresource=subresource,
    )
    if not new["metadata"]["managedFields"]:
        del new["metadata"]["managedFields"]


def _commit(cluster: Cluster, kind: Kind, old: Record, new: JsonObject, *, dry_run: bool) -> Record | None:
    if new == old.body:
        return old  # as the real server, a change of nothing is no write and no event
    if dry_run:
        return Record(old.namespace, old.name, new, old.version)
    if _was_waiting_for_this(kind, old.body, new):
        return cluster.storage.remove(kind.stored, old, new)
    return cluster.storage.swap(kind.stored, old, new)


def _was_waiting_for_this(kind: Kind, old: JsonObject, new: JsonObject) -> bool:
    """Tell whether a deleted object has lost the last thing that kept it."""
    meta = old["metadata"]
    return (
        "deletionTimestamp" in meta
        and not new["metadata"].get("finalizers")
        and not meta.get("deletionGracePeriodSeconds")
        and kind.strategy.may_go(new)
    )
