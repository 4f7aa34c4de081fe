"""JSON patch (RFC 6902) with JSON pointers (RFC 6901), and the API server's limits on it.

Unlike Go's library this one follows the RFC to the letter: no negative index, no `test` of a member that is
not there.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from virtual_kubelet import codec
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.patches.error import PatchError, PatchTooLarge
from virtual_kubelet.pure.patches.json_values import same

__all__ = ["json_patch"]

_MAX_OPERATIONS: Final = 10_000
_MAX_COPIED: Final = 3 * 1024 * 1024
"""Bytes of JSON that all `copy` operations together may add: each can double the document."""

_INDEX = re.compile("0|[1-9][0-9]*")
_BAD_ESCAPE = re.compile("~(?![01])")


def json_patch(document: Any, operations: Any) -> Any:
    """Return `document` with the operations of a JSON patch applied; neither is changed.

    Raises:
        PatchTooLarge: over 10,000 operations, or over 3 MiB copied.
        PatchError: the patch is malformed, or one of its operations fails; none is applied then.
    """
    if not isinstance(operations, list):
        raise PatchError("a JSON patch is a list of operations")
    if len(operations) > _MAX_OPERATIONS:
        raise PatchTooLarge(
            f"The allowed maximum operations in a JSON patch is {_MAX_OPERATIONS}, got {len(operations)}"
        )
    patched = _Document(codec.copy(document))
    for number, operation in enumerate(operations):
        try:
            _apply(patched, operation)
        except PatchTooLarge:
            raise
        except PatchError as error:
            raise PatchError(f"operation {number} of the JSON patch: {error}") from error
    return patched.root


class _Document:
    """A JSON value that is changed in place, one operation after the other."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._copied = 0

    def get(self, pointer: str) -> Any:
        value = self.root
        for part in _parts(pointer):
            value = _member(value, part, pointer)
        return value

    def add(self, pointer: str, value: Any) -> None:
        parts = _parts(pointer)
        if not parts:
            self.root = value
            return
        parent = self._parent(parts, pointer)
        if isinstance(parent, list):
            position = len(parent) if parts[-1] == "-" else _index(parts[-1], len(parent), pointer)
            parent.insert(position, value)
        else:
            parent[parts[-1]] = value

    def remove(self, pointer: str) -> Any:
        parts = _parts(pointer)
        if not parts:
            raise PatchError("cannot remove the whole document")
        parent = self._parent(parts, pointer)
        value = _member(parent, parts[-1], pointer)
        del parent[int(parts[-1]) if isinstance(parent, list) else parts[-1]]
        return value

    def replace(self, pointer: str, value: Any) -> None:
        parts = _parts(pointer)
        if not parts:
            self.root = value
            return
        parent = self._parent(parts, pointer)
        _member(parent, parts[-1], pointer)
        parent[int(parts[-1]) if isinstance(parent, list) else parts[-1]] = value

    def move(self, source: str, target: str) -> None:
        if target.startswith(f"{source}/"):
            raise PatchError(f"cannot move {source!r} into itself")
        value = self.get(source)
        if source != target:
            self.remove(source)
            self.add(target, value)

    def copy(self, source: str, target: str) -> None:
        value = self.get(source)
        self._copied += len(codec.dumps(value))
        if self._copied > _MAX_COPIED:
            raise PatchTooLarge(f"the copy operations of a JSON patch may add at most {_MAX_COPIED} bytes")
        self.add(target, codec.copy(value))

    def test(self, pointer: str, value: Any) -> None:
        if not same(self.get(pointer), value):
            raise PatchError(f"testing value {pointer} failed")

    def _parent(self, parts: list[str], pointer: str) -> Any:
        parent = self.root
        for part in parts[:-1]:
            parent = _member(parent, part, pointer)
        if not isinstance(parent, (dict, list)):
            raise PatchError(f"nothing can be at {pointer!r}: its parent is neither object nor array")
        return parent


def _apply(document: _Document, operation: Any) -> None:
    if not isinstance(operation, dict):
        raise PatchError("an operation is an object")
    name = _text(operation, "op")
    path = _text(operation, "path")
    with_value: dict[str, Callable[[str, Any], None]] = {
        "add": document.add,
        "replace": document.replace,
        "test": document.test,
    }
    if name in with_value:
        if "value" not in operation:
            raise PatchError(f'"{name}" needs a "value"')
        # A copy: a later operation may change what this one has put into the document.
        with_value[name](path, codec.copy(operation["value"]))
    elif name == "remove":
        document.remove(path)
    elif name == "move":
        document.move(_text(operation, "from"), path)
    elif name == "copy":
        document.copy(_text(operation, "from"), path)
    else:
        raise PatchError(f"unknown operation {name!r}")


def _text(operation: JsonObject, member: str) -> str:
    value = operation.get(member)
    if not isinstance(value, str):
        raise PatchError(f'an operation needs a "{member}", a string')
    return value


def _parts(pointer: str) -> list[str]:
    if not pointer:
        return []
    if not pointer.startswith("/") or _BAD_ESCAPE.search(pointer):
        raise PatchError(f"{pointer!r} is not a JSON pointer such as /metadata/labels/app")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer[1:].split("/")]


def _member(value: Any, part: str, pointer: str) -> Any:
    if isinstance(value, dict) and part in value:
        return value[part]
    if isinstance(value, list):
        return value[_index(part, len(value) - 1, pointer)]
    raise PatchError(f"nothing is at {pointer!r}: {part!r} is missing")


def _index(part: str, largest: int, pointer: str) -> int:
    # A length first: int() of a long text would be slow, and beyond a limit of Python's an error of its own.
    if not _INDEX.fullmatch(part) or len(part) > 10 or int(part) > largest:
        raise PatchError(f"nothing is at {pointer!r}: {part!r} is no index of the array")
    return int(part)
