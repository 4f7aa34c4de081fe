"""SPDY/3 header blocks: names and values under one zlib stream for each direction of a connection.

A block is a 32-bit count, then for each header a 32-bit length and a lower-case name, a 32-bit length and a
value; several values of one name are joined by NUL (SPDY/3 draft, 2.6.10). All blocks of one direction are
one zlib stream that began with a known dictionary, and each block ends with a sync flush: so blocks must be
decompressed in the order in which they arrived, and every one of them, wanted or not.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from importlib.resources import files
from struct import Struct
from typing import TypeAlias

from virtual_kubelet.wire.protocol_errors import LocalProtocolError, RemoteProtocolError

__all__ = ["DICTIONARY", "HeaderCompressor", "HeaderDecompressor", "Headers", "first_value"]

DICTIONARY = files("virtual_kubelet.wire").joinpath("spdy-dictionary.bin").read_bytes()
"""The compression dictionary of SPDY/3, 1,423 bytes (draft, 2.6.10.1)."""

Headers: TypeAlias = "tuple[tuple[str, str], ...]"
"""Pairs of lower-case name and value, one pair for each value. Octets above 127 are Latin-1."""

LENGTH = Struct(">I")

# Deflate's defaults cost 268 KB for each connection; a window of 2 KiB just holds the dictionary and what we
# send is a few bytes, so this takes 24 KB. Any inflater reads it: the window's size is in the stream's head.
WINDOW_BITS = 11
MEMORY_LEVEL = 5


def first_value(headers: Headers, name: str) -> str:
    """Return the first value of `name`, or "" where there is none."""
    for key, value in headers:
        if key == name:
            return value
    return ""


class HeaderCompressor:
    """Makes header blocks for one direction of one connection."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(
            6, zlib.DEFLATED, WINDOW_BITS, MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY, DICTIONARY
        )

    def compress(self, headers: Iterable[tuple[str, str]]) -> bytes:
        """Return the block; blocks must be sent in the order in which they were made."""
        block = _serialize(headers)
        return self._deflate.compress(block) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


class HeaderDecompressor:
    """Reads the header blocks of one direction of one connection, within limits.

    Args:
        max_block: bytes that one block may have when decompressed; more is a zlib bomb or a mistake.
        max_headers: headers that one block may have.
    """

    def __init__(self, *, max_block: int, max_headers: int) -> None:
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._max_block = max_block
        self._max_headers = max_headers

    def decompress(self, data: bytes) -> Headers:
        """Return the headers of a block; a `RemoteProtocolError` means that none after it can be read."""
        try:
            block = self._inflate.decompress(data, self._max_block + 1)
        except zlib.error as error:
            raise RemoteProtocolError("header block is not valid zlib data") from error
        if len(block) > self._max_block or self._inflate.unconsumed_tail:
            raise RemoteProtocolError(f"header block is larger than {self._max_block} bytes")
        if self._inflate.eof:
            raise RemoteProtocolError("header compression ended before the connection")
        return _parse(block, self._max_headers)


def _serialize(headers: Iterable[tuple[str, str]]) -> bytes:
    merged: dict[str, list[str]] = {}
    for name, value in headers:
        if not name or name != name.lower():
            raise LocalProtocolError(f"header name {name!r} is empty or not in lower case")
        merged.setdefault(name, []).append(value)
    parts = [LENGTH.pack(len(merged))]
    for name, values in merged.items():
        for text in (name, "\0".join(values)):
            octets = text.encode("latin-1")
            parts += (LENGTH.pack(len(octets)), octets)
    return b"".join(parts)


def _parse(block: bytes, max_headers: int) -> Headers:
    count, position = _number(block, 0)
    if count > max_headers:
        raise RemoteProtocolError(f"{count} headers in one block; at most {max_headers} are taken")
    pairs: list[tuple[str, str]] = []
    names: set[str] = set()
    for _ in range(count):
        name, position = _text(block, position)
        value, position = _text(block, position)
        if not name or name != name.lower() or name in names:
            raise RemoteProtocolError("header name is empty, repeated, or not in lower case")
        names.add(name)
        pairs.extend((name, part) for part in value.split("\0"))
    if position != len(block):
        raise RemoteProtocolError("header block is longer than its headers")
    return tuple(pairs)


def _text(block: bytes, position: int) -> tuple[str, int]:
    length, start = _number(block, position)
    end = start + length
    if end > len(block):
        raise RemoteProtocolError("header block ends inside a header")
    return block[start:end].decode("latin-1"), end


def _number(block: bytes, position: int) -> tuple[int, int]:
    end = position + LENGTH.size
    if end > len(block):
        raise RemoteProtocolError("header block ends inside a length")
    (number,) = LENGTH.unpack_from(block, position)
    return number, end
