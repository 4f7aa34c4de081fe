"""Create an object."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.registry import metadata
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import patches, times

__all__ = ["create"]

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

GENERATE_TRIES = 8  # names drawn for generateName before the collision is reported


def create(cluster: Cluster, kind: Kind, namespace: str, body: JsonObject, options: WriteOptions) -> Record:
    """Store `body`, which belongs to the server from now on, as a new object of `namespace`.

    Raises:
        ApiError: 400, 403, 404 (namespace), 409 AlreadyExists, 422.
    """
    meta = body.setdefault("metadata", {})
    _place(kind, namespace, meta)
    if meta.get("resourceVersion"):
        raise failures.bad_request("resourceVersion should not be set on objects to be created")
    meta.pop("resourceVersion", None)
    generated = not meta.get("name") and bool(meta.get("generateName"))
    if generated:
        meta["name"] = metadata.generate_name(meta["generateName"], cluster.random)
    metadata.fill_new(meta, cluster.clock.now(), cluster.random, generation=kind.strategy.has_generation)
    kind.strategy.default(body)
    if LAST_APPLIED in (meta.get("annotations") or {}) and "managedFields" not in meta:
        _own(cluster, kind, body, options)
    for admit in cluster.admission:
        admit(cluster, kind, body, options)
    kind.strategy.prepare_create(body)
    _validate(kind, body)
    if options.dry_run:
        if cluster.storage.get(kind.stored, namespace, meta["name"]):
            raise failures.already_exists(kind.resource, meta["name"])
        return Record(namespace, meta["name"], body, 0)
    for _ in range(GENERATE_TRIES if generated else 1):
        record = cluster.storage.create(kind.stored, namespace, meta["name"], body)
        if record is not None:
            for react in cluster.created:
                react(cluster, kind, record.body)
            return record
        taken = meta["name"]
        if generated:
            meta["name"] = metadata.generate_name(meta["generateName"], cluster.random)
    raise failures.already_exists(kind.resource, taken)


def _own(cluster: Cluster, kind: Kind, body: JsonObject, options: WriteOptions) -> None:
    """Take down who made the object, before admission adds what its maker did not wish.

    Only for what `kubectl apply` makes: its change to server-side apply removes what that entry owns and the manifest
    does not have, which must not be what the server added.
    """
    body["metadata"]["managedFields"] = patches.after_update(
        None,
        {"apiVersion": kind.api_version, **body},
        patches.schema_of(kind.group, kind.kind) or patches.Schema(),
        manager=options.field_manager or "unknown",
        time=times.rfc3339(cluster.clock.now()),
    )


def _place(kind: Kind, namespace: str, meta: JsonObject) -> None:
    if not kind.namespaced:
        meta.pop("namespace", None)
        return
    if meta.setdefault("namespace", namespace) != namespace:
        raise failures.bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )


def _validate(kind: Kind, body: JsonObject) -> None:
    complaints = metadata.validate(
        body["metadata"], namespaced=kind.namespaced, name_rule=kind.strategy.name_rule
    )
    complaints += kind.strategy.validate(body)
    if complaints:
        raise failures.invalid(kind.qualified_kind, body["metadata"].get("name", ""), complaints)
