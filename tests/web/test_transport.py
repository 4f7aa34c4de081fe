from __future__ import annotations

import hashlib
import os
import socket

import pytest
from support.waiting import eventually
from support.web import client_tls, server_tls

from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.web.transport import Transport


def handshaken(sock):
    transport = Transport(
        server_tls().context().wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    )
    while transport.handshake():
        transport.wait_readable(1)
    return transport


@pytest.fixture(params=["plain", "tls"])
def ends(request):
    """A transport, and its peer as an ordinary blocking socket."""
    listener = socket.create_server(("127.0.0.1", 0))
    peer = socket.create_connection(listener.getsockname(), timeout=10)
    accepted, _ = listener.accept()
    listener.close()
    if request.param == "plain":
        transport = Transport(accepted)
    else:
        made = []
        thread = spawn(lambda: made.append(handshaken(accepted)), name="handshake")
        peer = client_tls().wrap_socket(peer)
        thread.join()
        transport = made[0]
    yield transport, peer
    transport.close()
    peer.close()


def in_thread(function, *args):
    """Run in a thread; returns a callable that waits for the result."""
    results = []
    thread = spawn(lambda: results.append(function(*args)), name="test")

    def wait():
        thread.join(30)
        assert results, "did not return"
        return results[0]

    return wait


def test_bytes_go_both_ways(ends):
    transport, peer = ends
    peer.sendall(b"hello")
    assert transport.recv() == b"hello"
    transport.send(b"world")
    assert peer.recv(100) == b"world"
    assert not transport.closed


def test_recv_gives_what_is_there_and_keeps_the_rest(ends):
    transport, peer = ends
    peer.sendall(b"abcdef")
    assert transport.wait_readable(30)
    assert transport.recv(2) == b"ab"
    assert transport.wait_readable(0)
    assert transport.recv(100) == b"cdef"
    assert transport.recv_nowait() is None
    assert not transport.wait_readable(0)


def test_recv_waits_and_gives_up(ends):
    transport, peer = ends
    with pytest.raises(TimeoutError):
        transport.recv(timeout=0.01)
    got = in_thread(transport.recv)
    peer.sendall(b"late")
    assert got() == b"late"


def test_what_is_pushed_back_comes_first(ends):
    transport, peer = ends
    peer.sendall(b"world")
    transport.push_back(b"hello ")
    assert transport.recv(3) == b"hel"
    assert transport.recv() == b"lo "
    assert transport.recv() == b"world"


def test_the_peers_end(ends):
    transport, peer = ends
    got = in_thread(transport.recv)
    peer.close()
    assert got() == b""
    assert transport.recv() == b""
    assert transport.recv_nowait() == b""


def test_close_wakes_a_reader(ends):
    transport, _ = ends
    got = in_thread(transport.recv)
    transport.close()
    assert got() == b""
    assert transport.closed
    assert transport.recv() == b""
    eventually(lambda: transport.fileno() == -1)
    transport.close()


def test_close_wakes_a_writer(ends):
    transport, _ = ends

    def write():
        try:
            transport.send(b"x" * 50_000_000)
        except BrokenPipeError:
            return "broken"

    got = in_thread(write)
    transport.close()
    assert got() == "broken"
    with pytest.raises(BrokenPipeError):
        transport.send(b"x")
    eventually(lambda: transport.fileno() == -1)


def test_a_slow_peer_is_a_timeout(ends):
    transport, _ = ends
    with pytest.raises(TimeoutError):
        transport.send(b"x" * 50_000_000, timeout=0.02)


def test_a_peer_that_has_gone_breaks_the_pipe(ends):
    transport, peer = ends
    peer.close()

    def send_for_ever():
        while True:
            transport.send(b"x" * 10_000)

    with pytest.raises(BrokenPipeError):
        send_for_ever()


def test_reading_and_writing_at_once(ends):
    """50 threads' worth of trouble in one: both directions full, at the same time, byte for byte."""
    transport, peer = ends
    there, back = os.urandom(4_000_000), os.urandom(4_000_000)

    def read(recv, size):
        digest = hashlib.sha256()
        while size:
            data = recv(min(size, 70_000))
            assert data
            digest.update(data)
            size -= len(data)
        return digest.digest()

    # A blocking SSLSocket is the peer: it must not read and write at once either.
    received = in_thread(read, transport.recv, len(there))
    sent = in_thread(transport.send, back)
    for offset in range(0, len(there), 100_000):
        peer.sendall(there[offset : offset + 100_000])
        read(peer.recv, 100_000) if offset + 100_000 <= len(back) else None
    assert received() == hashlib.sha256(there).digest()
    sent()


def test_writers_do_not_mix(ends):
    transport, peer = ends
    waits = [in_thread(transport.send, bytes([n]) * 200_000) for n in range(4)]
    data = b""
    while len(data) < 800_000:
        data += peer.recv(65536)
    for wait in waits:
        wait()
    runs = [data[n * 200_000 : (n + 1) * 200_000] for n in range(4)]
    assert sorted(run[0] for run in runs) == [0, 1, 2, 3]
    assert all(run == bytes([run[0]]) * 200_000 for run in runs)


def test_read_ahead_keeps_bytes_and_notices_the_end(ends):
    transport, peer = ends
    assert transport.read_ahead()
    peer.sendall(b"next")
    assert transport.wait_readable(30)
    assert transport.read_ahead()
    assert transport.ahead == 4
    peer.close()
    eventually(lambda: not transport.read_ahead())
    assert transport.recv() == b"next"
    assert transport.recv() == b""


def test_read_ahead_is_bounded(ends):
    transport, peer = ends
    peer.sendall(b"x" * 1000)
    assert transport.wait_readable(30)
    eventually(lambda: transport.read_ahead(10) and transport.ahead == 10)


def test_finish_lets_the_peer_see_the_end_and_us_read_on(ends):
    transport, peer = ends
    transport.send(b"last words")
    transport.finish()
    assert peer.recv(100) == b"last words"
    assert peer.recv(100) == b""
    assert transport.discard()
    peer.close()
    eventually(lambda: not transport.discard())


def test_the_descriptor_is_open_as_long_as_somebody_holds_it(ends):
    transport, _ = ends
    assert transport.hold()
    transport.close()
    assert transport.fileno() != -1
    assert not transport.hold()
    transport.release()
    assert transport.fileno() == -1


def test_a_reset_is_an_end(ends):
    transport, peer = ends
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    got = in_thread(transport.recv)
    peer.close()
    assert got() == b""


@pytest.mark.parametrize("ends", ["tls"], indirect=True)
def test_nothing_goes_in_the_clear_once_a_tls_session_is_over(ends):
    transport, peer = ends
    peer.sendall(b"secret question")
    transport.finish()
    with pytest.raises(BrokenPipeError):
        transport.send(b"secret answer")
    with pytest.raises(BrokenPipeError):
        transport.handshake()
    assert transport.recv() == b""
    assert transport.peer_certificate() is None
