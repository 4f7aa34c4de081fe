"""What a method and a path mean in the Kubernetes API (apiserver's `request.RequestInfo`)."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_kubelet.devapi.verbs.options import Query

__all__ = ["RequestInfo", "parse"]

_BY_METHOD = {
    "POST": "create",
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
    "GET": "get",
    "HEAD": "get",
}
NAMESPACE_SUBRESOURCES = frozenset({"status", "finalize"})


@dataclass(frozen=True)
class RequestInfo:
    """A request as authorization and routing see it; for other paths only `verb` and `path` count."""

    verb: str
    path: str
    is_resource: bool = False
    group: str = ""
    version: str = ""
    namespace: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    rest: str = ""
    """What follows a proxy subresource, without the leading slash."""


def parse(method: str, path: str, query: Query) -> RequestInfo:
    """Understand a request's line; never fails, an unknown path is a non-resource one."""
    parts = [part for part in path.split("/") if part]
    method_verb = _BY_METHOD.get(method, method.lower())
    if len(parts) >= 3 and parts[0] == "api":
        group, version, rest = "", parts[1], parts[2:]
    elif len(parts) >= 4 and parts[0] == "apis":
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        return RequestInfo(verb=method.lower(), path=path)
    namespace = ""
    watch_path = rest[0] == "watch" and len(rest) > 1  # the old form, /api/v1/watch/pods
    if watch_path:
        rest = rest[1:]
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in NAMESPACE_SUBRESOURCES:
        namespace, rest = rest[1], rest[2:]
    elif rest[0] == "namespaces" and len(rest) > 1:
        namespace = rest[1]
    resource, name, subresource = [*rest, "", "", ""][:3]
    return RequestInfo(
        verb=_verb(method_verb, name, query, watch_path=watch_path),
        path=path,
        is_resource=True,
        group=group,
        version=version,
        namespace=namespace,
        resource=resource,
        subresource=subresource,
        name=name,
        rest="/".join(rest[3:]),
    )


def _verb(verb: str, name: str, query: Query, *, watch_path: bool) -> str:
    if watch_path:
        return "watch"
    if verb == "get" and not name:
        watching = query.get("watch", ("",))[0]
        return "watch" if watching in {"1", "true", "True"} else "list"
    if verb == "delete" and not name:
        return "deletecollection"
    return verb
