"""From a path to a handler.

Patterns: `/containerLogs/{namespace}/{pod}/{container}` takes one segment a parameter, percent-decoded;
`{rest:path}` at the end takes all the rest, as sent (it may be empty). A pattern that ends with `/` also
matches without it, and the other way round, as the kubelet's routes do.

Literal segments win over parameters, longer patterns over `:path`; among equals the first one added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import unquote

from virtual_kubelet.errors import RequestError
from virtual_kubelet.web.messages import Handler, Request, Response, Upgrade

__all__ = ["Guard", "Route", "Router"]

Guard: TypeAlias = "Callable[[Request, Mapping[str, Any]], None]"
"""`guard(request, attributes)`: lets the request pass, or raises `RequestError`."""


@dataclass(eq=False)
class Route:
    """A pattern and what serves it."""

    methods: frozenset[str]
    pattern: str
    handler: Handler
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What `Router.add` was told beside: for the guard, for example the subresource to ask for."""


class _Node:
    """One segment of all patterns."""

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.rest: list[tuple[Route, tuple[str, ...]]] = []
        self.routes: list[tuple[Route, tuple[str, ...]]] = []


class Router:
    """A handler made of handlers.

    `guard` sees every request before its handler, also one that no route matches (with no attributes): who
    may not call learns nothing about which paths there are.
    """

    def __init__(self, guard: Guard | None = None) -> None:
        self.guard = guard
        self._root = _Node()

    def add(self, methods: Iterable[str] | str, pattern: str, handler: Handler, **attributes: Any) -> None:
        """Serve `pattern` by `handler` for `methods` ("GET", or several; GET includes HEAD; "*" is any)."""
        wanted = frozenset([methods] if isinstance(methods, str) else methods)
        if "GET" in wanted:
            wanted |= {"HEAD"}
        route = Route(wanted, pattern, handler, attributes)
        names: list[str] = []
        node = self._root
        for segment in _segments(pattern):
            if segment.startswith("{") and segment.endswith(":path}"):
                node.rest.append((route, (*names, segment[1:-6])))
                return
            if segment.startswith("{"):
                names.append(segment[1:-1])
                node.parameter = node = node.parameter or _Node()
            else:
                node = node.literal.setdefault(segment, _Node())
        node.routes.append((route, tuple(names)))

    def __call__(self, request: Request) -> Response | Upgrade:
        """Serve `request`: 404 and 405 as the kubelet's, in plain text."""
        candidates = self._match(request)
        found = next((item for item in candidates if _takes(item[0], request.method)), None)
        route, parameters = found or (None, {})
        if route is not None:
            request.pattern, request.route = route.pattern, parameters
        if self.guard is not None:
            self.guard(request, route.attributes if route is not None else {})
        if route is not None:
            return route.handler(request)
        if not candidates:
            raise RequestError(404, "404 page not found")
        allowed = sorted({method for item in candidates for method in item[0].methods})
        raise RequestError(405, "405: Method Not Allowed", headers=(("Allow", ", ".join(allowed)),))

    def _match(self, request: Request) -> list[tuple[Route, dict[str, str]]]:
        """Return the routes whose pattern matches, best first, each with its parameters."""
        segments = _segments(request.raw_path)
        decoded = [unquote(segment) for segment in segments]
        found: list[tuple[Route, dict[str, str]]] = []

        def descend(node: _Node, index: int, values: tuple[str, ...]) -> None:
            if index == len(segments):
                found.extend((route, dict(zip(names, values, strict=True))) for route, names in node.routes)
            else:
                if (literal := node.literal.get(decoded[index])) is not None:
                    descend(literal, index + 1, values)
                if node.parameter is not None and segments[index]:
                    descend(node.parameter, index + 1, (*values, decoded[index]))
            if node.rest:
                rest = _rest(request.raw_path, index)
                found.extend(
                    (route, dict(zip(names, (*values, rest), strict=True))) for route, names in node.rest
                )

        descend(self._root, 0, ())
        return found


def _segments(path: str) -> list[str]:
    """Split a path; a slash at the end makes no segment of its own."""
    parts = path.split("/")[1:]
    if parts and parts[-1] == "":
        parts.pop()
    return parts


def _rest(path: str, skip: int) -> str:
    """Return what follows the first `skip` segments of a path, as sent, without its leading slash."""
    parts = path.split("/", skip + 1)
    return parts[skip + 1] if len(parts) > skip + 1 else ""


def _takes(route: Route, method: str) -> bool:
    return method in route.methods or "*" in route.methods
