"""Requests for objects: from a `RequestInfo` to a verb, and back to bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http import bodies
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.http.replies import encoded, success
from virtual_kubelet.devapi.http.request_info import RequestInfo
from virtual_kubelet.devapi.http.table_view import view_for
from virtual_kubelet.devapi.http.views import View
from virtual_kubelet.devapi.http.watch_stream import open_watch
from virtual_kubelet.devapi.identity import User
from virtual_kubelet.devapi.registry.kinds import Kind, Subresource
from virtual_kubelet.devapi.verbs import create, delete, modify, patch, read
from virtual_kubelet.devapi.verbs.options import WriteOptions, first
from virtual_kubelet.devapi.verbs.ownership import apply
from virtual_kubelet.errors import ApiNotFound
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Request, Response, Upgrade

__all__ = ["Resources"]

ON_COLLECTION = frozenset({"create", "deletecollection", "list"})
PATCHES = (patch.JSON_PATCH, patch.MERGE, patch.STRATEGIC, patch.APPLY)


class Resources:
    """Serves everything below /api/v1 and /apis/GROUP/VERSION that is an object."""

    def __init__(self, cluster: Cluster, handlers: Mapping[str, CallHandler]) -> None:
        """`handlers` serve what is no object or aspect of one, by `plural.group` or `plural/subresource`."""
        self._cluster = cluster
        self._handlers = handlers

    def serve(self, request: Request, info: RequestInfo) -> Response | Upgrade:
        """Answer a request for objects; `ApiError` for what cannot be done."""
        kind = self._cluster.kinds.find(info.group, info.version, info.resource)
        if kind is None:
            raise failures.unknown_path()
        if kind.namespaced and not info.namespace and info.verb not in {"list", "watch"}:
            raise failures.unknown_path()
        if info.namespace and not kind.namespaced and kind.plural != "namespaces":
            raise failures.unknown_path()
        if info.subresource:
            return self._serve_subresource(request, info, kind)
        # Objects are made in their collection, and changed under their name.
        misplaced = info.verb != "watch" and bool(info.name) is (info.verb in ON_COLLECTION)
        if info.verb not in kind.verbs or misplaced:
            raise failures.method_not_allowed()
        handler = self._handlers.get(kind.resource)
        if handler is not None:
            return handler(Call(request, info, kind, request.user))
        return self._serve_verb(request, info, kind)

    def _serve_verb(self, request: Request, info: RequestInfo, kind: Kind) -> Response:
        namespace = info.namespace if kind.namespaced else ""
        view = self._view(request, kind)
        if info.verb == "get":
            return encoded(view.one(read.get(self._cluster, kind, namespace, info.name)))
        if info.verb == "list":
            return encoded(view.many(read.list_objects(self._cluster, kind, namespace, request.query)))
        if info.verb == "watch":
            stream = open_watch(self._cluster, kind, namespace, info.name, request.query, view)
            return Response(200, stream, "application/json")
        if info.verb == "create":
            options = _options(request)
            body = _decoder(kind, options).read(request.read(), request.headers.get("Content-Type"))
            record = create.create(self._cluster, kind, namespace, body, options)
            return encoded(view.one(record), 201, warnings=options.warnings)
        if info.verb == "deletecollection":
            return self._delete_collection(request, kind, namespace, view)
        if info.verb == "delete":
            return self._delete(request, info, kind, namespace, view)
        return self._change(request, info, kind, None, view)

    def _serve_subresource(self, request: Request, info: RequestInfo, kind: Kind) -> Response | Upgrade:
        subresource = kind.subresource(info.subresource)
        if subresource is None:
            raise failures.unknown_path()
        if info.verb not in subresource.verbs:
            raise failures.method_not_allowed()
        if subresource.rules is None:
            handler = self._handlers.get(f"{kind.resource}/{subresource.name}")
            if handler is None:
                raise failures.unknown_path()
            return handler(Call(request, info, kind, request.user))
        view = self._view(request, kind)
        if info.verb == "get":
            namespace = info.namespace if kind.namespaced else ""
            return encoded(view.one(read.get(self._cluster, kind, namespace, info.name)))
        return self._change(request, info, kind, subresource, view)

    def _change(
        self, request: Request, info: RequestInfo, kind: Kind, subresource: Subresource | None, view: View
    ) -> Response:
        """PUT and PATCH of an object or one of its aspects."""
        namespace = info.namespace if kind.namespaced else ""
        content_type = request.headers.get("Content-Type")
        options = _options(request)
        decoder = _decoder(kind, options)
        if info.verb == "update":
            body = decoder.read(request.read(), content_type)
            transform = modify.replace(body, kind)
            if not subresource and kind.strategy.create_on_update:
                existing = self._cluster.storage.get(kind.stored, namespace, info.name)
                if existing is None:
                    body["metadata"].setdefault("name", info.name)
                    record = create.create(self._cluster, kind, namespace, body, options)
                    return encoded(view.one(record), 201)
        elif bodies.media_type(content_type) == patch.APPLY:
            return self._apply(request, info, kind, subresource, view, decoder, options)
        else:
            restored = subresource.rules.restored if subresource and subresource.rules else ()
            transform = self._patch(request.read(), bodies.media_type(content_type), kind, decoder, restored)
        record = modify.modify(
            self._cluster,
            kind,
            namespace,
            info.name,
            transform,
            options,
            rules=subresource.rules if subresource else None,
            subresource=subresource.name if subresource else "",
        )
        return encoded(view.one(record), warnings=options.warnings)

    def _apply(
        self,
        request: Request,
        info: RequestInfo,
        kind: Kind,
        subresource: Subresource | None,
        view: View,
        decoder: bodies.Decoder,
        options: WriteOptions,
    ) -> Response:
        """Server-side apply."""
        if not first(request.query, "fieldManager"):
            complaint = failures.FieldError.required("fieldManager", "is required for apply patch")
            raise failures.invalid("PatchOptions.meta.k8s.io", "", [complaint])
        value = bodies.read_value(request.read(), "application/yaml")
        if not isinstance(value, dict):
            raise failures.bad_request("an apply configuration is an object")
        record, created = apply(
            self._cluster,
            kind,
            info.namespace if kind.namespaced else "",
            info.name,
            value,
            options,
            decode=decoder.patched,
            subresource=subresource,
        )
        return encoded(view.one(record), 201 if created else 200, warnings=options.warnings)

    @staticmethod
    def _patch(
        data: bytes, media_type: str, kind: Kind, decoder: bodies.Decoder, restored: tuple[str, ...]
    ) -> modify.Transform:
        if media_type not in PATCHES:
            raise failures.unsupported_media_type(", ".join(PATCHES))
        value: Any = bodies.read_value(data, "application/json")
        return patch.patch_transform(kind, media_type, value, decoder.patched, restored=restored)

    # ------------------------------------------------------------------------------------------------------

    def _delete(
        self, request: Request, info: RequestInfo, kind: Kind, namespace: str, view: View
    ) -> Response:
        record, gone = delete.delete(self._cluster, kind, namespace, info.name, self._delete_options(request))
        if gone and not kind.strategy.returns_deleted:
            return success(kind.resource, record.name, record.uid)
        return encoded(view.one(record))

    def _delete_collection(self, request: Request, kind: Kind, namespace: str, view: View) -> Response:
        options = self._delete_options(request)
        listing = read.list_objects(self._cluster, kind, namespace, request.query)
        deleted = []
        for record in listing.records:
            try:
                deleted.append(delete.delete(self._cluster, kind, record.namespace, record.name, options)[0])
            except ApiNotFound:
                continue  # somebody else was faster
        return encoded(view.many(read.Listing(deleted, self._cluster.storage.version)))

    @staticmethod
    def _delete_options(request: Request) -> delete.DeleteOptions:
        data = request.read()
        body: JsonObject = {}
        if data:
            value = bodies.read_value(data, request.headers.get("Content-Type"))
            if not isinstance(value, dict):
                raise failures.bad_request("DeleteOptions must be an object")
            body = value
        grace = first(request.query, "gracePeriodSeconds")
        return delete.DeleteOptions.from_body(
            body,
            grace=int(grace) if grace.isdigit() else None,
            dry_run="All" in request.query.get("dryRun", ()),
        )

    def _view(self, request: Request, kind: Kind) -> View:
        return view_for(kind, request.headers.get("Accept"), request.query, self._cluster.clock)


def _options(request: Request) -> WriteOptions:
    user = request.user
    return WriteOptions.from_query(
        request.query,
        user=user.name if isinstance(user, User) else "",
        groups=user.groups if isinstance(user, User) else (),
        user_agent=request.headers.get("User-Agent"),
    )


def _decoder(kind: Kind, options: WriteOptions) -> bodies.Decoder:
    decoder = bodies.Decoder(
        kind.group, kind.version, kind.kind, validation=options.field_validation, inward=kind.inward
    )
    decoder.warnings = options.warnings
    return decoder
