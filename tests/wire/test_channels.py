from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.wire.channels import (
    CHANNEL_PROTOCOLS,
    MAX_BASE64_MESSAGE,
    ChannelData,
    ChannelEnded,
    ChannelSession,
)
from virtual_kubelet.wire.protocol_errors import LocalProtocolError
from virtual_kubelet.wire.websocket import Closed, PongReceived, Role, WebSocket

V5 = CHANNEL_PROTOCOLS["v5.channel.k8s.io"]
V4 = CHANNEL_PROTOCOLS["v4.channel.k8s.io"]
BASE64 = CHANNEL_PROTOCOLS["v4.base64.channel.k8s.io"]


def received(protocol, *messages):
    """What a server makes of a client's messages."""
    client, server = WebSocket(Role.CLIENT), ChannelSession(Role.SERVER, protocol)
    for message in messages:
        client.send_message(message)
    return server.receive_data(client.data_to_send()), server


def test_the_table():
    assert {name: (p.version, p.base64, p.half_close) for name, p in CHANNEL_PROTOCOLS.items()} == {
        "v5.channel.k8s.io": (5, False, True),
        "v4.channel.k8s.io": (4, False, False),
        "v4.base64.channel.k8s.io": (4, True, False),
        "channel.k8s.io": (1, False, False),
        "base64.channel.k8s.io": (1, True, False),
        "": (1, False, False),
    }


@pytest.mark.parametrize("protocol", CHANNEL_PROTOCOLS.values(), ids=lambda p: p.name or "none")
def test_data_both_ways(protocol):
    client, server = ChannelSession(Role.CLIENT, protocol), ChannelSession(Role.SERVER, protocol)
    client.send_data(0, b"\x00\xffin")
    assert server.receive_data(client.data_to_send()) == [ChannelData(0, b"\x00\xffin")]
    server.send_data(1, b"")  # ready
    server.send_data(1, b"out")
    server.send_data(2, b"err")
    assert client.receive_data(server.data_to_send()) == [ChannelData(1, b"out"), ChannelData(2, b"err")]


@pytest.mark.parametrize(
    ("protocol", "message", "events"),
    [
        (V4, b"\0hello", [ChannelData(0, b"hello")]),
        (V4, "\0h\u00e9", [ChannelData(0, b"h\xc3\xa9")]),  # the Python client sends str as text
        (V4, b"\0", []),
        (V4, b"", []),
        (V4, b"\xff\0", [ChannelData(255, b"\0")]),  # no half-close before v5
        (V5, b"\xff\0", [ChannelEnded(0)]),
        (BASE64, "0aGVsbG8=", [ChannelData(0, b"hello")]),
        (BASE64, b"0aGVsbG8=", [ChannelData(0, b"hello")]),
        (BASE64, "4", []),
        (BASE64, "", []),
    ],
)
def test_messages(protocol, message, events):
    happened, server = received(protocol, message)
    assert happened == events
    assert server.error is None


@pytest.mark.parametrize(
    ("protocol", "message"),
    [
        (V5, b"\xff"),
        (V5, b"\xff\0\0"),
        (BASE64, "xaGVsbG8="),
        (BASE64, "0a"),
        (BASE64, "0****"),
        (BASE64, "0é"),
        (BASE64, "0" * (MAX_BASE64_MESSAGE + 1)),
    ],
)
def test_wrong_messages_end_the_session(protocol, message):
    happened, server = received(protocol, message, b"\0never read")
    assert happened == []
    assert server.error is not None
    assert server.data_to_send()[:1] == b"\x88"  # a close
    assert server.receive_data(b"x") == []


@pytest.mark.parametrize(
    ("protocol", "message", "events"),
    [
        (V5, b"\0ab", [ChannelData(0, b"a"), ChannelData(0, b"b")]),
        (V5, b"\xff\0", [ChannelEnded(0)]),
        (BASE64, "0aGk=", [ChannelData(0, b"hi")]),
    ],
)
def test_messages_byte_by_byte(protocol, message, events):
    client, server = WebSocket(Role.CLIENT), ChannelSession(Role.SERVER, protocol)
    client.send_message(message)
    happened = []
    for octet in client.data_to_send():
        happened += server.receive_data(bytes((octet,)))
    assert happened == events


def test_half_close_both_ways():
    client, server = ChannelSession(Role.CLIENT, V5), ChannelSession(Role.SERVER, V5)
    client.end_channel(0)
    assert server.receive_data(client.data_to_send()) == [ChannelEnded(0)]
    with pytest.raises(LocalProtocolError):
        ChannelSession(Role.CLIENT, V4).end_channel(0)


@pytest.mark.parametrize(("protocol", "channel"), [(V4, 255), (V4, -1), (BASE64, 10)])
def test_channels_that_there_are_not(protocol, channel):
    with pytest.raises(LocalProtocolError):
        ChannelSession(Role.SERVER, protocol).send_data(channel, b"x")


def test_control_passes_through():
    client, server = ChannelSession(Role.CLIENT, V5), ChannelSession(Role.SERVER, V5)
    server.pong()
    server.close(1000, "done")
    assert server.pending > 0
    assert client.receive_data(server.data_to_send()) == [PongReceived(), Closed(1000, "done")]
    assert client.closed
    assert not server.closed
    server.receive_eof()
    assert server.error is not None


def joined(events):
    result = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, ChannelData) and isinstance(last, ChannelData) and last.channel == event.channel:
            result[-1] = ChannelData(event.channel, last.data + event.data)
        else:
            result.append(event)
    return result


sent_data = st.lists(st.tuples(st.integers(0, 4), st.binary(min_size=1, max_size=300)), max_size=8)


@given(
    st.sampled_from(list(CHANNEL_PROTOCOLS.values())), sent_data, st.lists(st.integers(0, 900), max_size=20)
)
def test_any_split_gives_the_same_data(protocol, sent, places):
    client, server = ChannelSession(Role.CLIENT, protocol), ChannelSession(Role.SERVER, protocol)
    for channel, data in sent:
        client.send_data(channel, data)
    if protocol.half_close:
        client.end_channel(0)
    data = client.data_to_send()
    places = sorted({min(place, len(data)) for place in places})
    events = []
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        events += server.receive_data(data[start:end])
    expected = [ChannelData(channel, piece) for channel, piece in sent]
    assert joined(events) == joined(expected) + ([ChannelEnded(0)] if protocol.half_close else [])
    assert server.error is None


@given(st.sampled_from(list(CHANNEL_PROTOCOLS.values())), st.lists(st.binary(max_size=20), max_size=8))
def test_garbage_is_only_ever_the_protocol_error(protocol, messages):
    received(protocol, *messages)
    session = ChannelSession(Role.SERVER, protocol)
    for message in messages:
        session.receive_data(message)
