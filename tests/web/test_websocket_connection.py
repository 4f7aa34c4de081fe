from __future__ import annotations

import threading

import pytest
from support.streams import read_all, running, transports
from support.waiting import eventually

from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.web import duplex
from virtual_kubelet.web.websocket_connection import WebSocketConnection
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.websocket import Role

V5 = CHANNEL_PROTOCOLS["v5.channel.k8s.io"]
V4 = CHANNEL_PROTOCOLS["v4.channel.k8s.io"]
BASE64 = CHANNEL_PROTOCOLS["v4.base64.channel.k8s.io"]


def pair(near, far, protocol=V5, idle_timeout=30, buffer=1 << 20):
    server = WebSocketConnection(near, protocol, readable=(0, 4), buffer=buffer, idle_timeout=idle_timeout)
    client = WebSocketConnection(far, protocol, readable=(1, 2, 3), role=Role.CLIENT, idle_timeout=30)
    return server, client


@pytest.mark.parametrize("protocol", [V5, V4, BASE64], ids=lambda p: p.name)
def test_bytes_both_ways(protocol):
    data = bytes(range(256)) * 1024
    with transports() as (near, far):
        server, client = pair(near, far, protocol)
        with running(server, client):
            writer = spawn(client.channel(0).write, data, name="writer")
            got = b""
            while len(got) < len(data):
                got += server.channel(0).read()
            assert got == data
            writer.join(30)
            server.channel(1).write(b"out")
            server.channel(2).write(b"err")
            assert client.channel(2).read() == b"err"
            assert client.channel(1).read() == b"out"


def test_half_close():
    with transports() as (near, far):
        server, client = pair(near, far)
        with running(server, client):
            client.channel(0).write(b"all of it")
            client.channel(0).close_write()
            assert read_all(server.channel(0)) == b"all of it"
            server.channel(1).close_write()  # says nothing: a server's channels end with the connection
            server.channel(1).write(b"more")
            assert client.channel(1).read() == b"more"


def test_channels_that_the_client_may_not_use():
    with transports() as (near, far):
        server, client = pair(near, far)
        with running(server, client):
            for number in (1, 2, 3, 9, 200):
                client.channel(number).write(b"dropped")
            client.channel(0).write(b"taken")
            assert server.channel(0).read() == b"taken"
            assert server.channel(1).read() == b""


def test_close_code_and_callbacks():
    with transports() as (near, far):
        server, client = pair(near, far)
        with running(server, client):
            called = threading.Event()
            client.on_close(called.set)
            forgotten = []
            client.on_close(forgotten.append)
            client.forget(forgotten.append)
            server.say_goodbye(1000)
            assert called.wait(30)
            assert client.close_code == 1000
            eventually(lambda: server.closed)
            server.say_goodbye()  # nobody is there: nothing
            with pytest.raises(BrokenPipeError):
                server.channel(1).write(b"x")
            client.channel(0).close_write()


def test_a_client_that_goes_without_a_word():
    with transports() as (near, far):
        server, _ = pair(near, far)
        with running(server):
            far.close()
            assert server.channel(0).read() == b""
            eventually(lambda: server.closed)
            assert server.close_code is None


def test_diverted_channels():
    taken = []
    with transports() as (near, far):
        server, client = pair(near, far)
        server.channel(4).divert(taken.append)
        server.channel(1).divert(taken.append)
        with running(server, client):
            client.channel(4).write(b"resize")
            eventually(lambda: taken == [b"resize"])
            server.channel(0).discard()
            server.channel(1).discard()
            assert server.channel(0).read() == b""


def test_unasked_pongs_while_a_consumer_stands_still(monkeypatch):
    monkeypatch.setattr(duplex, "HANG_UP_CHECK", 0.01)
    monkeypatch.setattr(duplex, "HEARTBEAT", 0.02)
    with transports() as (near, far):
        server, client = pair(near, far, buffer=10)
        with running(server):
            client.channel(0).write(b"x" * 100)
            pongs = []
            while len(pongs) < 3:
                pongs += client.session.receive_data(far.recv(1000, 10))
            assert server.channel(0).read() == b"x" * 100
            assert not server.closed


def test_idle():
    with transports() as (near, far):
        server, client = pair(near, far, idle_timeout=0.1)
        with running(server, client):
            eventually(lambda: server.closed and client.closed)


def test_garbage_gets_a_close_and_an_end():
    with transports() as (near, far):
        server, _ = pair(near, far)
        with running(server):
            far.send(b"\xff" * 50)
            assert far.recv(100, 10)[:1] == b"\x88"
            eventually(lambda: server.closed)
