"""Reading request bodies: JSON, YAML and protobuf, into the JSON that the rest of the server works on."""

from __future__ import annotations

from typing import Any

import yaml

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.objects import JsonObject

__all__ = ["PROTOBUF", "expect_kind", "media_type", "read_object", "read_value"]

JSON = "application/json"
YAML = "application/yaml"
PROTOBUF = "application/vnd.kubernetes.protobuf"
ACCEPTED = f"{JSON}, {YAML}, {PROTOBUF}"


def media_type(content_type: str) -> str:
    """Return the media type without its parameters, in lower case; "" means JSON."""
    return content_type.partition(";")[0].strip().lower() or JSON


def read_value(data: bytes, content_type: str) -> Any:
    """Decode a body.

    Raises:
        ApiError: 400 for what cannot be decoded, 415 for an unknown media type.
    """
    kind = media_type(content_type)
    try:
        if kind == JSON:
            return codec.loads(data)
        if kind == YAML:
            return _plain(yaml.safe_load(data))
    except (ValueError, yaml.YAMLError) as error:
        raise failures.bad_request(f"the object provided is unrecognized: {error}") from error
    raise failures.unsupported_media_type(ACCEPTED)


def _plain(value: Any) -> Any:
    """Undo what YAML knows and JSON does not: dates are strings here."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    isoformat = getattr(value, "isoformat", None)
    return isoformat() if callable(isoformat) else str(value)


def read_object(data: bytes, content_type: str, api_version: str, kind: str) -> JsonObject:
    """Decode an object of one kind; its apiVersion and kind may be left out and are taken off.

    Raises:
        ApiError: 400 when it is something else.
    """
    value = read_value(data, content_type)
    if not isinstance(value, dict):
        raise failures.bad_request("the object provided is unrecognized (must be an object)")
    return expect_kind(value, api_version, kind)


def expect_kind(value: JsonObject, api_version: str, kind: str) -> JsonObject:
    """Take off apiVersion and kind, which have to be the expected ones."""
    said_version, said_kind = value.pop("apiVersion", api_version), value.pop("kind", kind)
    if said_version != api_version:
        raise failures.bad_request(
            f"the API version in the data ({said_version}) does not match the expected API version ({api_version})"
        )
    if said_kind != kind:
        raise failures.bad_request(f'{said_kind} in version "{said_version}" cannot be handled as a {kind}')
    if not isinstance(value.setdefault("metadata", {}), dict):
        raise failures.bad_request("metadata must be an object")
    return value


def of_kind(data: bytes, content_type: str, kind: Kind) -> JsonObject:
    """Decode an object of a registered kind."""
    return read_object(data, content_type, kind.api_version, kind.kind)
