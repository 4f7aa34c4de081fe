"""Reading request bodies: JSON, YAML and protobuf, into the JSON that the rest of the server works on."""

from __future__ import annotations

from typing import Any

import yaml

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.http import protobuf
from virtual_kubelet.devapi.registry.kinds import Convert
from virtual_kubelet.devapi.schema.conform import Mismatch, conform, unknown_fields
from virtual_kubelet.devapi.schema.model import message_of
from virtual_kubelet.objects import JsonObject

__all__ = ["Decoder", "media_type", "read_value"]

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
        if kind == PROTOBUF:
            return protobuf.decode_object(data)
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


class Decoder:
    """Makes stored bodies of one kind from what clients send."""

    def __init__(
        self,
        group: str,
        version: str,
        kind: str,
        *,
        validation: str = "Warn",
        inward: Convert | None = None,
    ) -> None:
        """Prepare for one kind.

        Args:
            group: its API group, "" for the core.
            version: its version.
            kind: its name.
            validation: what becomes of unknown fields: Strict, Warn or Ignore (fieldValidation).
            inward: from its form to the stored one, where they differ.
        """
        self._inward = inward
        self._api_version = f"{group}/{version}" if group else version
        self._kind = kind
        self._message = message_of(group, kind)
        self._validation = validation
        self.warnings: list[str] = []
        """What to tell the client although the request succeeds."""

    def read(self, data: bytes, content_type: str) -> JsonObject:
        """Decode a body, which becomes the object without apiVersion and kind.

        Raises:
            ApiError: 400 when it is something else, or holds values of wrong types; 415.
        """
        value = read_value(data, content_type)
        if not isinstance(value, dict):
            raise failures.bad_request("the object provided is unrecognized (must be an object)")
        self._expect(value)
        try:
            return self._conform(value)
        except Mismatch as error:
            raise failures.bad_request(self._complaint(str(error))) from error
        except _UnknownFields as error:
            raise failures.bad_request(self._complaint(f"strict decoding error: {error}")) from error

    def patched(self, value: JsonObject) -> JsonObject:
        """Check the result of a patch, which becomes the object without apiVersion and kind.

        Raises:
            ApiError: 400 when it is of another kind, 422 when it holds values of wrong types.
        """
        self._expect(value)
        try:
            return self._conform(value)
        except Mismatch as error:
            reason = str(error)
        except _UnknownFields as error:
            reason = f"strict decoding error: {error}"
        # The patch is not repeated: it may hold secrets.
        raise failures.invalid(
            "", "", [failures.FieldError("patch", "FieldValueInvalid", f"Invalid value: {reason}")]
        )

    def _complaint(self, reason: str) -> str:
        return f'{self._kind} in version "{self._api_version}" cannot be handled as a {self._kind}: {reason}'

    def _expect(self, value: JsonObject) -> None:
        api_version = value.pop("apiVersion", None) or self._api_version
        kind = value.pop("kind", None) or self._kind
        if api_version != self._api_version:
            raise failures.bad_request(
                f"the API version in the data ({api_version}) does not match the expected API version "
                f"({self._api_version})"
            )
        if kind != self._kind:
            raise failures.bad_request(
                f'{kind} in version "{api_version}" cannot be handled as a {self._kind}'
            )

    def _conform(self, value: JsonObject) -> JsonObject:
        if self._message is None:
            value.setdefault("metadata", {})
            return value
        body, unknown = conform(value, self._message)
        body.setdefault("metadata", {})
        if unknown and self._validation != "Ignore":
            complaints = [f'unknown field "{path}"' for path in unknown_fields(value, self._message)]
            if self._validation == "Strict":
                raise _UnknownFields(", ".join(complaints))
            self.warnings += complaints
        return body if self._inward is None else self._inward(body)


class _UnknownFields(ValueError):
    """Fields that do not exist, where that is not allowed."""
