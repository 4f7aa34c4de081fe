from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from virtual_kubelet.wire.protocol_errors import LocalProtocolError
from virtual_kubelet.wire.spdy_events import (
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    PongReceived,
    StreamEnded,
    StreamOpened,
    StreamReplied,
    StreamReset,
)
from virtual_kubelet.wire.spdy_frames import (
    Data,
    GoAway,
    HeadersFrame,
    Ping,
    ResetStream,
    Status,
    SynReply,
    SynStream,
)
from virtual_kubelet.wire.spdy_headers import HeaderCompressor
from virtual_kubelet.wire.spdy_reader import FrameReader
from virtual_kubelet.wire.spdy_session import Role, Session, SessionLimits

HEADERS = (("streamtype", "data"), ("port", "80"))


class Peer:
    """Writes frames by hand to a session and reads those that it sends."""

    def __init__(self, role=Role.SERVER, **limits):
        self.session = Session(role, SessionLimits(**limits))
        self.compressor = HeaderCompressor()
        self.reader = FrameReader(max_control_frame=1 << 20)

    def block(self, headers=HEADERS):
        return self.compressor.compress(headers)

    def send(self, *frames):
        return self.session.receive_data(b"".join(frame.serialize() for frame in frames))

    def open(self, stream_id=1, *, reply=True, fin=False):
        events = self.send(SynStream(stream_id, self.block(), fin))
        if reply:
            self.session.reply(stream_id)
            self.sent()
        return events

    def sent(self):
        self.reader.feed(self.session.data_to_send())
        frames = []
        while (frame := self.reader.next_frame()) is not None:
            frames.append(frame)
        assert not self.reader.inside_frame
        return frames


def connected():
    """A client and a server with one open stream between them."""
    client, server = Session(Role.CLIENT), Session(Role.SERVER)
    stream_id = client.open_stream(HEADERS)
    assert server.receive_data(client.data_to_send()) == [StreamOpened(stream_id, HEADERS)]
    server.reply(stream_id, [("a", "b")])
    assert client.receive_data(server.data_to_send()) == [StreamReplied(stream_id, (("a", "b"),))]
    return client, server, stream_id


def test_a_conversation():
    client, server, one = connected()
    client.send_data(one, b"question", fin=True)
    assert server.receive_data(client.data_to_send()) == [DataReceived(one, b"question"), StreamEnded(one)]
    server.send_data(one, b"answer")
    server.send_data(one, b"", fin=True)
    assert client.receive_data(server.data_to_send()) == [DataReceived(one, b"answer"), StreamEnded(one)]
    assert client.open_streams == server.open_streams == frozenset()


def test_ids_of_each_side():
    client, server, one = connected()
    assert (one, client.open_stream(HEADERS)) == (1, 3)
    assert server.open_stream(HEADERS) == 2
    assert client.receive_data(server.data_to_send()) == [StreamOpened(2, HEADERS)]
    client.reply(2)
    assert server.receive_data(client.data_to_send())[-1] == StreamReplied(2, ())


def test_a_stream_may_end_with_its_beginning():
    client, server = Session(Role.CLIENT), Session(Role.SERVER)
    stream_id = client.open_stream(HEADERS, fin=True)
    with pytest.raises(LocalProtocolError):
        client.send_data(stream_id, b"x")
    assert server.receive_data(client.data_to_send()) == [
        StreamOpened(stream_id, HEADERS),
        StreamEnded(stream_id),
    ]
    server.reply(stream_id)
    server.send_data(stream_id, b"bye", fin=True)
    assert client.receive_data(server.data_to_send())[1:] == [
        DataReceived(stream_id, b"bye"),
        StreamEnded(stream_id),
    ]


def test_data_is_cut_into_frames():
    peer = Peer(data_frame=4)
    peer.open()
    peer.session.send_data(1, b"0123456789", fin=True)
    assert peer.session.pending == 3 * 8 + 10
    assert peer.sent() == [Data(1, b"0123"), Data(1, b"4567"), Data(1, b"89", fin=True)]
    assert peer.session.pending == 0


def test_reset_ends_both_ways():
    client, server, one = connected()
    server.reset(one)
    server.reset(one)  # again: nothing
    assert client.receive_data(server.data_to_send()) == [StreamReset(one, Status.CANCEL, by_peer=True)]
    assert client.open_streams == frozenset()
    with pytest.raises(LocalProtocolError, match="closed"):
        client.send_data(one, b"x")


def test_pings():
    client, server, _ = connected()
    ping_id = client.ping()
    assert server.receive_data(client.data_to_send()) == []
    assert client.receive_data(server.data_to_send()) == [PongReceived(ping_id)]
    assert (client.ping(), server.ping(), server.ping()) == (3, 2, 4)


def test_an_echo_of_a_ping_that_we_never_sent_is_no_ping():
    peer = Peer()
    assert peer.send(Ping(2)) == [PongReceived(2)]
    assert peer.sent() == []


def test_go_away_lets_open_streams_go_on():
    client, server, one = connected()
    server.go_away()
    server.go_away()  # again: nothing
    assert client.receive_data(server.data_to_send()) == [GoAwayReceived(one, Status.OK)]
    with pytest.raises(LocalProtocolError, match="no new streams"):
        client.open_stream(HEADERS)
    client.send_data(one, b"more")
    assert server.receive_data(client.data_to_send()) == [DataReceived(one, b"more")]
    with pytest.raises(LocalProtocolError, match="no new streams"):
        server.open_stream(HEADERS)


def test_streams_after_our_go_away_are_not_looked_at_but_their_headers_are_read():
    peer = Peer()
    peer.open()
    peer.session.go_away()
    assert peer.send(SynStream(3, peer.block())) == []
    more = HeadersFrame(1, peer.block([("later", "block")]))
    assert peer.send(more) == [HeadersReceived(1, (("later", "block"),))]
    assert peer.sent() == [GoAway(1)]


def test_no_data_before_the_reply():
    peer = Peer()
    peer.open(reply=False)
    with pytest.raises(LocalProtocolError, match="accepted"):
        peer.session.send_data(1, b"x")
    peer.session.reply(1)
    with pytest.raises(LocalProtocolError, match="wait for a reply"):
        peer.session.reply(1)


def test_no_reply_to_our_own_stream():
    client = Session(Role.CLIENT)
    one = client.open_stream(HEADERS)
    with pytest.raises(LocalProtocolError, match="wait for a reply"):
        client.reply(one)


def test_unidirectional_streams_need_no_reply():
    peer = Peer()
    assert peer.send(SynStream(1, peer.block(), unidirectional=True)) == [StreamOpened(1, HEADERS)]
    with pytest.raises(LocalProtocolError):
        peer.session.send_data(1, b"x")
    assert peer.send(Data(1, b"x", fin=True)) == [DataReceived(1, b"x"), StreamEnded(1)]
    assert peer.session.open_streams == frozenset()


# -- what the peer may not do ------------------------------------------------------------------------------


@pytest.mark.parametrize("stream_id", [2, 1, 3])
def test_ids_out_of_order_are_refused(stream_id):
    peer = Peer()
    peer.open(3)
    events = peer.send(SynStream(stream_id, peer.block()))
    assert peer.sent() == [ResetStream(stream_id, Status.PROTOCOL_ERROR)]
    # For the peer the reset ends whatever it has under that id, so it ends here as well.
    assert events == ([StreamReset(3, Status.PROTOCOL_ERROR, by_peer=False)] if stream_id == 3 else [])
    assert peer.session.error is None


def test_too_many_streams_are_refused_and_the_session_lives():
    peer = Peer(max_streams=2)
    peer.open(1)
    peer.open(3)
    assert peer.send(SynStream(5, peer.block())) == []
    assert peer.sent() == [ResetStream(5, Status.REFUSED_STREAM)]
    peer.send(ResetStream(1, Status.CANCEL))
    assert peer.open(7) == [StreamOpened(7, HEADERS)]


def test_data_after_the_end():
    peer = Peer()
    peer.open(fin=True)
    assert peer.send(Data(1, b"x")) == [StreamReset(1, Status.STREAM_ALREADY_CLOSED, by_peer=False)]
    assert peer.sent() == [ResetStream(1, Status.STREAM_ALREADY_CLOSED)]
    assert peer.send(Data(1, b"x")) == []  # under way when we reset
    assert peer.sent() == []


def test_a_second_end_by_headers():
    peer = Peer()
    peer.open(fin=True)
    events = peer.send(HeadersFrame(1, peer.block(), fin=True))
    assert events[-1] == StreamReset(1, Status.STREAM_ALREADY_CLOSED, by_peer=False)


@pytest.mark.parametrize("stream_id", [0, 1, 2])
def test_data_for_a_stream_that_never_was(stream_id):
    peer = Peer()
    assert peer.send(Data(stream_id, b"x")) == []
    assert peer.sent() == [ResetStream(stream_id, Status.INVALID_STREAM)]


def test_resets_and_headers_for_closed_streams_are_ignored():
    peer = Peer()
    assert peer.send(ResetStream(1, 5), HeadersFrame(1, peer.block()), SynReply(2, peer.block())) == []
    assert peer.sent() == []


def test_replies_that_nobody_waits_for():
    peer = Peer(Role.CLIENT)
    one = peer.session.open_stream(HEADERS)
    peer.sent()
    assert peer.send(SynReply(one, peer.block(()), fin=True)) == [StreamReplied(one, ()), StreamEnded(one)]
    events = peer.send(SynReply(one, peer.block(())))
    assert events == [StreamReset(one, Status.STREAM_IN_USE, by_peer=False)]


def test_data_before_the_peers_reply():
    peer = Peer(Role.CLIENT)
    one = peer.session.open_stream(HEADERS)
    assert peer.send(Data(one, b"x")) == [StreamReset(one, Status.PROTOCOL_ERROR, by_peer=False)]


@pytest.mark.parametrize(
    "data",
    [
        SynStream(0, HeaderCompressor().compress(HEADERS)).serialize(),
        SynStream(1, b"not zlib").serialize(),
        bytes.fromhex("80020006 00000004 00000001"),
    ],
)
def test_what_ends_the_session(data):
    peer = Peer()
    first = SynStream(1, peer.block()).serialize() if data[:4] == b"\x80\x02\x00\x06" else b""
    events = peer.session.receive_data(first + data)
    assert events == ([StreamOpened(1, HEADERS)] if first else [])  # what came before is not lost
    assert peer.session.error is not None
    assert peer.sent() == [GoAway(1 if first else 0, Status.PROTOCOL_ERROR)]
    assert peer.session.receive_data(Ping(1).serialize()) == []
    assert peer.sent() == []


def test_an_end_inside_a_frame_is_an_error():
    peer = Peer()
    peer.session.receive_data(Ping(1).serialize()[:-1])
    peer.session.receive_eof()
    assert "inside a frame" in str(peer.session.error)
    clean = Session(Role.SERVER)
    clean.receive_eof()
    assert clean.error is None


def test_the_bytes_of_a_real_kubectl():
    path = Path(__file__).parents[1] / "golden" / "spdy-exec-kubectl-1.32.hex"
    data = bytes.fromhex(path.read_text())
    session = Session(Role.SERVER)
    events = [event for octet in data for event in session.receive_data(bytes((octet,)))]
    names = ["error", "stdin", "stdout", "stderr"]
    opened = [StreamOpened(2 * i + 1, (("streamtype", name),)) for i, name in enumerate(names)]
    assert joined(events) == [*opened, DataReceived(3, b"hello from kubectl\n"), StreamEnded(3)]
    assert session.error is None


# -- properties --------------------------------------------------------------------------------------------


def joined(events):
    result = []
    for event in events:
        last = result[-1] if result else None
        if isinstance(event, DataReceived) and isinstance(last, DataReceived) and same_stream(last, event):
            result[-1] = DataReceived(event.stream_id, last.data + event.data)
        else:
            result.append(event)
    return result


def same_stream(one, other):
    return one.stream_id == other.stream_id


@st.composite
def conversations(draw):
    """What a well-behaved client may send, as bytes."""
    client = Session(Role.CLIENT)
    ids = []
    for _ in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(["open", "data", "fin", "reset", "ping", "go_away"]))
        live = [stream_id for stream_id in ids if stream_id in client.open_streams]
        if kind == "open" and not client.going_away:
            try:
                ids.append(client.open_stream([("port", str(draw(st.integers(1, 65535))))]))
            except LocalProtocolError:
                pass  # after go_away
        elif kind == "ping":
            client.ping()
        elif kind == "go_away":
            client.go_away()
        elif live:
            stream_id = draw(st.sampled_from(live))
            try:
                if kind == "reset":
                    client.reset(stream_id)
                else:
                    client.send_data(stream_id, draw(st.binary(max_size=40)), fin=kind == "fin")
            except LocalProtocolError:
                pass  # ended already
    return client.data_to_send()


@given(conversations(), st.lists(st.integers(0, 400), max_size=20))
@settings(max_examples=60)
def test_any_split_gives_the_same_events_and_answers(data, places):
    whole, split = Session(Role.SERVER), Session(Role.SERVER)
    expected = whole.receive_data(data)
    places = sorted({min(place, len(data)) for place in places})
    events = []
    for start, end in zip([0, *places], [*places, len(data)], strict=True):
        events += split.receive_data(data[start:end])
    assert joined(events) == joined(expected)
    assert split.data_to_send() == whole.data_to_send()
    assert split.error is whole.error is None


@given(conversations(), st.integers(0, 400), st.binary(max_size=30), st.booleans())
@settings(max_examples=60)
def test_damage_is_only_ever_the_protocol_error(data, place, damage, insert):
    place = min(place, len(data))
    data = data[:place] + damage + data[place + (0 if insert else len(damage)) :]
    session = Session(Role.SERVER, SessionLimits(max_streams=4))
    session.receive_data(data)
    session.receive_eof()
    assert len(session.open_streams) <= 4
    session.data_to_send()
