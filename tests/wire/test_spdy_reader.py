from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.spdy_frames import Data, GoAway, Ping, ResetStream, Status, SynReply, SynStream
from virtual_kubelet.wire.spdy_reader import FrameReader

FRAMES = [
    SynStream(1, b"block"),
    Data(1, b"hello, world"),
    Data(1, b""),
    Ping(7),
    SynReply(1, b""),
    Data(1, b"the end", fin=True),
    Data(3, b"", fin=True),
    ResetStream(1, Status.CANCEL),
    GoAway(1),
]
SETTINGS = bytes.fromhex("80030004 0000000c 00000001 00000001 00000001")
WINDOW_UPDATE = bytes.fromhex("80030009 00000008 00000001 00000001")
EMPTY_UNKNOWN = bytes.fromhex("8003ffff 00000000")


def reader():
    return FrameReader(max_control_frame=1000)


def read_all(frame_reader, pieces):
    frames = []
    for piece in pieces:
        frame_reader.feed(piece)
        while (frame := frame_reader.next_frame()) is not None:
            frames.append(frame)
    return frames


def joined(frames):
    """Put the pieces of data frames together, as far as they are of one stream and unfinished."""
    result = []
    for frame in frames:
        last = result[-1] if result else None
        if isinstance(last, Data) and not last.fin and isinstance(frame, Data) and same_stream(last, frame):
            result[-1] = Data(frame.stream_id, last.data + frame.data, frame.fin)
        else:
            result.append(frame)
    return result


def same_stream(one, other):
    return one.stream_id == other.stream_id


def cut(data, places):
    places = sorted({min(place, len(data)) for place in places})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@given(st.permutations(FRAMES), st.lists(st.integers(0, 200), max_size=30))
def test_any_split_gives_the_same_frames(frames, places):
    data = SETTINGS + b"".join(frame.serialize() for frame in frames) + WINDOW_UPDATE + EMPTY_UNKNOWN
    parser = reader()
    assert joined(read_all(parser, cut(data, places))) == joined(frames)
    assert not parser.inside_frame


def test_a_long_data_frame_is_not_held():
    parser = reader()
    parser.feed(bytes.fromhex("00000001 01ffffff"))  # 16 MiB announced
    assert parser.next_frame() is None
    assert parser.inside_frame
    parser.feed(b"first")
    assert parser.next_frame() == Data(1, b"first")
    assert parser.next_frame() is None


def test_a_long_unknown_frame_is_not_held():
    parser = reader()
    parser.feed(bytes.fromhex("8003ffff 00ffffff"))
    rest = 2**24 - 1
    while rest:
        piece = bytes(min(rest, 1 << 20))
        rest -= len(piece)
        parser.feed(piece)
        assert parser.next_frame() is None
    assert not parser.inside_frame
    assert read_all(parser, [Ping(1).serialize()]) == [Ping(1)]


@pytest.mark.parametrize(
    ("octets", "text", "code"),
    [
        ("80020006 00000004 00000001", "version 2", Status.UNSUPPORTED_VERSION),
        ("80030001 00ffffff", "at most 1000", None),
        ("80030006 00000005 0000000100", "instead of 4", None),
    ],
)
def test_what_is_no_frame(octets, text, code):
    parser = reader()
    parser.feed(bytes.fromhex(octets))
    with pytest.raises(RemoteProtocolError, match=text) as caught:
        parser.next_frame()
    assert caught.value.code == code


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_garbage_raises_only_the_protocol_error(pieces):
    try:
        read_all(reader(), pieces)
    except RemoteProtocolError:
        pass
