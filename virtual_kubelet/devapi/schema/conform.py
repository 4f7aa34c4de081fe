"""Bring a JSON object into the form that the real server stores: types checked, unknown fields dropped.

Decoding into Go's types and encoding again does several things at once, and clients come to rely on them:
fields that do not exist vanish, null and empty values are left out or written as zero, times lose their
fraction, quantities take their canonical form. Values of a wrong type are refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from virtual_kubelet.devapi.schema.model import Field, Form, Message, Type, Zero
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import quantity, times

__all__ = ["Mismatch", "conform", "unknown_fields"]

INT32 = 1 << 31
INT64 = 1 << 63
WHOLE_SECONDS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)
SIX_DIGITS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)
GO_TYPES = {"bytes": "[]uint8", "any": "interface {}", "strings": "[]string"}


class Mismatch(ValueError):
    """A value is not of its field's type; the text is that of Go's decoder."""

    def __init__(self, text: str, *, bare: bool = False) -> None:
        super().__init__(text)
        self.bare = bare
        """Whether the text stands for itself, without the name of a field."""
        self.path: list[str] = []
        self.message = ""

    def __str__(self) -> str:
        text = super().__str__()
        if self.bare:
            return text
        go_type = text.partition("|")
        return (
            f"json: cannot unmarshal {go_type[0]} into Go struct field "
            f"{self.message}.{'.'.join(reversed(self.path))} of type {go_type[2]}"
        )


Convert = Callable[[Any], Any]
"""From a JSON value to the stored one, which shares nothing with it; None: leave it out. Raises `Mismatch`."""


def conform(value: JsonObject, message: Message) -> tuple[JsonObject, bool]:
    """Return `value` as the server would store it, and whether it had fields that do not exist.

    Raises:
        Mismatch: a value is of a wrong type.
    """
    seen: list[bool] = []
    return _converter(message)(value, seen), bool(seen)


# ---------------------------------------------------------------------------------------------------------
# Messages

_Entry = tuple[str, Callable[[Any, list[bool]], Any], bool]


@cache
def _converter(message: Message) -> Callable[[Any, list[bool]], JsonObject]:
    fields = message.by_json_name
    entries: dict[str, _Entry] = {}
    written: list[tuple[str, Field]] = []
    ready = False

    def prepare() -> None:
        # Not at once: messages may hold themselves.
        nonlocal ready
        for name, field in fields.items():
            entries[name] = (name, _field_converter(field), field.type.scalar == "")
            if field.zero is Zero.WRITTEN and field.type.form is Form.ONE:
                written.append((name, field))
        ready = True

    def convert(value: Any, seen: list[bool]) -> JsonObject:
        if not ready:
            prepare()
        if not isinstance(value, dict):
            raise Mismatch(f"{_json_type(value)}|v1.{message.name}")
        result: JsonObject = {}
        for key, item in value.items():
            entry = entries.get(key)
            if entry is None:
                seen.append(True)
                continue
            if item is None:
                continue
            try:
                converted = entry[1](item, seen)
            except Mismatch as error:
                error.path.append(key)
                error.message = error.message or message.name
                raise
            if converted is not None:
                result[key] = converted
        for name, field in written:
            if name not in result:
                result[name] = _zero(field.type)
        return result

    return convert


def _zero(type_: Type) -> Any:
    if type_.message is not None:
        return _converter(type_.message)({}, [])
    if type_.scalar in {"string", "Quantity", "bytes"}:
        return ""
    if type_.scalar in {"int32", "int64", "IntOrString"}:
        return 0
    return False if type_.scalar == "bool" else None


def _field_converter(field: Field) -> Callable[[Any, list[bool]], Any]:
    type_ = field.type
    one = _one_converter(type_, keep=field.zero is not Zero.LEFT_OUT or type_.form is not Form.ONE)
    if type_.form is Form.ONE:
        return one
    go_type = f"v1.{type_.message.name}" if type_.message else GO_TYPES.get(type_.scalar, type_.scalar)
    if type_.form is Form.LIST:
        return _list_converter(one, go_type)
    return _map_converter(one, go_type)


def _list_converter(one: Callable[[Any, list[bool]], Any], go_type: str) -> Callable[[Any, list[bool]], Any]:
    def convert(value: Any, seen: list[bool]) -> list[Any] | None:
        if not isinstance(value, list):
            raise Mismatch(f"{_json_type(value)}|[]{go_type}")
        # An empty list is left out: Go's types say omitempty of nearly all of them.
        return [one(item, seen) for item in value] or None

    return convert


def _map_converter(one: Callable[[Any, list[bool]], Any], go_type: str) -> Callable[[Any, list[bool]], Any]:
    def convert(value: Any, seen: list[bool]) -> JsonObject | None:
        if not isinstance(value, dict):
            raise Mismatch(f"{_json_type(value)}|map[string]{go_type}")
        # A null value stands for the zero of the map's type.
        return {key: one("" if item is None else item, seen) for key, item in value.items()} or None

    return convert


def _one_converter(type_: Type, *, keep: bool) -> Callable[[Any, list[bool]], Any]:
    if type_.message is not None:
        return _converter(type_.message)
    scalar = _SCALARS[type_.scalar]
    if keep or type_.scalar in {"Time", "MicroTime", "any", "strings"}:
        return lambda value, _: scalar(value)
    return lambda value, _: scalar(value) or None


# ---------------------------------------------------------------------------------------------------------
# Scalars


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise Mismatch(f"{_json_type(value)}|string")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Mismatch(f"{_json_type(value)}|bool")
    return value


def _integer(limit: int, go_type: str) -> Convert:
    def convert(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            shown = f"number {value}" if isinstance(value, float) else _json_type(value)
            raise Mismatch(f"{shown}|{go_type}")
        if not -limit <= value < limit:
            raise Mismatch(f"number {value}|{go_type}")
        return value

    return convert


def _bytes(value: Any) -> str:
    text = _string(value)
    try:
        base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise Mismatch("illegal base64 data", bare=True) from error
    return text


def _time(value: Any) -> str | None:
    text = _string(value)
    if WHOLE_SECONDS.fullmatch(text):
        return text
    try:
        return times.rfc3339(times.parse(text))
    except ValueError as error:
        layout = "2006-01-02T15:04:05Z07:00"
        raise Mismatch(f'parsing time "{text}" as "{layout}": cannot parse "{text}"', bare=True) from error


def _micro_time(value: Any) -> str:
    text = _string(value)
    if SIX_DIGITS.fullmatch(text):
        return text
    try:
        return times.micro_time(times.parse_micro_time(text))
    except ValueError as error:
        layout = "2006-01-02T15:04:05.000000Z07:00"
        rest = text[19:] if len(text) > 19 else text
        raise Mismatch(
            f'parsing time "{text}" as "{layout}": cannot parse "{rest}" as ".000000"', bare=True
        ) from error


@lru_cache(maxsize=4096)
def _canonical(text: str) -> str:
    return str(quantity.parse(text))


def _quantity(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise Mismatch(f"{_json_type(value)}|resource.Quantity")
    try:
        return _canonical(str(value))
    except ValueError as error:
        raise Mismatch(
            "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            bare=True,
        ) from error


def _int_or_string(value: Any) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise Mismatch(f"{_json_type(value)}|intstr.IntOrString")
    return value


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list):
        raise Mismatch(f"{_json_type(value)}|[]string")
    return [_string(item) for item in value]


_SCALARS: dict[str, Convert] = {
    "string": _string,
    "bool": _bool,
    "int32": _integer(INT32, "int32"),
    "int64": _integer(INT64, "int64"),
    "bytes": _bytes,
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "any": lambda value: value,
    "strings": _strings,
}


def _json_type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


# ---------------------------------------------------------------------------------------------------------
# Unknown fields


def unknown_fields(value: Any, message: Message, path: str = "") -> list[str]:
    """Return the paths of the fields that do not exist, in the order of their places: `spec.containers[0].imag`."""
    if not isinstance(value, dict):
        return []
    found = []
    fields = message.by_json_name
    for key, item in value.items():
        here = f"{path}.{key}" if path else key
        field = fields.get(key)
        if field is None:
            found.append(here)
        elif field.type.message is not None:
            found += _unknown_below(item, field.type, here)
    return found


def _unknown_below(value: Any, type_: Type, path: str) -> list[str]:
    assert type_.message is not None
    if type_.form is Form.LIST and isinstance(value, list):
        return [
            each
            for index, item in enumerate(value)
            for each in unknown_fields(item, type_.message, f"{path}[{index}]")
        ]
    return unknown_fields(value, type_.message, path)
