from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.spdy_frames import (
    FRAMES,
    HEAD,
    Data,
    GoAway,
    HeadersFrame,
    Ping,
    ResetStream,
    Status,
    SynReply,
    SynStream,
)

stream_ids = st.integers(1, 2**31 - 1)
numbers = st.integers(0, 2**32 - 1)
payloads = st.binary(max_size=100)
control_frames = st.one_of(
    st.builds(SynStream, stream_ids, payloads, st.booleans(), st.booleans(), stream_ids, st.integers(0, 7)),
    st.builds(SynReply, stream_ids, payloads, st.booleans()),
    st.builds(ResetStream, stream_ids, numbers),
    st.builds(Ping, numbers),
    st.builds(GoAway, stream_ids, numbers),
    st.builds(HeadersFrame, stream_ids, payloads, st.booleans()),
)


def parse(frame_bytes):
    word, flags_and_length = HEAD.unpack_from(frame_bytes)
    assert word >> 16 == 0x8003
    assert flags_and_length & 0xFFFFFF == len(frame_bytes) - 8
    return FRAMES[word & 0xFFFF].parse(flags_and_length >> 24, frame_bytes[8:])


@given(control_frames)
def test_parse_undoes_serialize(frame):
    assert parse(frame.serialize()) == frame


@pytest.mark.parametrize(
    ("frame", "octets", "text"),
    [
        (Data(1, b"hi", fin=True), "00000001 01000002 6869", "DATA stream=1 bytes=2 FIN"),
        (Data(3, b""), "00000003 00000000", "DATA stream=3 bytes=0"),
        (
            SynStream(1, b"B", fin=True),
            "80030001 0100000b 00000001 00000000 0000 42",
            "SYN_STREAM stream=1 block=1 FIN",
        ),
        (
            SynStream(5, b"", unidirectional=True, priority=7),
            "80030001 0200000a 00000005 00000000 e000",
            "SYN_STREAM stream=5 block=0",
        ),
        (SynReply(1, b"B"), "80030002 00000005 00000001 42", "SYN_REPLY stream=1 block=1"),
        (ResetStream(3, 5), "80030003 00000008 00000003 00000005", "RST_STREAM stream=3 status=CANCEL"),
        (ResetStream(3, 77), "80030003 00000008 00000003 0000004d", "RST_STREAM stream=3 status=77"),
        (Ping(1), "80030006 00000004 00000001", "PING id=1"),
        (GoAway(9), "80030007 00000008 00000009 00000000", "GOAWAY last=9 status=OK"),
        (HeadersFrame(1, b"B"), "80030008 00000005 00000001 42", "HEADERS stream=1 block=1"),
    ],
)
def test_bytes_and_words_of_each_frame(frame, octets, text):
    assert frame.serialize() == bytes.fromhex(octets)
    assert str(frame) == text


@pytest.mark.parametrize(
    ("frame_type", "flags", "payload"),
    [
        (SynStream, 0, b"\0" * 9),
        (SynReply, 0, b"\0" * 3),
        (ResetStream, 0, b"\0" * 7),
        (ResetStream, 0, b"\0" * 9),
        (ResetStream, 1, b"\0" * 8),
        (Ping, 0, b"\0" * 5),
        (Ping, 1, b"\0" * 4),
        (GoAway, 0, b"\0" * 4),  # SPDY/2's
        (GoAway, 1, b"\0" * 8),
        (HeadersFrame, 0, b""),
    ],
)
def test_frames_of_the_wrong_shape(frame_type, flags, payload):
    with pytest.raises(RemoteProtocolError):
        frame_type.parse(flags, payload)


def test_the_reserved_bit_of_ids_is_ignored():
    assert ResetStream.parse(0, b"\xff\xff\xff\xff\0\0\0\5") == ResetStream(2**31 - 1, Status.CANCEL)
