"""OpenAPI v2, as JSON and in the protobuf form that kubectl before 1.28 insists on.

That form is gnostic's `openapi.v2.Document`: the JSON document, field by field. Only what this server's document
uses is encoded here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.devapi.discovery.merge_rules import extensions, merge_rules
from virtual_kubelet.devapi.discovery.openapi import gvk_of, operations_of, reachable
from virtual_kubelet.devapi.registry.kinds import Kind, Kinds
from virtual_kubelet.devapi.schema.model import Field, Form, Message, Type, Zero, message_of
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.schema import PLAIN, Schema
from virtual_kubelet.version import KUBERNETES_VERSION

__all__ = ["OpenApiV2"]

GVK = "x-kubernetes-group-version-kind"
SCALARS: dict[str, JsonObject] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "int32": {"type": "integer", "format": "int32"},
    "int64": {"type": "integer", "format": "int64"},
    "bytes": {"type": "string", "format": "byte"},
    "Time": {"type": "string", "format": "date-time"},
    "MicroTime": {"type": "string", "format": "date-time"},
    "Quantity": {"type": "string"},
    "IntOrString": {"type": "string", "format": "int-or-string"},
    "any": {"type": "object"},
    "strings": {"type": "array", "items": {"type": "string"}},
}


class OpenApiV2:
    """One document for all groups, made when first asked for."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds

    @cached_property
    def document(self) -> JsonObject:
        """The document as JSON has it."""
        paths: JsonObject = {}
        definitions: JsonObject = {}
        rules = merge_rules(self._kinds)
        for kind in self._kinds:
            paths.update(_paths(kind))
            message = message_of(kind.group, kind.kind)
            if message is not None:
                for each in reachable(message):
                    definitions.setdefault(_name(each), _definition(each, rules.get(each, PLAIN)))
                _make_top(definitions[_name(message)], kind)
        info = {"title": "Kubernetes", "version": f"v{KUBERNETES_VERSION}"}
        return {"swagger": "2.0", "info": info, "paths": paths, "definitions": definitions}

    @cached_property
    def protobuf(self) -> bytes:
        """The document as gnostic encodes it."""
        return b"".join(_document(self.document))


def _paths(kind: Kind) -> JsonObject:
    return {
        path: {
            method: {
                GVK: gvk_of(kind),
                "parameters": [
                    {"name": name, "in": "query", "type": "string", "uniqueItems": True}
                    for name in parameters
                ],
                "responses": {"200": {"description": "OK"}},
            }
            for method, parameters in methods.items()
        }
        for path, methods in operations_of(kind).items()
    }


def _name(message: Message) -> str:
    return f"{message.package}.{message.name}"


def _definition(message: Message, rules: Schema) -> JsonObject:
    fields = message.by_json_name
    definition: JsonObject = {
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
        if field.zero is Zero.WRITTEN and not field.type.message and field.type.form is Form.ONE
    ]
    return {**definition, "required": required} if required else definition


def _make_top(definition: JsonObject, kind: Kind) -> None:
    """Make a definition that of a kind: with apiVersion, kind, and its name among kinds."""
    text = {"type": "string"}
    definition["properties"] = {"apiVersion": text, "kind": text, **definition["properties"]}
    definition[GVK] = [gvk_of(kind)]
    # What the server fills in is not asked of the user.
    definition.pop("required", None)


def _property(field: Field) -> JsonObject:
    one = _one(field.type)
    if field.type.form is Form.LIST:
        return {"type": "array", "items": one}
    if field.type.form is Form.MAP:
        return {"type": "object", "additionalProperties": one}
    return one


def _one(type_: Type) -> JsonObject:
    if type_.message is not None:
        return {"$ref": f"#/definitions/{_name(type_.message)}"}
    return SCALARS[type_.scalar]


# ---------------------------------------------------------------------------------------------------------
# gnostic's protobuf: the numbers are those of OpenAPIv2.proto

METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "patch": 8}


def _document(document: JsonObject) -> Iterator[bytes]:
    yield _text(1, document["swagger"])
    yield _message(2, [_text(1, document["info"]["title"]), _text(2, document["info"]["version"])])
    paths = (_named(2, name, _path_item(item)) for name, item in document["paths"].items())
    yield _message(8, paths)
    yield _message(9, _schemas(document["definitions"]))


def _path_item(item: JsonObject) -> Iterator[bytes]:
    for method, operation in item.items():
        yield _message(METHODS[method], _operation(operation))


def _operation(operation: JsonObject) -> Iterator[bytes]:
    for parameter in operation["parameters"]:
        inner = [_text(2, parameter["in"]), _text(4, parameter["name"]), _text(6, parameter["type"])]
        # ParametersItem.parameter, Parameter.non_body_parameter, NonBodyParameter.query_parameter_sub_schema
        yield _message(8, [_message(1, [_message(2, [_message(3, inner)])])])
    for code, response in operation["responses"].items():
        # Responses.response_code: NamedResponseValue, ResponseValue.response
        named = _named(1, code, [_message(1, [_text(1, response["description"])])])
        yield _message(9, [named])
    yield _extension(13, GVK, operation[GVK])


def _schemas(schemas: JsonObject) -> Iterator[bytes]:
    """Definitions and Properties: a list of NamedSchema."""
    for name, schema in schemas.items():
        yield _named(1, name, _schema(schema))


def _schema(schema: JsonObject) -> Iterator[bytes]:
    if "$ref" in schema:
        yield _text(1, schema["$ref"])
    if "format" in schema:
        yield _text(2, schema["format"])
    for name in schema.get("required", ()):
        yield _text(19, name)
    if "additionalProperties" in schema:
        yield _message(21, [_message(1, _schema(schema["additionalProperties"]))])
    if "type" in schema:
        yield _message(22, [_text(1, schema["type"])])
    if "items" in schema:
        yield _message(23, [_message(1, _schema(schema["items"]))])
    if "properties" in schema:
        yield _message(25, _schemas(schema["properties"]))
    for name, value in schema.items():
        if name.startswith("x-"):
            yield _extension(31, name, value)


def _extension(number: int, name: str, value: Any) -> bytes:
    """NamedAny, whose value is YAML; JSON is that, too."""
    return _named(number, name, [_text(2, codec.dumps(value).decode())])


def _named(number: int, name: str, value: Iterable[bytes]) -> bytes:
    return _message(number, [_text(1, name), _message(2, value)])


def _message(number: int, parts: Iterable[bytes]) -> bytes:
    return _field(number, b"".join(parts))


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
