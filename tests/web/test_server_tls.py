from __future__ import annotations

import datetime as dt
import socket
import ssl
import struct
import threading
import warnings

import pytest
from support.certificates import Authority
from support.waiting import eventually
from support.web import ask, client_tls, connected, http_client, read_response, server_tls, serving

from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.messages import Response, text
from virtual_kubelet.web.self_signed import self_signed
from virtual_kubelet.web.tls import Fixed, ServerTls

DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority():
    return Authority()


def who(request):
    certificate = request.peer_certificate
    return Response(200, b"%s %d" % (str(request.secure).encode(), len(certificate or b"")))


def test_a_client_certificate_reaches_the_handler(authority, tmp_path):
    issued = authority.client("somebody")
    seen = []

    def handler(request):
        seen.append(request.peer_certificate)
        return text(200, "ok")

    with serving(handler, tls=server_tls(authority.pem)) as server:
        ask(server.port, "GET", "/", context=client_tls(issued, tmp_path))
        ask(server.port, "GET", "/", context=client_tls())
    assert seen == [issued.der, None]


def test_without_client_cas_no_certificate_is_asked_for(authority, tmp_path):
    context = client_tls(authority.client("somebody"), tmp_path)
    with serving(who, tls=server_tls()) as server:
        assert ask(server.port, "GET", "/", context=context)[2] == b"True 0"


@pytest.mark.parametrize("wrong", ["other authority", "expired", "not yet", "for servers"])
def test_a_wrong_certificate_is_turned_away(authority, tmp_path, wrong):
    issued = {
        "other authority": lambda: Authority("test-ca").client("somebody"),
        "expired": lambda: authority.client("somebody", before=-3 * DAY, after=-DAY),
        "not yet": lambda: authority.client("somebody", before=DAY, after=3 * DAY),
        "for servers": lambda: authority.server("somebody"),
    }[wrong]()
    with serving(who, tls=server_tls(authority.pem)) as server:
        # TLS 1.3: the client believes the handshake done, and learns of it with its first read.
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(server.port, "GET", "/", context=client_tls(issued, tmp_path))
        assert ask(server.port, "GET", "/", context=client_tls())[0] == 200


@pytest.mark.parametrize(
    ("version", "works"),
    [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)],
)
def test_tls_versions(version, works):
    context = client_tls()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that 1.1 is old is the point
        context.minimum_version = context.maximum_version = version
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with serving(who, tls=server_tls()) as server:
        if works:
            assert ask(server.port, "GET", "/", context=context)[0] == 200
        else:
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(server.port, "GET", "/", context=context)


def test_a_silent_client_holds_nobody_up():
    one_of_each = Limits(intake=1, workers=1)
    with (
        serving(who, tls=server_tls(), limits=one_of_each) as server,
        connected(server.port),
        connected(server.port) as half,
    ):
        half.sendall(b"\x16\x03\x01")  # the beginning of a handshake
        eventually(lambda: server.connections == 2)
        assert ask(server.port, "GET", "/", context=client_tls())[0] == 200


def test_handshakes_that_take_too_long_end():
    with serving(who, tls=server_tls(), limits=Limits(setup_time=0.1)) as server:
        with connected(server.port) as silent, connected(server.port) as half:
            half.sendall(b"\x16\x03\x01")
            assert silent.recv(1) == b""
            assert half.recv(1) == b""
        eventually(lambda: server.connections == 0)


def test_http_to_a_tls_port_gets_an_explanation():
    with serving(who, tls=server_tls()) as server, connected(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"400 Bad Request" in sock.recv(1000)


def test_tls_to_a_plain_port_is_400():
    with serving(who) as server:
        with pytest.raises((ssl.SSLError, ConnectionError)), connected(server.port, client_tls()):
            pass
        assert ask(server.port, "GET", "/")[0] == 200


class Changing:
    """A certificate source, and client CAs, that a test changes."""

    def __init__(self, pair, ca):
        self.pair, self.ca = pair, ca

    def current(self):
        return self.pair

    def client_ca(self):
        return self.ca


class EachLook:
    """A clock that has moved on whenever it is asked, so that every look for changes is due."""

    def __init__(self):
        self._lock, self._time = threading.Lock(), 0.0

    def monotonic(self):
        with self._lock:
            self._time += 10
            return self._time


def serving_certificate(sock):
    return sock.getpeercert(binary_form=True)


def test_a_new_serving_certificate_serves_new_connections():
    source = Changing(self_signed(["one"]), None)
    tls = ServerTls(source, clock=EachLook())
    with serving(who, tls=tls) as server, connected(server.port, client_tls()) as old:
        before = serving_certificate(old)
        source.pair = self_signed(["two"])
        with connected(server.port, client_tls()) as new:
            assert serving_certificate(new) != before
        old.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert read_response(old)[0] == 200


def test_all_have_to_come_again_when_other_cas_are_trusted(authority, tmp_path):
    other = Authority("other")
    source = Changing(self_signed(["x"]), authority.pem)
    tls = ServerTls(source, source.client_ca, clock=EachLook())
    context = client_tls(authority.client("somebody"), tmp_path)
    # Within the linger: a connection that is laid aside when its CA is no longer trusted is closed there and then.
    with serving(who, tls=tls, limits=Limits(linger=30)) as server:
        with (
            http_client(server.port, context) as by_certificate,
            http_client(server.port, client_tls()) as other_way,
        ):
            for client in (by_certificate, other_way):
                client.request("GET", "/")
                response = client.getresponse()
                response.read()
                assert "Connection" not in response.headers
            source.ca = other.pem
            # Who showed none too: the certificate that it has may be one of the new CA's.
            for client in (by_certificate, other_way):
                client.request("GET", "/")
                response = client.getresponse()
                response.read()
                assert response.headers.get("Connection") == "close"
        with pytest.raises((ssl.SSLError, ConnectionError)):
            ask(server.port, "GET", "/", context=context)
        new = client_tls(other.client("somebody"), tmp_path)
        assert ask(server.port, "GET", "/", context=new)[0] == 200


def test_a_large_body_and_a_large_answer():
    """More than any buffer holds."""
    size = 30_000_000

    def handler(request):
        return Response(200, bytes(sum(len(piece) for piece in request.pieces())))

    with serving(handler, tls=server_tls()) as server:
        body = ask(server.port, "POST", "/", context=client_tls(), body=bytes(size))[2]
        assert len(body) == size


def test_fixed_pair_is_not_shown():
    assert "PRIVATE" not in repr(Fixed(self_signed(["x"])))


def test_our_own_certificate_can_be_pinned():
    pair = self_signed(["node-1", "127.0.0.1"])
    pinned = ssl.create_default_context(cadata=pair.certificate.decode())
    with serving(who, tls=ServerTls(Fixed(pair))) as server:
        assert ask(server.port, "GET", "/", context=pinned)[0] == 200


class Handover:
    """A source of contexts that calls `before(sock)` and `after()` while TLS is put on a socket, on its intake thread."""

    def __init__(self, *, before=lambda sock: None, after=lambda: None):
        self._tls = server_tls()
        self._before, self._after = before, after
        self.trust = self._tls.trust

    def context(self):
        return self

    def wrap_socket(self, sock, **options):
        self._before(sock)
        wrapped = self._tls.context().wrap_socket(sock, **options)
        self._after()
        return wrapped


class FirstWaits:
    """Keeps the first that comes waiting for the second."""

    def __init__(self):
        self.waiting, self._second = threading.Event(), threading.Event()

    def __call__(self):
        if self.waiting.is_set():
            self._second.set()
        else:
            self.waiting.set()
            assert self._second.wait(30)


@pytest.mark.parametrize("sent", [b"", b"hello"])
def test_a_client_that_resets_before_its_handshake_ends_nobody_else(sent, monkeypatch):
    tls, gone = server_tls(), threading.Event()
    context = tls.context()
    with serving(who, tls=tls) as server:
        monkeypatch.setattr(tls, "context", lambda: gone.wait(30) and context)
        with connected(server.port) as sock:
            sock.sendall(sent)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        eventually(lambda: [one for one in list(server._registry._where) if one._transport.hung_up()])
        gone.set()
        assert ask(server.port, "GET", "/", context=client_tls())[0] == 200
        eventually(lambda: server.connections == 0)


def test_a_descriptor_is_not_closed_while_it_is_handed_over():
    """Its number could be another connection's by then."""
    pause, intact = FirstWaits(), []

    def before(sock):
        pause()
        intact.append(sock.fileno() >= 0)

    with serving(who, tls=Handover(before=before), limits=Limits(pending=1)) as server:
        with connected(server.port, timeout=30) as pushed_out:
            assert pause.waiting.wait(30)
            with connected(server.port):
                assert pushed_out.recv(1) == b""
        assert ask(server.port, "GET", "/", context=client_tls())[0] == 200
    assert intact
    assert all(intact)


def test_a_hang_up_while_the_descriptor_is_handed_over_is_not_lost():
    pause = FirstWaits()
    with serving(who, tls=Handover(after=pause), limits=Limits(pending=1, setup_time=600)) as server:
        with connected(server.port, timeout=30) as pushed_out:
            assert pause.waiting.wait(30)
            with connected(server.port):
                assert pushed_out.recv(1) == b""
        assert ask(server.port, "GET", "/", context=client_tls())[0] == 200
