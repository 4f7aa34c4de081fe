from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.wire.protocol_errors import LocalProtocolError, RemoteProtocolError
from virtual_kubelet.wire.websocket import (
    Closed,
    MessagePiece,
    PongReceived,
    Role,
    WebSocket,
    accept_token,
)


def pair():
    return WebSocket(Role.CLIENT), WebSocket(Role.SERVER)


def transfer(sender, receiver):
    return receiver.receive_data(sender.data_to_send())


def test_the_token_of_the_rfc():
    assert accept_token("dGhlIHNhbXBsZSBub25jZQ==", "13") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


@pytest.mark.parametrize(
    ("key", "version"),
    [
        ("dGhlIHNhbXBsZSBub25jZQ==", "8"),
        ("dGhlIHNhbXBsZSBub25jZQ==", ""),
        ("", "13"),
        ("too short", "13"),
        ("dGhlIHNhbXBsZSBub25j", "13"),
        ("ü", "13"),
    ],
)
def test_wrong_handshakes(key, version):
    with pytest.raises(RemoteProtocolError):
        accept_token(key, version)


def test_messages_both_ways():
    client, server = pair()
    client.send_message(b"hello")
    client.send_message("text")
    assert client.pending > 0
    assert transfer(client, server) == [MessagePiece(b"hello", True), MessagePiece("text", True)]
    assert client.pending == 0
    server.send_message(b"x" * 70000)
    assert transfer(server, client) == [MessagePiece(b"x" * 70000, True)]


def test_pings_are_answered():
    client, server = pair()
    client.ping()
    assert transfer(client, server) == []
    assert transfer(server, client) == [PongReceived()]
    server.pong()
    assert transfer(server, client) == [PongReceived()]


def test_the_close_is_answered_with_its_code():
    client, server = pair()
    client.close(1001, "leaving")
    client.close()  # again: nothing
    assert transfer(client, server) == [Closed(1001, "leaving")]
    assert server.closed
    assert transfer(server, client) == [Closed(1001, "")]
    assert client.closed
    assert client.receive_data(b"more") == server.receive_data(b"more") == []
    with pytest.raises(LocalProtocolError):
        client.send_message(b"x")


def test_a_close_without_a_code_is_answered_as_normal():
    _, server = pair()
    events = server.receive_data(b"\x88\x80\0\0\0\0")
    assert events == [Closed(1005, "")]
    assert server.data_to_send() == b"\x88\x02\x03\xe8"


def test_pings_after_our_close_are_left():
    client, server = pair()
    server.close()
    server.data_to_send()
    client.ping()
    client.send_message(b"late")
    assert transfer(client, server) == [MessagePiece(b"late", True)]
    assert server.data_to_send() == b""


@pytest.mark.parametrize(
    "data",
    [
        b"\x82\x01x",  # not masked
        b"\x83\x80\0\0\0\0",  # unknown opcode
        b"\xc2\x80\0\0\0\0",  # reserved bit
        b"\x80\x80\0\0\0\0",  # continues nothing
        b"\x09\x80\0\0\0\0",  # a ping in pieces
        b"\x89\xfe\0\x80\0\0\0\0",  # a ping too long
        b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0",  # 2**63 bytes
        b"\x81\x81\0\0\0\0\xff",  # not UTF-8
        b"\x88\x82\0\0\0\0\x03\xed",  # close 1005, which is never sent
    ],
)
def test_what_is_no_websocket_ends_with_an_error_and_a_close(data):
    _, server = pair()
    assert server.receive_data(data) == []
    assert server.error is not None
    assert server.data_to_send()[:1] == b"\x88"
    assert server.receive_data(b"more") == []


def test_an_end_without_a_close_is_an_error():
    client, server = pair()
    server.receive_eof()
    assert "without a WebSocket close" in str(server.error)
    client.close()
    transfer(client, second := WebSocket(Role.SERVER))
    second.receive_eof()
    assert second.error is None


def test_endless_messages_are_not_held():
    _, server = pair()
    server.receive_data(b"\x02\xff\0\0\0\xff\0\0\0\0\0\0\0\0")
    assert server.receive_data(b"abc") == [MessagePiece(b"abc", False)]


def joined(events):
    """Messages as wholes, so that where the pieces were cut does not show."""
    result, message = [], None
    for event in events:
        if isinstance(event, MessagePiece):
            message = event.data if message is None else message + event.data
            if event.finished:
                result.append(message)
                message = None
        else:
            result.append(event)
    return result, message


messages = st.lists(st.one_of(st.binary(max_size=300), st.text(max_size=100)), max_size=6)


@given(messages, st.lists(st.integers(0, 600), max_size=20))
def test_any_split_gives_the_same_messages(sent, places):
    client, server = pair()
    for message in sent:
        client.send_message(message)
    client.close()
    data = client.data_to_send()
    places = sorted({min(place, len(data)) for place in places})
    events = []
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        events += server.receive_data(data[start:end])
    assert joined(events) == ([*sent, Closed(1000, "")], None)
    assert server.error is None


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_garbage_is_only_ever_the_protocol_error(pieces):
    _, server = pair()
    for piece in pieces:
        server.receive_data(piece)
    server.receive_eof()
    server.data_to_send()


def test_nonce_length_is_checked_after_decoding():
    key = base64.b64encode(bytes(17)).decode()
    with pytest.raises(RemoteProtocolError, match="16 bytes"):
        accept_token(key, "13")
