from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.wire.engine_stream import STDERR, STDOUT, FrameDecoder, JsonDecoder, LogLines
from virtual_kubelet.wire.protocol_errors import RemoteProtocolError


def frame(stream, payload):
    return bytes((stream, 0, 0, 0)) + len(payload).to_bytes(4, "big") + payload


FRAMES = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40)), max_size=6)


@given(FRAMES, st.lists(st.integers(0, 300), max_size=8), st.booleans())
def test_any_split_of_the_bytes_gives_the_same_streams(frames, cuts, whole):
    data = b"".join(frame(stream, payload) for stream, payload in frames)
    decoder = FrameDecoder(whole=whole)
    found = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for begin, end in pairwise(edges):
        found += decoder.feed(data[begin:end])
    if whole:
        assert found == [item for item in frames if item[1]]
    for wanted in (STDOUT, STDERR):
        assert b"".join(p for s, p in found if s == wanted) == b"".join(p for s, p in frames if s == wanted)
    assert not decoder.inside


def test_a_part_of_a_frame_is_given_at_once():
    decoder = FrameDecoder()
    assert decoder.feed(frame(STDOUT, b"abcdef")[:10]) == [(STDOUT, b"ab")]
    assert decoder.inside


@pytest.mark.parametrize(
    "data", [b"plain text", b"\x09\0\0\0\0\0\0\1x", b"\1\0\0\1\0\0\0\1x", b"\1\0\0\0\xff\0\0\0"]
)
def test_what_is_no_frame(data):
    with pytest.raises(RemoteProtocolError):
        FrameDecoder().feed(data)


TIME = b"2026-01-02T03:04:05.123456789Z "


def test_times_stand_only_at_the_beginning_of_lines():
    lines = LogLines()
    entries = [
        (STDOUT, TIME + b"par"),
        (STDERR, TIME + b"other\n"),
        (STDOUT, TIME + b"ted\n"),
        (STDOUT, TIME + b"next\n"),
    ]
    assert [lines.feed(*entry) for entry in entries] == [
        TIME + b"par",
        TIME + b"other\n",
        b"ted\n",
        TIME + b"next\n",
    ]
    assert lines.feed(STDOUT, b"") == b""


def test_times_have_nanoseconds_as_the_kubelets():
    lines = LogLines()
    for stamp, shown in (
        (b"2026-01-02T03:04:05Z", b"2026-01-02T03:04:05.000000000Z"),
        (b"2026-01-02T03:04:05+01:00", b"2026-01-02T03:04:05.000000000+01:00"),
        (b"2026-01-02T03:04:05.12Z", b"2026-01-02T03:04:05.120000000Z"),
    ):
        assert lines.feed(STDOUT, stamp + b" x\n") == shown + b" x\n"


def test_json_by_lines_and_side_by_side():
    decoder = JsonDecoder()
    assert decoder.feed(b'{"a": 1}\r\n{"b"') == [{"a": 1}]
    assert decoder.feed(b': 2}{"c": 3}\n\n') == [{"b": 2}, {"c": 3}]
    assert decoder.feed(b'{"d": 4}') == []
    assert decoder.end() == [{"d": 4}]


@pytest.mark.parametrize("line", [b"nonsense\n", b"[1]\n", b'{"a": }\n'])
def test_what_is_no_json_object(line):
    with pytest.raises(RemoteProtocolError):
        JsonDecoder().feed(line)


def test_a_line_without_an_end():
    with pytest.raises(RemoteProtocolError, match="no end"):
        JsonDecoder().feed(b"x" * (16 * 1024 * 1024 + 1))
