from __future__ import annotations

import threading
from functools import partial

import pytest
from support.streams import read_all, running, transports
from support.waiting import eventually

from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web import duplex, spdy_connection
from virtual_kubelet.web.outbox import Outbox
from virtual_kubelet.web.spdy_connection import SpdyConnection
from virtual_kubelet.wire.spdy_events import DataReceived, PongReceived
from virtual_kubelet.wire.spdy_frames import GoAway, Ping, Status
from virtual_kubelet.wire.spdy_session import Role, SessionLimits

HEADERS = (("streamtype", "data"),)


class Server:
    """Keeps the streams that a client opens."""

    def __init__(self, transport, *, accept=True, **options):
        self.accept = accept
        self.streams = []
        options.setdefault("idle_timeout", 30)
        self.connection = SpdyConnection(transport, on_stream=self.on_stream, **options)

    def on_stream(self, stream):
        if self.accept:
            stream.accept()
        else:
            stream.refuse()
        self.streams.append(stream)


def client_of(transport, **options):
    options.setdefault("idle_timeout", 30)
    return SpdyConnection(transport, role=Role.CLIENT, on_stream=lambda stream: stream.refuse(), **options)


class Both:
    def __init__(self, buffer=None, client=None, **options):
        self.transports = transports(buffer)
        near, far = self.transports.__enter__()
        self.raw = far
        self.server = Server(near, **options)
        self.client = client_of(far, **(client or {}))
        self.running = running(self.server.connection, self.client)

    def __enter__(self):
        self.running.__enter__()
        return self.server, self.client

    def __exit__(self, *error):
        self.running.__exit__(*error)
        self.transports.__exit__(*error)


def test_bytes_both_ways_and_half_close():
    with Both() as (server, client):
        stream = client.open_stream(HEADERS)
        (other,) = server.streams
        assert other.headers == HEADERS
        stream.write(b"question", end=True)
        assert read_all(other) == b"question"
        other.write(b"answer")
        other.close_write()
        other.close_write()
        assert read_all(stream) == b"answer"
        assert not other.closed
        with pytest.raises(BrokenPipeError):
            other.write(b"more")


def test_what_came_before_our_end_is_told_after_it(monkeypatch):
    """Another thread ends our side between the reader's taking data in and its telling of it."""
    with Both() as (server, client):
        stream = client.open_stream(HEADERS)
        (other,) = server.streams
        tell = server.connection.on_event

        def ended_meanwhile(event):
            other.close_write()
            tell(event)

        monkeypatch.setattr(server.connection, "on_event", ended_meanwhile)
        stream.write(b"last", end=True)
        assert read_all(other) == b"last"
        eventually(lambda: not server.connection._streams)


def test_last_words_to_who_has_ended_leave_nothing_behind(monkeypatch):
    with Both() as (server, client):
        stream = client.open_stream(HEADERS)
        stream.write(b"", end=True)
        (other,) = server.streams
        eventually(lambda: other.ended)
        other.post_last(b"sorry")
        server.connection.duplex.send(lambda: None)
        assert read_all(stream) == b"sorry"
        assert not server.connection._streams


def test_megabytes_come_whole_through_small_buffers():
    data = bytes(range(256)) * 8192  # 2 MiB
    with Both(buffer=4096) as (server, client):
        stream = client.open_stream(HEADERS)
        thread = spawn(stream.write, data, name="writer")
        got = []
        while len(b"".join(got)) < len(data):
            got.append(server.streams[0].read(100_000))
        assert b"".join(got) == data
        thread.join(30)


def test_a_slow_consumer_holds_the_peer_up_and_nothing_grows():
    with Both(buffer=4096) as (server, client):
        stream = client.open_stream(HEADERS)
        budget = server.connection._budget
        budget._limit = 10_000
        written = []

        def write():
            for _ in range(100):
                stream.write(b"x" * 10_000)
                written.append(10_000)

        thread = spawn(write, name="writer")
        eventually(lambda: budget.used >= 10_000)
        assert budget.used <= 10_000 + 65536
        assert thread.is_alive()
        assert sum(written) < 1_000_000
        received = 0
        while received < 1_000_000:
            received += len(server.streams[0].read())
        thread.join(30)
        assert budget.used == 0


@pytest.mark.parametrize("end", ["refuse", "reset"])
def test_what_nobody_takes_of_a_stream_that_we_end_is_not_held(end):
    with Both() as (server, client):
        client.open_stream(HEADERS).write(b"x" * 1000, end=True)
        (stream,) = server.streams
        eventually(lambda: stream.ended)
        assert server.connection._budget.used == 1000
        getattr(stream, end)()
        assert server.connection._budget.used == 0


def test_the_peers_end_reaches_readers_writers_and_callbacks():
    with Both() as (server, client):
        client.open_stream(HEADERS)
        (stream,) = server.streams
        called = threading.Event()
        stream.on_close(called.set)
        ended = threading.Event()
        server.connection.on_close(ended.set)
        client.close()
        assert stream.read() == b""
        assert called.wait(30)
        assert ended.wait(30)
        assert stream.closed
        assert server.connection.closed
        with pytest.raises(BrokenPipeError):
            stream.write(b"x")
        late = threading.Event()
        stream.on_close(late.set)
        assert late.is_set()


def test_a_reset_ends_one_stream_only():
    with Both() as (server, client):
        one, two = client.open_stream(HEADERS), client.open_stream(HEADERS)
        one.reset()
        eventually(lambda: server.streams[0].closed)
        assert server.streams[0].read() == b""
        with pytest.raises(BrokenPipeError):
            server.streams[0].write(b"x")
        server.streams[1].write(b"alive")
        assert two.read() == b"alive"


def test_a_refused_stream():
    with Both(accept=False) as (_, client), pytest.raises(BrokenPipeError, match="refused"):
        client.open_stream(HEADERS)


def test_a_stream_that_nobody_answers():
    with transports() as (near, _):
        client = client_of(near)
        with running(client), pytest.raises(TimeoutError):
            client.open_stream(HEADERS, timeout=0.05)


def test_too_many_streams():
    with Both(limits=SessionLimits(max_streams=2)) as (server, client):
        kept = [client.open_stream(HEADERS) for _ in range(2)]
        with pytest.raises(BrokenPipeError):
            client.open_stream(HEADERS)
        assert len(server.streams) == 2
        kept[0].close_write()
        server.streams[0].close_write()
        eventually(lambda: not server.connection.session.is_open(kept[0].id))
        assert client.open_stream(HEADERS).id == 7


def test_closed_streams_are_forgotten():
    with Both() as (server, client):
        for _ in range(20):
            stream = client.open_stream(HEADERS)
            stream.close_write()
            server.streams[-1].close_write()
            assert read_all(stream) == b""
        eventually(lambda: not server.connection._streams and not client._streams)


def test_idle_connections_are_closed():
    clock = SteppedClock()
    with Both(idle_timeout=0.1, clock=clock) as (server, client):
        client.open_stream(HEADERS)
        eventually(lambda: clock.advance(0.1) or client.closed)
        assert server.streams[0].read() == b""


def test_any_frame_resets_the_idle_time():
    clock = SteppedClock()
    with Both(idle_timeout=0.1, clock=clock) as (server, client):
        stream = client.open_stream(HEADERS)
        for _ in range(3):
            clock.advance(0.09)
            client.duplex.send(client.session.ping)
            eventually(lambda: server.connection.duplex._touched == clock.monotonic())
        assert not server.connection.closed
        stream.write(b"still here")
        assert server.streams[0].read() == b"still here"


def test_output_alone_keeps_the_connection():
    clock = SteppedClock()
    with Both(idle_timeout=0.1, clock=clock) as (server, client):
        stream = client.open_stream(HEADERS)
        for _ in range(3):
            clock.advance(0.09)
            server.streams[0].write(b".")
            eventually(lambda: server.connection.duplex._touched == clock.monotonic())
        server.streams[0].close_write()
        assert read_all(stream) == b"..."


def test_go_away_with_no_stream_left_ends_the_connection():
    with Both() as (server, client):
        stream = client.open_stream(HEADERS)
        client.go_away()
        stream.write(b"still")
        assert server.streams[0].read() == b"still"
        stream.reset()
        eventually(lambda: server.connection.closed)


def test_who_has_said_go_away_gets_the_last_bytes(monkeypatch):
    """The reader makes its rounds between their being queued and their being sent."""
    rounds = []
    with Both(on_round=rounds.append) as (server, client):
        stream = client.open_stream(HEADERS)
        stream.close_write()
        client.go_away()
        eventually(lambda: server.streams[0].ended and server.connection.session.going_away)
        outbox = server.connection.duplex._outbox
        flush = outbox.flush

        def some_rounds_later(timeout):
            for _ in range(2):  # the first that is seen may have begun before
                seen = len(rounds)
                client.duplex.send(client.session.ping)
                eventually(lambda seen=seen: len(rounds) > seen or server.connection.closed)
            return flush(timeout)

        monkeypatch.setattr(outbox, "flush", some_rounds_later)
        server.streams[0].write(b"the end", end=True)
        assert read_all(stream) == b"the end"


def test_the_last_bytes_to_who_has_said_go_away_end_the_connection(monkeypatch):
    """The peer sends nothing more by which the reader would notice, and is not idle for long enough."""
    monkeypatch.setattr(spdy_connection, "CLOSING_CHECK", 0.01)
    with Both(clock=SteppedClock()) as (server, client):
        stream = client.open_stream(HEADERS)
        stream.close_write()
        client.go_away()
        eventually(lambda: server.streams[0].ended and server.connection.session.going_away)
        server.streams[0].write(b"the end", end=True)
        assert read_all(stream) == b"the end"
        eventually(lambda: server.connection.closed)


@pytest.mark.parametrize(
    "garbage",
    [b"\xff" * 100, b"\x80\x03\0\1\0\0\0\x0e" + b"\0\0\0\1" * 3 + b"xx", b"\x80\x02" * 10],
)
def test_garbage_gets_a_go_away_and_an_end(garbage):
    with transports() as (near, far):
        server = Server(near)
        with running(server.connection):
            far.send(garbage)
            answer = b""
            while data := far.recv(1000, 10):
                answer += data
            assert answer == GoAway(0, Status.PROTOCOL_ERROR).serialize()
            eventually(lambda: server.connection.closed)


def test_pings_are_answered_while_a_writer_waits_for_the_client():
    """The reader leaves its answers to the writer, and neither is lost."""
    with transports(buffer=4096) as (near, far):
        server = Server(near)
        other = client_of(far)
        with running(server.connection):
            other.duplex.send(lambda: other.session.open_stream(HEADERS))
            stream = eventually(lambda: server.streams and server.streams[0])
            writer = spawn(stream.write, b"x" * 500_000, name="writer")
            for _ in range(10):
                other.duplex.send(other.session.ping)
            pongs, received = 0, 0
            while pongs < 10 or received < 500_000:
                for event in other.session.receive_data(far.recv(65536, 10)):
                    pongs += isinstance(event, PongReceived)
                    received += len(event.data) if isinstance(event, DataReceived) else 0
            writer.join(30)
            assert (pongs, received) == (10, 500_000)


def test_the_client_that_goes_while_nobody_takes_its_data_is_noticed():
    with Both() as (server, client):
        stream = client.open_stream(HEADERS)
        server.connection._budget._limit = 1000
        stream.write(b"x" * 2000)
        stream.write(b"y" * 2000)
        eventually(lambda: server.connection._budget._waiting)
        client.close()
        eventually(lambda: server.connection.closed)


def test_data_that_nobody_takes_is_idle():
    clock = SteppedClock()
    with Both(idle_timeout=0.1, clock=clock) as (server, client):
        stream = client.open_stream(HEADERS)
        server.connection._budget._limit = 1
        stream.write(b"x" * 2000)
        clock.block_until(1)
        clock.advance(0.1)
        eventually(lambda: server.connection.closed)


def test_last_words_wait_for_a_thread_that_is_sending():
    with Both() as (server, client):
        stream = client.open_stream(HEADERS)

        def stop():
            server.connection.finish_at_once([(server.streams[0], b"stopping")], 10)
            server.connection.close()

        with server.connection.duplex._outbox._sending:
            stopper = spawn(stop, name="stopper")
            eventually(lambda: server.connection.session.pending)
            assert not stream.closed
        assert read_all(stream) == b"stopping"
        stopper.join(30)


def test_last_words_do_not_wait_for_ever():
    with Both() as (server, client):
        client.open_stream(HEADERS)
        with server.connection.duplex._outbox._sending:
            server.connection.finish_at_once([(server.streams[0], b"stopping")], 0.01)
            server.connection.close()
        eventually(lambda: client.closed)


def test_waiting_for_the_peers_end():
    with Both() as (server, client):
        begun = threading.Event()

        def finish():
            begun.set()
            server.connection.duplex.wait_ended(quiet=30)

        thread = spawn(finish, name="finisher")
        assert begun.wait(30)
        client.close()
        thread.join(30)
        assert not thread.is_alive()
        eventually(lambda: server.connection.closed)


def test_a_silent_peer_is_not_waited_for():
    with Both() as (server, _):
        server.connection.duplex.wait_ended(quiet=0.05)
        eventually(lambda: server.connection.closed)


def test_status_of_refusals():
    with transports() as (near, far):
        server = Server(near, accept=False)
        client = client_of(far)
        with running(server.connection):
            client.duplex.send(lambda: client.session.open_stream(HEADERS))
            (event,) = client.session.receive_data(far.recv(100, 10))
            assert event.status == Status.REFUSED_STREAM


def test_what_is_said_to_an_ended_connection_goes_nowhere():
    with Both() as (server, client):
        client.open_stream(HEADERS)
        (stream,) = server.streams
        client.close()
        eventually(lambda: server.connection.closed)
        stream.accept()
        stream.refuse()
        stream.post_last(b"x")
        stream.close_write()
        stream.reset()
        server.connection.go_away()
        server.connection.finish([(stream, b"x")])
        server.connection.on_silence()
        with pytest.raises(BrokenPipeError):
            client.open_stream(HEADERS)


def test_the_last_bytes_of_several_streams():
    with Both() as (server, client):
        one, two = client.open_stream(HEADERS), client.open_stream(HEADERS)
        server.streams[1].close_write()
        server.connection.finish([(server.streams[0], b"last"), (server.streams[1], b"too late")])
        assert (read_all(one), read_all(two)) == (b"last", b"")
        with pytest.raises(BrokenPipeError):
            client.open_stream(HEADERS)  # the server has said GOAWAY


def test_pings_while_a_consumer_stands_still(monkeypatch):
    monkeypatch.setattr(duplex, "HANG_UP_CHECK", 0.01)
    monkeypatch.setattr(duplex, "HEARTBEAT", 0.02)
    with transports() as (near, far):
        server, client = Server(near, buffer=10), client_of(far)
        with running(server.connection):
            client.duplex.send(lambda: client.session.open_stream(HEADERS))
            stream = eventually(lambda: server.streams and server.streams[0])
            client.session.receive_data(far.recv(100, 10))
            client.duplex.send(lambda: client.session.send_data(stream.id, b"x" * 100))
            assert Ping(2).serialize() in far.recv(100, 10)
            assert stream.read() == b"x" * 100


def test_two_ends_that_write_at_once_read_on(monkeypatch):
    """Writers that stand still before they send: if the readers sent for them, neither end would read."""
    flush, pause = Outbox.flush, threading.Event()

    def slowly(self, timeout):
        pause.wait(0.02)
        return flush(self, timeout)

    monkeypatch.setattr(Outbox, "flush", slowly)
    data = bytes(4 << 20)
    with Both(buffer=65536) as (server, client):
        stream = client.open_stream(HEADERS)
        ends = stream, server.streams[0]
        got = [[], []]
        threads = [spawn(partial(end.write, data, end=True), name="writer") for end in ends]
        threads += [
            spawn(lambda end=end, it=it: it.append(read_all(end)), name="reader")
            for end, it in zip(ends, got, strict=True)
        ]
        assert join_all(threads, Deadline(60)) == []
        assert [[len(item) for item in it] for it in got] == [[len(data)]] * 2
