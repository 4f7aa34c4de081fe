"""OpenAPI v3: one document a group and version, made from the tables of `schema`.

kubectl reads it for two ends: whether the server checks unknown fields itself (the `fieldValidation` parameter of
PATCH), and for `kubectl explain`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache

from virtual_kubelet import codec
from virtual_kubelet.devapi.discovery.merge_rules import extensions, merge_rules
from virtual_kubelet.devapi.registry.kinds import Kind, Kinds
from virtual_kubelet.devapi.schema.model import Field, Form, Message, Type, Zero, message_of
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.schema import PLAIN, Schema
from virtual_kubelet.version import KUBERNETES_VERSION

__all__ = ["OpenApi", "gvk_of", "operations_of", "reachable"]

SCALARS: dict[str, JsonObject] = {
    "string": {"type": "string", "default": ""},
    "bool": {"type": "boolean", "default": False},
    "int32": {"type": "integer", "format": "int32", "default": 0},
    "int64": {"type": "integer", "format": "int64", "default": 0},
    "bytes": {"type": "string", "format": "byte"},
    "Time": {"type": "string", "format": "date-time"},
    "MicroTime": {"type": "string", "format": "date-time"},
    "Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "IntOrString": {"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]},
    "any": {"type": "object"},
    "strings": {"type": "array", "items": {"type": "string", "default": ""}},
}
WRITES = frozenset({"post", "put", "patch"})
WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")
METHODS = {
    "get": "get",
    "list": "get",
    "create": "post",
    "update": "put",
    "patch": "patch",
    "delete": "delete",
    "deletecollection": "delete",
}
ON_COLLECTION = frozenset({"list", "create", "deletecollection"})


class OpenApi:
    """The documents, made when first asked for."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self.document = cache(self._document)
        """Return the document at a path below /openapi/v3 ("": the index), or None."""

    def _document(self, path: str) -> JsonObject | None:
        if not path:
            return self._index()
        for group, versions in self._kinds.groups().items():
            for version in versions:
                if path == _path(group, version):
                    return _of_version(self._kinds.of_version(group, version))
        return None

    def _index(self) -> JsonObject:
        paths = {}
        for group, versions in self._kinds.groups().items():
            for version in versions:
                path = _path(group, version)
                digest = hashlib.sha256(codec.dumps(self.document(path))).hexdigest()
                paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={digest[:32].upper()}"}
        return {"paths": paths}


def _path(group: str, version: str) -> str:
    return f"apis/{group}/{version}" if group else f"api/{version}"


def _of_version(kinds: list[Kind]) -> JsonObject:
    paths: JsonObject = {}
    schemas: JsonObject = {}
    rules = merge_rules(kinds)
    for kind in kinds:
        paths.update(_paths(kind))
        message = message_of(kind.group, kind.kind)
        if message is None:
            continue
        for each in reachable(message):
            schemas.setdefault(_name(each), _schema(each, rules.get(each, PLAIN)))
        top = schemas[_name(message)]
        top["x-kubernetes-group-version-kind"] = [gvk_of(kind)]
        top["properties"] = {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            **top["properties"],
        }
    return {
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"},
        "paths": paths,
        "components": {"schemas": schemas},
    }


def _paths(kind: Kind) -> JsonObject:
    return {
        path: {method: _operation(kind, method, parameters) for method, parameters in methods.items()}
        for path, methods in operations_of(kind).items()
    }


def operations_of(kind: Kind) -> dict[str, dict[str, tuple[str, ...]]]:
    """Return the paths of a kind, their methods, and the query parameters of those."""
    prefix = f"/{_path(kind.group, kind.version)}"
    scope = "/namespaces/{namespace}" if kind.namespaced else ""
    collection, item = f"{prefix}{scope}/{kind.plural}", f"{prefix}{scope}/{kind.plural}/{{name}}"
    paths: dict[str, dict[str, tuple[str, ...]]] = {}
    for verb in kind.verbs:
        method = METHODS.get(verb)
        if method is not None:
            path = collection if verb in ON_COLLECTION else item
            paths.setdefault(path, {})[method] = WRITE_PARAMETERS if method in WRITES else ()
    return paths


def _operation(kind: Kind, method: str, parameters: tuple[str, ...]) -> JsonObject:
    operation: JsonObject = {
        "x-kubernetes-action": method,
        "x-kubernetes-group-version-kind": gvk_of(kind),
        "responses": {"200": {"description": "OK"}},
    }
    if parameters:
        operation["parameters"] = [
            {"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
            for name in parameters
        ]
    return operation


def gvk_of(kind: Kind) -> JsonObject:
    """Return group, version and kind as the documents have them."""
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def reachable(message: Message) -> Iterator[Message]:
    """Go through a message and all that it is made of, each once."""
    return _reachable(message, set())


def _reachable(message: Message, seen: set[str]) -> Iterator[Message]:
    if _name(message) in seen:
        return
    seen.add(_name(message))
    yield message
    for field in message.by_json_name.values():
        if field.type.message is not None:
            yield from _reachable(field.type.message, seen)


def _name(message: Message) -> str:
    return f"{message.package}.{message.name}"


def _schema(message: Message, rules: Schema) -> JsonObject:
    fields = message.by_json_name
    schema: JsonObject = {
        "type": "object",
        "properties": {
            name: {
                **_property(field),
                **extensions(name, rules.of(name), is_list=field.type.form is Form.LIST),
            }
            for name, field in fields.items()
        },
    }
    required = [
        name
        for name, field in fields.items()
        if field.zero is Zero.WRITTEN and field.type.message is None and field.type.form is Form.ONE
    ]
    if required:
        schema["required"] = required
    return schema


def _property(field: Field) -> JsonObject:
    one = _one(field.type)
    if field.type.form is Form.LIST:
        return {"type": "array", "items": one}
    if field.type.form is Form.MAP:
        return {"type": "object", "additionalProperties": one}
    if field.zero is not Zero.WRITTEN:
        return {key: value for key, value in one.items() if key != "default"}
    return one


def _one(type_: Type) -> JsonObject:
    if type_.message is not None:
        return {"allOf": [{"$ref": f"#/components/schemas/{_name(type_.message)}"}], "default": {}}
    return SCALARS[type_.scalar]
