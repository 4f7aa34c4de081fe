"""TLS to an engine: a direction may end while the other goes on."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import ssl
import struct
import termios
import threading

import pytest
from support.certificates import Authority
from support.waiting import eventually

from virtual_kubelet.providers.engine.endpoint import TlsFiles, parse
from virtual_kubelet.runtime.threads import spawn


@pytest.fixture
def authority(tmp_path):
    found = Authority()
    (tmp_path / "ca.pem").write_bytes(found.pem)
    return found


@pytest.fixture
def listener(authority, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.server("127.0.0.1").write(tmp_path, "server"))
    with socket.create_server(("127.0.0.1", 0)) as found, context.wrap_socket(found, server_side=True) as tls:
        yield tls


@pytest.fixture
def endpoint(listener, tmp_path):
    return parse(f"tcp://127.0.0.1:{listener.getsockname()[1]}", TlsFiles(ca=str(tmp_path / "ca.pem")))


def serve(listener, function):
    def run():
        peer, _ = listener.accept()
        with peer:
            function(peer)

    return spawn(run, name="engine")


def until_the_end(sock):
    return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize("size", [1, 3_000_000])
def test_the_end_of_what_is_sent_leaves_the_other_direction(listener, endpoint, size):
    thread = serve(listener, lambda peer: peer.sendall(until_the_end(peer)[::-1]))
    with endpoint.connect(10) as sock:
        sender = spawn(_send_all, sock, b"a" * size + b"z", name="sender")
        assert until_the_end(sock) == b"z" + b"a" * size
        sender.join(30)
    thread.join(30)


def _send_all(sock, data):
    sock.sendall(data)
    sock.shutdown(socket.SHUT_WR)


def test_what_comes_with_the_handshake_is_not_lost(listener, endpoint):
    thread = serve(listener, lambda peer: peer.sendall(b"first"))
    with endpoint.connect(10) as sock:
        assert until_the_end(sock) == b"first"
    thread.join(30)


def test_closing_ends_the_engines_side(listener, endpoint):
    seen = []

    def read(peer):
        with contextlib.suppress(ConnectionResetError):  # where its session tickets come to a closed socket
            seen.append(until_the_end(peer))

    thread = serve(listener, read)
    endpoint.connect(10).close()
    thread.join(30)
    assert not thread.is_alive()
    assert seen in ([], [b""])


SIZE = 300_000  # more than a socket holds, less than it and the pipe together
STEPS = 50  # of the pipe, each with a piece of output: many more than it needs to have all of it


@pytest.mark.parametrize("goodbye", [False, True])
def test_output_waits_for_its_reader_when_the_engine_takes_no_more_input(listener, endpoint, goodbye):
    taken = threading.Semaphore(0)

    def engine(peer):
        peer.sendall(b"o" * SIZE)
        for _ in range(STEPS):
            peer.recv(1)
            taken.release()
        if goodbye:
            peer.settimeout(0)
            with contextlib.suppress(OSError):  # it would like to wait for the answer
                peer.unwrap()

    thread = serve(listener, engine)
    with endpoint.connect(10) as sock:
        for _ in range(STEPS):
            sock.sendall(b"i")
            assert taken.acquire(timeout=30)
        thread.join(30)
        for _ in range(3):  # the first is answered with a reset, and from then on the kernel refuses them
            with contextlib.suppress(OSError):
                sock.sendall(b"input")
            eventually(lambda: not _waiting(sock))
        assert len(until_the_end(sock)) == SIZE


def _waiting(sock):
    """Return how much of what was sent has not been read."""
    return struct.unpack("i", fcntl.ioctl(sock, termios.TIOCOUTQ, bytes(4)))[0]


def test_whom_nobody_vouches_for_is_refused(listener, endpoint):
    thread = spawn(_accept_failing, listener, name="engine")
    with pytest.raises(ssl.SSLCertVerificationError):
        parse(f"tcp://127.0.0.1:{endpoint.port}", TlsFiles()).connect(10)
    thread.join(30)


def _accept_failing(listener):
    with pytest.raises(OSError):
        listener.accept()
