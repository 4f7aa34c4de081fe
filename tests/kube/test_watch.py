from __future__ import annotations

import json
import ssl
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.certificates import Authority
from support.scripted_server import ScriptedServer
from support.waiting import eventually

from virtual_kubelet.errors import ApiExpired, ApiUnavailable
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import ApiAccess, TlsSettings
from virtual_kubelet.kube.failures import NO_ANSWER, NONSENSE
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.kube.watch import LineSplitter
from virtual_kubelet.runtime.threads import StopSignal, spawn


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(1, 7), min_size=1))
@settings(max_examples=60)
def test_lines_are_the_same_whatever_the_pieces(lines, sizes):
    stream = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines) + b"unfinished"
    splitter = LineSplitter()
    found, position, turn = [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        found += splitter.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert found == [line.replace(b"\n", b"") for line in lines]


def test_a_long_line_in_small_pieces_is_linear():
    splitter = LineSplitter()
    began = time.process_time()
    for _ in range(100_000):
        splitter.feed(b"x" * 100)
    assert len(splitter.feed(b"\n")[0]) == 10_000_000
    assert time.process_time() - began < 2, "copying what is held for each piece would take minutes"


def test_a_line_without_end_is_refused():
    splitter = LineSplitter(limit=10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        splitter.feed(b"x" * 11)


@pytest.fixture
def watch():
    """Begin a watch on a server with the given script."""
    closing = []

    def watch(script, *, tls=None, access=None, **kwargs):
        server = ScriptedServer(script, tls=tls)
        client = Client(access(server.url) if access else ApiAccess(server.url))
        closing[:0] = [client, server]
        return client.watch(PODS, **kwargs)

    yield watch
    for thing in closing:
        thing.close()


def pod(name):
    return {"metadata": {"name": name, "resourceVersion": "1"}}


def test_events_come_as_they_are_sent_in_any_chunks(watch):
    text = b"".join(json.dumps({"type": "ADDED", "object": pod(f"p{n}")}).encode() + b"\n" for n in range(5))

    def script(call):
        call.stream()
        for start in range(0, len(text), 7):
            call.chunk(text[start : start + 7])
        call.end()

    stream = watch(script, query={"resourceVersion": "5"})
    assert [(kind, item["metadata"]["name"]) for kind, item in stream] == [
        ("ADDED", f"p{n}") for n in range(5)
    ]
    assert stream.closed


def test_an_event_is_not_held_back_until_the_next(watch):
    seen = []

    def script(call):
        call.stream()
        for n in range(3):
            call.event("ADDED", pod(str(n)))
            eventually(lambda n=n: len(seen) == n + 1)
        call.end()

    for _, item in watch(script):
        seen.append(item["metadata"]["name"])
    assert seen == ["0", "1", "2"]


def test_a_server_without_chunks(watch):
    def script(call):
        call._head(200, {"Connection": "close"})
        call.sock.sendall(json.dumps({"type": "ADDED", "object": pod("a")}).encode() + b"\n\n")
        eventually(lambda: seen)

    seen = []
    for _, item in watch(script):
        seen.append(item["metadata"]["name"])
    assert seen == ["a"]


def test_a_finished_watch_gives_its_connection_back():
    def script(call):
        call.stream().end()

    with ScriptedServer(script) as server:
        client = Client(ApiAccess(server.url))
        for _ in range(3):
            assert list(client.watch(PODS)) == []
        assert server.connections == 1
        client.close()


@pytest.mark.parametrize("tls", [False, True])
def test_close_wakes_a_blocked_reader(watch, tmp_path, tls):
    def script(call):
        call.stream().event("ADDED", pod("a"))
        call.hold()

    arguments = {}
    if tls:
        authority = Authority()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*authority.server("127.0.0.1").write(tmp_path, "server"))
        arguments = {
            "tls": context,
            "access": lambda url: ApiAccess(url, tls=TlsSettings(ca_data=authority.pem)),
        }
    stream = watch(script, **arguments)
    seen = []
    reader = spawn(lambda: seen.extend(stream), name="reader")
    eventually(lambda: stream._bytes._reading)
    stream.close()
    reader.join(30)
    assert not reader.is_alive()
    stream.close()


def test_a_watch_closed_before_it_is_read(watch):
    stream = watch(lambda call: (call.stream(), call.hold()))
    stream.close()
    assert list(stream) == []


def test_leaving_the_loop_closes_the_watch(watch):
    def script(call):
        call.stream().event("ADDED", pod("a"))
        call.hold()

    stream = watch(script)
    events = iter(stream)
    next(events)
    events.close()
    assert stream.closed


def broken(stream, reason):
    with pytest.raises(ApiUnavailable) as caught:
        list(stream)
    assert caught.value.reason == reason
    assert stream.closed
    return str(caught.value)


@pytest.mark.parametrize("end", [b"", b'4\r\n{"ty', b"zz\r\n"])
def test_a_connection_that_breaks(watch, end):
    def script(call):
        call.stream().event("ADDED", pod("a"))
        call.sock.sendall(end)
        call.cut()

    broken(watch(script), NO_ANSWER)


def test_a_half_line_at_the_end_is_no_event(watch):
    def script(call):
        call.stream().chunk(b'{"type":"ADDED","obj')
        call.end()

    assert list(watch(script)) == []


def test_silence_for_too_long(watch):
    stream = watch(lambda call: (call.stream(), call.hold()), read_timeout=30.0)
    sock = stream._bytes._response.connection.sock
    assert sock.gettimeout() == 30.0
    sock.settimeout(0.1)  # only now: the answer's head may take its time
    assert "silent for too long" in broken(stream, NO_ANSWER)


@pytest.mark.parametrize(
    "line", [b"<html>", b"[1]", b'{"type":1,"object":{}}', b'{"type":"ADDED"}', b"\xff\xfe"]
)
def test_lines_that_are_no_events(watch, line):
    def script(call):
        call.stream().chunk(line + b"\n")
        call.hold()

    assert "no watch events" in broken(watch(script), NONSENSE)


def test_a_watch_that_is_refused(watch):
    with pytest.raises(ApiExpired):
        watch(lambda call: call.status(410, "Expired"))


def test_half_an_error_holds_no_stop_up(watch):
    signal, begun = StopSignal(), threading.Event()

    def script(call):
        call.sock.sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\n{")
        begun.set()
        call.hold()

    def stop():
        begun.wait(30)
        signal.set()

    stopper = spawn(stop, name="stopper")
    with pytest.raises(ApiUnavailable):
        watch(script, cancel=signal)
    stopper.join(30)
