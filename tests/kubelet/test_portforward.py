from __future__ import annotations

import socket
import threading

import pytest
from support.ports import held_port
from support.remote import (
    SPDY_HEADERS,
    WEBSOCKET_HEADERS,
    CommandProvider,
    Refused,
    echo_server,
    kubelet,
)
from support.streams import read_all
from support.waiting import eventually

from virtual_kubelet.kubelet import forwards
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.websocket_connection import WebSocketConnection
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.portforward import Pairing
from virtual_kubelet.wire.websocket import Role

KINDS = ["spdy", "tunnel"]


@pytest.mark.parametrize("kind", KINDS)
def test_both_ways_with_half_close(kind):
    with kubelet() as node, echo_server() as port, node.forward(kind) as client:
        data, error = client.open(port)
        data.write(b"x" * 300_000, end=True)
        assert read_all(data) == b"x" * 300_000 + b"bye"
        assert read_all(error) == b""
        assert node.provider.calls == [("forward", "default", "web", "uid-1", port)]


def test_a_pair_that_ends_is_in_no_other_pairs_way(monkeypatch):
    """Its thread takes a stream off the list while the reader may add others."""
    inside, pause, forget, add = threading.Event(), threading.Event(), Pairing.forget, Pairing.add
    at_once = []

    def slowly(self, stream_id):
        inside.set()
        pause.wait(0.3)
        forget(self, stream_id)
        inside.clear()

    def watched(self, stream_id, headers, now):
        at_once.append(inside.is_set())
        return add(self, stream_id, headers, now)

    monkeypatch.setattr(Pairing, "forget", slowly)
    monkeypatch.setattr(Pairing, "add", watched)
    with kubelet() as node, held_port() as refused, echo_server() as port, node.forward() as client:
        client.open(refused)
        assert inside.wait(30)
        data, error = client.open(port)
        data.write(b"x", end=True)
        assert read_all(data) == b"xbye"
        assert read_all(error) == b""
    assert at_once == [False] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_many_connections_at_once(kind):
    def one(client, port, number, results):
        data, error = client.open(port)
        payload = str(number).encode() * 1000
        data.write(payload)
        data.write(b"", end=True)
        results[number] = read_all(data) == payload + b"bye" and read_all(error) == b""

    with kubelet() as node, echo_server() as port, node.forward(kind) as client:
        lock = threading.Lock()
        opening = client.open

        def one_at_a_time(port):
            with lock:
                return opening(port)

        client.open = one_at_a_time
        results = {}
        threads = [spawn(one, client, port, i, results, name=f"client {i}") for i in range(20)]
        assert join_all(threads, Deadline(30)) == []
        assert results == dict.fromkeys(range(20), True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_port_is_told_and_the_session_lives(kind):
    with kubelet() as node, echo_server() as port, held_port() as refused, node.forward(kind) as client:
        kept, _ = client.open(port)
        for _ in range(3):
            data, error = client.open(refused)
            text = read_all(error).decode()
            assert text == (
                f"error forwarding port {refused} to pod default/web, uid uid-1: "
                f"cannot connect to port {refused}: Connection refused"
            )
            assert read_all(data) == b""
            eventually(lambda stream=data: stream.closed)
        kept.write(b"alive", end=True)
        assert read_all(kept) == b"alivebye"


def test_a_reset_stream_ends_its_connection_only():
    with kubelet() as node, echo_server() as port, node.forward() as client:
        one, _ = client.open(port)
        two, _ = client.open(port)
        one.write(b"one")
        assert one.read() == b"one"
        one.reset()
        two.write(b"two", end=True)
        assert read_all(two) == b"twobye"
        assert not client.connection.closed


def test_the_clients_end_ends_every_connection():
    with kubelet() as node, echo_server() as port:
        with node.forward() as client:
            for _ in range(5):
                data, _ = client.open(port)
                data.write(b"x")
                assert data.read() == b"x"
        eventually(lambda: node.server.streams == 0)
        # One that has done its work may still be ending.
        eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("port-forward")])


def test_a_target_that_ends_first():
    class Greeting(CommandProvider):
        def port_forward(self, namespace, pod, uid, port, stream):
            stream.write(b"")
            stream.write(b"hello")

    with kubelet(Greeting()) as node, node.forward() as client:
        data, error = client.open(80)
        assert (read_all(data), read_all(error)) == (b"hello", b"")
        data.write(b"nobody reads this", end=True)
        eventually(lambda: not client.connection._streams)


@pytest.mark.fails_inside
def test_an_unexpected_failure_says_nothing_of_itself(caplog):
    class Broken(CommandProvider):
        def port_forward(self, namespace, pod, uid, port, stream):
            raise KeyError("secret")

    with kubelet(Broken()) as node, node.forward() as client:
        _, error = client.open(80)
        text = read_all(error).decode()
        assert text.endswith("internal error, see the log of the node's agent")
        assert "KeyError" in caplog.text


@pytest.mark.parametrize(
    "headers",
    [
        [("streamtype", "data")],
        [("streamtype", "data"), ("port", "0")],
        [("streamtype", "data"), ("port", "99999")],
        [("streamtype", "stdin"), ("port", "80")],
        [("port", "80")],
    ],
)
def test_wrong_streams_are_refused_and_the_session_lives(headers):
    with kubelet() as node, echo_server() as port, node.forward() as client:
        with pytest.raises(BrokenPipeError, match="refused"):
            client.connection.open_stream([*headers, ("requestid", "9")])
        data, _ = client.open(port)
        data.write(b"x", end=True)
        assert read_all(data) == b"xbye"


def test_streams_that_do_not_fit_together():
    with kubelet() as node, node.forward() as client:
        first = [("streamtype", "error"), ("port", "80"), ("requestid", "1")]
        client.connection.open_stream(first)
        with pytest.raises(BrokenPipeError, match="refused"):
            client.connection.open_stream(first)


def test_lone_streams_are_ended_in_time():
    with kubelet(creation_timeout=0.1) as node, node.forward() as client:
        error = client.connection.open_stream([("streamtype", "error"), ("port", "80"), ("requestid", "1")])
        data = client.connection.open_stream([("streamtype", "data"), ("port", "80"), ("requestid", "2")])
        assert "did not open the data stream in time" in read_all(error).decode()
        eventually(lambda: data.closed)
        assert not client.connection.closed


def test_a_lone_stream_that_is_reset_is_forgotten():
    with kubelet(creation_timeout=20) as node, echo_server() as port, node.forward() as client:
        lone = client.connection.open_stream([("streamtype", "error"), ("port", "1"), ("requestid", "7")])
        lone.reset()
        client.request_id = 7
        data, _ = client.open(port)  # the same request again, another port
        data.write(b"x", end=True)
        assert read_all(data) == b"xbye"


def test_old_clients_without_request_ids():
    with kubelet() as node, echo_server() as port, node.forward() as client:
        error = client.connection.open_stream([("streamtype", "error"), ("port", str(port))])
        data = client.connection.open_stream([("streamtype", "data"), ("port", str(port))])
        data.write(b"x", end=True)
        assert (read_all(data), read_all(error)) == (b"xbye", b"")


def test_more_connections_than_are_allowed():
    with kubelet(forwards=2) as node, echo_server() as port, node.forward() as client:
        kept = [client.open(port) for _ in range(2)]
        for data, _ in kept:
            data.write(b"x")
            assert data.read() == b"x"
        _, error = client.open(port)
        assert "too many connections" in read_all(error).decode()
        kept[0][0].close_write()
        assert read_all(kept[0][0]) == b"bye"
        eventually(lambda: _works(client, port))


def test_a_machine_without_threads_to_spare(monkeypatch):
    def refuse(*args, **options):
        raise RuntimeError("can't start new thread")

    with kubelet() as node, node.forward() as client:
        monkeypatch.setattr(forwards, "spawn", refuse)
        data, error = client.open(80)
        assert read_all(error).decode().endswith("can't start new thread")
        eventually(lambda: data.closed)
        assert not client.connection.closed


def _works(client, port):
    try:
        data, _ = client.open(port)
        data.write(b"x", end=True)
    except BrokenPipeError:
        return False  # refused
    return read_all(data) == b"xbye"


def test_go_away_then_silence_ends_the_session():
    with kubelet() as node, node.forward() as client:
        client.connection.go_away()
        eventually(lambda: node.server.streams == 0)


# -- over WebSocket channels -----------------------------------------------------------------------------


def channels(node, query, protocol="v4.channel.k8s.io", readable=range(10)):
    headers = [*WEBSOCKET_HEADERS] + ([("Sec-WebSocket-Protocol", protocol)] if protocol else [])
    transport, _ = node.upgrade(f"/portForward/default/web?{query}", headers, "GET")
    return WebSocketConnection(
        transport, CHANNEL_PROTOCOLS[protocol], readable=readable, role=Role.CLIENT, idle_timeout=30
    )


def read_exactly(channel, size):
    data = b""
    while len(data) < size:
        piece = channel.read(size - len(data))
        assert piece, data
        data += piece
    return data


@pytest.mark.parametrize("protocol", ["v4.channel.k8s.io", "v4.base64.channel.k8s.io", ""])
def test_two_ports_over_channels(protocol):
    with kubelet() as node, echo_server() as port, held_port() as refused:
        connection = channels(node, f"port={port}&port={refused}", protocol)
        reader = spawn(connection.run, name="client reader")
        for index, number in enumerate((port, refused)):
            for channel in (2 * index, 2 * index + 1):
                assert read_exactly(connection.channel(channel), 2) == number.to_bytes(2, "little")
        assert b"Connection refused" in connection.channel(3).read(1000)
        connection.channel(0).write(b"hello")
        assert read_exactly(connection.channel(0), 5) == b"hello"
        connection.close()
        reader.join(30)
        eventually(lambda: node.server.streams == 0)


def test_channels_end_when_every_target_has_ended():
    class Greeting(CommandProvider):
        def port_forward(self, namespace, pod, uid, port, stream):
            assert not stream.closed
            stream.write(b"hello")
            stream.close_write()

    with kubelet(Greeting()) as node:
        connection = channels(node, "port=80")
        reader = spawn(connection.run, name="client reader")
        assert read_all(connection.channel(0)) == b"\x50\x00hello"
        reader.join(30)
        assert connection.close_code == 1000


def test_the_targets_end_is_the_end_of_a_channel():
    """The client has no way to end its side, so a provider that waits for that would wait for ever."""
    with kubelet() as node, socket.create_server(("127.0.0.1", 0)) as listener:
        connection = channels(node, f"port={listener.getsockname()[1]}")
        reader = spawn(connection.run, name="client reader")
        target, _ = listener.accept()
        with target:
            target.sendall(b"hello")
        assert read_all(connection.channel(0))[2:] == b"hello"
        reader.join(30)
        assert connection.close_code == 1000


@pytest.mark.parametrize("query", ["", "port=", "port=0", "port=x", "ports=80"])
def test_wrong_ports(query):
    with kubelet() as node, pytest.raises(Refused) as caught:
        channels(node, query)
    assert caught.value.status == 400


# -- handshakes ------------------------------------------------------------------------------------------

FORWARD = ("X-Stream-Protocol-Version", "portforward.k8s.io")


@pytest.mark.parametrize(
    ("path", "headers", "method", "status"),
    [
        ("/portForward/default/no", [*SPDY_HEADERS, FORWARD], "POST", 404),
        ("/portForward/default/web/uid-2", [*SPDY_HEADERS, FORWARD], "POST", 404),
        ("/portForward/default/web", [], "POST", 400),
        ("/portForward/default/web", SPDY_HEADERS, "POST", 400),
        (
            "/portForward/default/web",
            [*SPDY_HEADERS, ("X-Stream-Protocol-Version", "v4.channel.k8s.io")],
            "POST",
            403,
        ),
        (
            "/portForward/default/web?port=80",
            [*WEBSOCKET_HEADERS, ("Sec-WebSocket-Protocol", "v5.channel.k8s.io")],
            "GET",
            403,
        ),
    ],
)
def test_refusals(path, headers, method, status):
    with kubelet() as node, pytest.raises(Refused) as caught:
        node.upgrade(path, headers, method)
    assert caught.value.status == status


@pytest.mark.parametrize("path", ["/portForward/default/web", "/portForward/default/web/uid-1"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_paths_and_methods(path, method):
    with kubelet() as node:
        transport, answer = node.upgrade(path, [*SPDY_HEADERS, FORWARD], method)
        transport.close()
        assert answer["x-stream-protocol-version"] == ["portforward.k8s.io"]
