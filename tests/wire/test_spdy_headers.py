from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.wire.protocol_errors import LocalProtocolError, RemoteProtocolError
from virtual_kubelet.wire.spdy_headers import (
    DICTIONARY,
    HeaderCompressor,
    HeaderDecompressor,
    first_value,
)

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20).map(str.lower)
values = st.text(st.characters(min_codepoint=1, max_codepoint=255), max_size=50)
blocks = st.lists(st.dictionaries(names, st.lists(values, min_size=1, max_size=3), max_size=5), max_size=5)


def decompressor(max_block=65536, max_headers=1000):
    return HeaderDecompressor(max_block=max_block, max_headers=max_headers)


def raw(block):
    """Compress bytes that need not be a header block."""
    deflate = zlib.compressobj(zdict=DICTIONARY)
    return deflate.compress(block) + deflate.flush(zlib.Z_SYNC_FLUSH)


def test_the_dictionary_is_the_one_of_the_specification():
    assert len(DICTIONARY) == 1423
    assert zlib.adler32(DICTIONARY) == 0xE3C6A7C2
    assert hashlib.sha256(DICTIONARY).hexdigest().startswith("51d27341")


@given(blocks)
def test_blocks_of_one_connection_come_back(sent):
    compressor, reader = HeaderCompressor(), decompressor()
    for block in sent:
        pairs = tuple((name, value) for name, several in block.items() for value in several)
        assert reader.decompress(compressor.compress(pairs)) == pairs


def test_values_of_one_name_are_joined():
    block = HeaderCompressor().compress([("a", "1"), ("b", "2"), ("a", "3")])
    assert decompressor().decompress(block) == (("a", "1"), ("a", "3"), ("b", "2"))


def test_the_stream_is_read_by_an_inflater_with_the_usual_window():
    compressor = HeaderCompressor()
    inflate = zlib.decompressobj(15, DICTIONARY)
    for _ in range(200):  # more than one window
        block = compressor.compress([("streamtype", "data"), ("x", "y" * 300)])
        assert inflate.decompress(block).endswith(b"y" * 300)


@pytest.mark.parametrize("name", ["", "StreamType"])
def test_a_wrong_name_is_our_mistake(name):
    with pytest.raises(LocalProtocolError):
        HeaderCompressor().compress([(name, "x")])


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xff\xff\xff\xff", "zlib"),
        (zlib.compress(b"no dictionary"), "ended before"),
        (raw(b""), "inside a length"),
        (raw(b"\0\0\0\1"), "inside a length"),
        (raw(b"\0\0\0\1\0\0\0\1"), "inside a header"),
        (raw(b"\0\0\0\1\0\0\0\0\0\0\0\0"), "empty"),
        (raw(b"\0\0\0\1\0\0\0\1A\0\0\0\0"), "lower case"),
        (raw(b"\0\0\0\2\0\0\0\1a\0\0\0\0\0\0\0\1a\0\0\0\0"), "repeated"),
        (raw(b"\0\0\0\0extra"), "longer than"),
        (raw(b"\0\0\xff\xff"), "65535 headers"),
        (raw(b"\0" * 10_000_000), "larger than 65536"),
        (zlib.compressobj(zdict=DICTIONARY).flush(), "ended before"),
    ],
)
def test_wrong_blocks(data, text):
    with pytest.raises(RemoteProtocolError, match=text):
        decompressor().decompress(data)


def test_a_bomb_is_not_unpacked():
    bomb = raw(b"\0" * 50_000_000)
    assert len(bomb) < 65536
    reader = decompressor(max_block=1000)
    with pytest.raises(RemoteProtocolError, match="larger than 1000 bytes"):
        reader.decompress(bomb)


@given(st.binary(max_size=200))
def test_garbage_raises_only_the_protocol_error(data):
    for block in (data, raw(data)):
        try:
            decompressor().decompress(block)
        except RemoteProtocolError:
            pass


def test_first_value():
    headers = (("a", "1"), ("a", "2"))
    assert first_value(headers, "a") == "1"
    assert first_value(headers, "b") == ""
