"""What clients of ill will, or broken ones, send: each gets its error, and the server goes on."""

from __future__ import annotations

import contextlib
import os
import random
import select
import socket
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.certificates import Authority
from support.waiting import eventually
from support.web import ask, client_tls, connected, echo, read_all, read_response, server_tls, serving

from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.messages import text
from virtual_kubelet.web.registry import Phase


@pytest.fixture(scope="module")
def patient():
    """A server whose time stands still: no client is too slow for it."""
    with serving(echo, clock=SteppedClock()) as server:
        yield server


@contextlib.contextmanager
def hurried():
    """A server without patience, and its clock."""
    clock = SteppedClock()
    with serving(echo, limits=Limits(setup_time=0.2, idle_time=0.2), clock=clock) as server:
        yield server, clock


def heads(server):
    """How much of a head each connection has sent so far."""
    return [connection._head_bytes for connection in list(server._registry._where)]


def read_in_time(sock, clock):
    """Everything until the server ends the connection, while time passes."""
    eventually(lambda: clock.advance(0.2) or select.select([sock], [], [], 0)[0])
    return read_all(sock)


@pytest.fixture
def nothing_left_behind():
    """The module's server lives on between these tests: replaces the guard of each test."""


GOOD = b"GET /good HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\r\n\r\n\r\nGARBAGE\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200) + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: b\x00c\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 5_000 + b"\r\n", 431),
        (b"x" * 30_000, 431),
    ],
)
def test_each_gets_its_error(patient, sent, status):
    with connected(patient.port) as sock:
        sock.sendall(sent)
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:100]
    assert b"connection: close" in answer.lower()
    assert ask(patient.port, "GET", "/good")[2] == b"GET /good "


def assert_too_late(answer):
    assert answer.startswith(b"HTTP/1.1 408 "), answer[:100]
    assert b"connection: close" in answer.lower()


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: x\r\n", b"G"])
def test_a_head_and_then_silence(sent):
    with hurried() as (server, clock):
        with connected(server.port) as sock:
            sock.sendall(sent)
            eventually(lambda: heads(server) == [len(sent)])
            assert_too_late(read_in_time(sock, clock))
        assert ask(server.port, "GET", "/good")[2] == b"GET /good "


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_a_body_and_then_silence(sent):
    with serving(echo, limits=Limits(stall_time=0.2)) as server:
        with connected(server.port) as sock:
            sock.sendall(sent)
            assert_too_late(read_all(sock))
        assert ask(server.port, "GET", "/good")[2] == b"GET /good "


def test_silence_is_answered_with_silence():
    with hurried() as (server, clock):
        with connected(server.port) as sock:
            assert read_in_time(sock, clock) == b""
        with connected(server.port) as sock:
            sock.sendall(GOOD)
            read_response(sock)
            assert read_in_time(sock, clock) == b""  # its time between requests is over


def test_a_head_that_comes_byte_by_byte_for_ever():
    """Slow loris: its time counts from the first byte, whatever follows."""
    with hurried() as (server, clock), connected(server.port) as sock:
        sock.sendall(b"G")
        eventually(lambda: heads(server) == [1])
        sock.settimeout(0.02)
        answer = b""
        for byte in b"ET / HTTP/1.1\r\nX: " + b"y" * 1000:
            clock.advance(0.02)
            try:
                sock.sendall(bytes([byte]))
                answer += sock.recv(1000)
            except TimeoutError:
                continue
            except OSError:
                break
            if answer:
                break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_request_in_single_bytes_is_a_request():
    with serving(echo) as server, connected(server.port) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n":
            sock.sendall(bytes([byte]))
        assert read_response(sock)[:2] == (200, b"POST /a hi")


def test_a_broken_request_behind_a_good_one(patient):
    with connected(patient.port) as sock:
        sock.sendall(GOOD + b"BAD\r\n\r\n")
        answer = read_all(sock)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"HTTP/1.1 400 " in answer


def test_the_answer_arrives_although_much_is_left_unread():
    """Closing a socket with unread bytes makes the kernel send a reset, which would overtake the answer."""
    # Its time stands still, or it would not wait for a client that is slow to send the rest.
    with serving(lambda _: text(403, "no"), clock=SteppedClock()) as server:
        for _ in range(10):
            with connected(server.port) as sock:
                sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n" + b"x" * 500_000)
                assert read_all(sock).startswith(b"HTTP/1.1 403 ")


def test_clients_that_vanish(patient):
    for sent in (b"", b"GET", GOOD, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"):
        for reset in (False, True):
            with connected(patient.port) as sock:
                sock.sendall(sent)
                if reset:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert ask(patient.port, "GET", "/good")[0] == 200
    eventually(lambda: patient.connections == 0)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_end_in_an_answer_or_an_end(patient, data, as_head):
    with connected(patient.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + data if as_head else data)
        sock.shutdown(socket.SHUT_WR)
        answer = read_all(sock)
    assert not answer or answer.startswith(b"HTTP/1.1 ")
    assert b" 500 " not in answer[:20]


def test_garbage_into_tls_sessions():
    with serving(echo, tls=server_tls()) as server:
        chance = random.Random(7)
        for _ in range(20):
            with connected(server.port) as sock:
                sock.sendall(chance.randbytes(chance.randrange(1, 2000)))
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)
        # A session that begins well and goes on with rubbish.
        with connected(server.port, client_tls()) as sock:
            raw = socket.socket(fileno=os.dup(sock.fileno()))
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            raw.close()
            read_all(sock)
        assert ask(server.port, "GET", "/", context=client_tls())[0] == 200
        eventually(lambda: server.connections == 0)


def test_known_clients_may_have_long_commands(tmp_path):
    authority = Authority()
    known, unknown = client_tls(authority.client("apiserver"), tmp_path), client_tls()
    path = "/exec?command=" + "x" * 900_000
    tls = server_tls(authority.pem)
    with serving(lambda r: text(200, str(len(r.target))), tls=tls, clock=SteppedClock()) as server:
        assert ask(server.port, "GET", path, context=known)[::2] == (200, f"{len(path)}\n".encode())
        assert ask(server.port, "GET", path, context=unknown)[0] == 431
        assert ask(server.port, "GET", path + "x" * 200_000, context=known)[0] == 431


def test_a_flood_of_silent_connections_does_not_keep_others_out():
    with serving(echo, limits=Limits(pending=20, connections=40)) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(100)]
        try:
            assert ask(server.port, "GET", "/")[0] == 200
            assert server.connections <= 21
            # The oldest went.
            silent[0].settimeout(10)
            assert silent[0].recv(1) == b""
        finally:
            for sock in silent:
                sock.close()


def test_the_longest_idle_makes_room_when_all_places_are_taken():
    with serving(echo, limits=Limits(connections=3)) as server:
        idle = [socket.create_connection(("127.0.0.1", server.port), timeout=10) for _ in range(3)]
        try:
            for n, sock in enumerate(idle):
                sock.sendall(GOOD)
                read_response(sock)
                eventually(lambda n=n: server._registry.count(Phase.IDLE) == n + 1)
            assert ask(server.port, "GET", "/")[0] == 200
            assert idle[0].recv(1) == b""
            idle[2].sendall(GOOD)
            assert read_response(idle[2])[0] == 200
        finally:
            for sock in idle:
                sock.close()
