from __future__ import annotations

import contextlib

import pytest
from support.streams import read_all, running, transports
from support.waiting import eventually

from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.web.spdy_connection import SpdyConnection
from virtual_kubelet.web.websocket_tunnel import WebSocketTunnel
from virtual_kubelet.wire.spdy_session import Role as SpdyRole
from virtual_kubelet.wire.websocket import Role, WebSocket


@contextlib.contextmanager
def tunnels(buffer=None):
    with transports(buffer) as (near, far):
        yield WebSocketTunnel(near), WebSocketTunnel(far, role=Role.CLIENT)


def test_bytes_both_ways():
    with tunnels() as (server, client):
        client.send(b"question", 10)
        client.send(b" two", 10)
        assert server.recv(4, 10) == b"ques"
        got = b""
        while len(got) < 8:
            got += server.recv(100, 10)
        assert got == b"tion two"
        server.send(bytes(100_000))
        got = b""
        while len(got) < 100_000:
            got += client.recv(65536, 10)
        assert got == bytes(100_000)


def test_the_end_comes_through():
    with tunnels() as (server, client):
        client.close()
        assert server.recv(10, 10) == b""
        server.close()
        with pytest.raises(BrokenPipeError):
            server.send(b"x")


def test_close_wakes_a_reader():
    with tunnels() as (server, _):
        got = []
        thread = spawn(lambda: got.append(server.recv()), name="reader")
        server.close()
        thread.join(30)
        assert got == [b""]


def test_time_is_over_in_spite_of_pings():
    with transports() as (near, far):
        heard = []
        server, client = WebSocketTunnel(near), WebSocket(Role.CLIENT)
        server.on_frame = lambda: heard.append(1)
        client.ping()
        far.send(client.data_to_send())
        with pytest.raises(TimeoutError):
            server.recv(10, 0.05)
        assert heard
        assert far.recv(10, 10)[:1] == b"\x8a"  # the pong


def test_a_slow_peer_gets_its_pong_from_a_reader_in_a_hurry(monkeypatch):
    with transports() as (near, far):
        server, client = WebSocketTunnel(near), WebSocket(Role.CLIENT)
        send = near.send

        def slowly(data, timeout=None):
            if timeout is not None and timeout < 1:
                raise TimeoutError("the peer is too slow")
            send(data, timeout)

        monkeypatch.setattr(near, "send", slowly)
        client.ping()
        far.send(client.data_to_send())
        with pytest.raises(TimeoutError):
            server.recv(10, 0.05)
        assert far.recv(10, 10)[:1] == b"\x8a"  # the pong


def test_half_a_pong_ends_the_connection(monkeypatch):
    """Whatever followed it would be taken for its other half."""
    with transports() as (near, far):
        server, client = WebSocketTunnel(near), WebSocket(Role.CLIENT)
        send = near.send

        def broken_off(data, timeout=None):
            send(data[:1], timeout)
            raise TimeoutError("the peer is too slow")

        monkeypatch.setattr(near, "send", broken_off)
        client.ping()
        far.send(client.data_to_send())
        assert server.recv(10, 30) == b""
        with pytest.raises(BrokenPipeError):
            server.send(b"more", 30)


def test_text_and_garbage():
    with transports() as (near, far):
        server, client = WebSocketTunnel(near), WebSocket(Role.CLIENT)
        client.send_message("text")
        far.send(client.data_to_send())
        assert server.recv(10, 10) == b"text"
        far.send(b"\xff" * 20)
        assert server.recv(10, 10) == b""


def test_close_does_not_wait_for_a_peer_that_reads_nothing():
    with tunnels(buffer=4096) as (server, _):
        writer = spawn(_send_much, server, name="writer")
        eventually(server._outbox._sending.locked)
        server.close()
        writer.join(30)
        assert not writer.is_alive()


def _send_much(tunnel):
    try:
        while True:
            tunnel.send(bytes(100_000))
    except BrokenPipeError:
        pass


def test_spdy_inside():
    streams = []

    def on_stream(stream):
        stream.accept()
        streams.append(stream)

    with tunnels() as (near, far):
        server = SpdyConnection(near, on_stream=on_stream, idle_timeout=30)
        client = SpdyConnection(far, role=SpdyRole.CLIENT, on_stream=on_stream, idle_timeout=30)
        assert not near.hung_up()
        with running(server, client):
            stream = client.open_stream([("port", "80")])
            stream.write(b"x" * 300_000, end=True)
            assert read_all(streams[0]) == b"x" * 300_000
            streams[0].write(b"done", end=True)
            assert read_all(stream) == b"done"
        assert near.hung_up()
