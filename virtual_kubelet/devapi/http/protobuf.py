r"""Decoding the API's protobuf bodies, which typed Go clients send: `kubectl create namespace`, `auth can-i`.

A body is `k8s\0` and a `runtime.Unknown`, whose `raw` is the object in proto2 as the `.proto` files of k8s.io/api
describe it; the numbers are in `schema`. Answers are always JSON, which those clients take as well.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.devapi.schema.model import Field, Form, Message, Type, message_of
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["MAGIC", "decode_object"]

MAGIC = b"k8s\0"

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10  # bytes
DEEPEST = 100  # messages within messages


def decode_object(data: bytes) -> JsonObject:
    """Return the object of a body, with apiVersion and kind.

    Raises:
        ValueError: it is no such body, or of a kind whose fields are not known.
    """
    if not data.startswith(MAGIC):
        raise ValueError("the body does not begin with the mark of Kubernetes protobuf")
    parts = dict(_fields(memoryview(data)[len(MAGIC) :]))
    types = dict(_fields(_bytes(parts.get(1, b""))))
    api_version, kind = _text(types.get(1, b"")), _text(types.get(2, b""))
    group = api_version.rpartition("/")[0]
    message = message_of(group, kind) or message_of("meta.k8s.io", kind)
    if message is None:
        raise ValueError(f'no kind "{kind}" is registered for version "{api_version}" in protobuf; send JSON')
    return {"apiVersion": api_version, "kind": kind, **_message(_bytes(parts.get(2, b"")), message, 0)}


def _message(data: memoryview, message: Message, depth: int) -> JsonObject:
    if depth > DEEPEST:
        raise ValueError("messages are nested too deeply")
    result: JsonObject = {}
    fields = message.by_number
    for number, raw in _fields(data):
        field = fields.get(number)
        if field is not None:
            _put(result, field, raw, depth)
    return result


def _put(result: JsonObject, field: Field, raw: int | memoryview, depth: int) -> None:
    type_ = field.type
    if field.inline:
        assert type_.message is not None
        result.update(_message(_bytes(raw), type_.message, depth + 1))
    elif type_.form is Form.LIST:
        result.setdefault(field.name, []).append(_value(type_, raw, depth))
    elif type_.form is Form.MAP:
        entry = dict(_fields(_bytes(raw)))
        value = _value(type_, entry[2], depth) if 2 in entry else ""
        result.setdefault(field.name, {})[_text(entry.get(1, b""))] = value
    else:
        result[field.name] = _value(type_, raw, depth)


def _value(type_: Type, raw: int | memoryview | bytes, depth: int) -> Any:
    if type_.message is not None:
        return _message(_bytes(raw), type_.message, depth + 1)
    scalar = type_.scalar
    if scalar == "string":
        return _text(raw)
    if scalar == "bool":
        return bool(_int(raw))
    if scalar in {"int32", "int64"}:
        return _int(raw)
    if scalar == "bytes":
        return base64.b64encode(_bytes(raw)).decode()
    return _STRUCTURED[scalar](dict(_fields(_bytes(raw))), _bytes(raw))


def _time(parts: dict[int, Any], _: memoryview) -> str | None:
    return times.rfc3339(_int(parts[1])) if 1 in parts else None


def _micro_time(parts: dict[int, Any], _: memoryview) -> str | None:
    if 1 not in parts:
        return None
    micros = _int(parts.get(2, 0)) // 1000
    return times.rfc3339(_int(parts[1]))[:-1] + f".{micros:06d}Z"


def _quantity(parts: dict[int, Any], _: memoryview) -> str:
    return _text(parts.get(1, b"0")) or "0"


def _int_or_string(parts: dict[int, Any], _: memoryview) -> int | str:
    return _text(parts.get(3, b"")) if _int(parts.get(1, 0)) else _int(parts.get(2, 0))


def _raw_json(parts: dict[int, Any], _: memoryview) -> Any:
    raw = bytes(_bytes(parts.get(1, b"")))
    return codec.loads(raw) if raw else None


def _strings(_: dict[int, Any], data: memoryview) -> list[str]:
    return [_text(value) for number, value in _fields(data) if number == 1]


_STRUCTURED = {
    "Time": _time,
    "MicroTime": _micro_time,
    "Quantity": _quantity,
    "IntOrString": _int_or_string,
    "any": _raw_json,
    "strings": _strings,
}


# ---------------------------------------------------------------------------------------------------------
# The wire


def _fields(data: memoryview | bytes) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and raw value of each field; `ValueError` for what is no protobuf."""
    view, position = memoryview(data), 0
    while position < len(view):
        key, position = _varint(view, position)
        number, wire = key >> 3, key & 7
        if wire == VARINT:
            value, position = _varint(view, position)
            yield number, value
            continue
        size, position = _varint(view, position) if wire == BYTES else (_FIXED.get(wire, -1), position)
        end = position + size
        if size < 0 or end > len(view):
            raise ValueError("the protobuf body is cut off or damaged")
        yield number, view[position:end]
        position = end


_FIXED = {FIXED64: 8, FIXED32: 4}


def _varint(view: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for index in range(LONGEST_VARINT):
        if position >= len(view):
            break
        byte = view[position]
        position += 1
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, position
    raise ValueError("the protobuf body is cut off or damaged")


def _bytes(raw: int | memoryview | bytes) -> memoryview:
    if isinstance(raw, int):
        raise ValueError("the protobuf body has a number where bytes belong")  # noqa: TRY004 - bad data, like the rest
    return memoryview(raw)


def _text(raw: int | memoryview | bytes) -> str:
    return bytes(_bytes(raw)).decode()


def _int(raw: Any) -> int:
    if not isinstance(raw, int):
        raise ValueError("the protobuf body has bytes where a number belongs")  # noqa: TRY004 - bad data, like the rest
    return raw - (1 << 64) if raw >= 1 << 63 else raw
