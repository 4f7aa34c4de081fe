from __future__ import annotations

import queue
import socket
import threading
import time

import pytest
from support.ports import held_port
from support.waiting import eventually
from support.web import (
    ask,
    client_tls,
    connected,
    echo,
    http_client,
    read_all,
    read_response,
    read_until,
    server_tls,
    serving,
)

from virtual_kubelet.errors import (
    ConfigError,
    NotFound,
    NotSupported,
    ProviderError,
    RequestError,
    Unauthorized,
)
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.messages import Response, Upgrade, text
from virtual_kubelet.web.server import Server


class Pieces:
    """A body whose pieces the test hands over one by one."""

    def __init__(self):
        self.queue = queue.Queue()
        self.closed = threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        piece = self.queue.get(timeout=30)
        if piece is None:
            raise StopIteration
        return piece

    def close(self):
        self.closed.set()
        self.queue.put(None)


@pytest.fixture(params=["plain", "tls"])
def scheme(request):
    if request.param == "plain":
        return {}, None
    return {"tls": server_tls()}, client_tls()


def test_requests_follow_each_other_on_one_connection(scheme):
    options, context = scheme
    with serving(echo, **options) as server, http_client(server.port, context) as client:
        for n in range(3):
            client.request("POST", f"/{n}", body=b"x" * n)
            response = client.getresponse()
            assert (response.status, response.read()) == (200, f"POST /{n} ".encode() + b"x" * n)
            assert response.headers["Date"].endswith("GMT")
        assert server.connections == 1


def test_a_chunked_request_body(scheme):
    options, context = scheme
    with serving(echo, **options) as server, http_client(server.port, context) as client:
        client.request("POST", "/", body=iter([b"ab", b"cd"]), encode_chunked=True)
        assert client.getresponse().read() == b"POST / abcd"


def test_a_connection_rests_and_comes_back(scheme):
    options, context = scheme
    limits = Limits(linger=0)
    with serving(echo, limits=limits, **options) as server, http_client(server.port, context) as client:
        for n in range(3):
            client.request("GET", f"/{n}")
            assert client.getresponse().read() == f"GET /{n} ".encode()
            # It rests on no thread.
            eventually(lambda: server._shared.workers._waiting == len(server._shared.workers))


def test_pipelined_requests_are_answered_in_order():
    with serving(echo) as server, connected(server.port) as sock:
        sock.sendall(
            b"".join(b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab" % n for n in range(20))
        )
        rest = b""
        for n in range(20):
            if not rest:
                rest = sock.recv(65536)
            while b"ab" not in rest:
                rest += sock.recv(65536)
            answer, _, rest = rest.partition(b"ab")
            assert answer.endswith(b"POST /%d " % n)


def test_expect_100_continue():
    with serving(echo) as server, connected(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 100 Continue\r\n")
        sock.sendall(b"hi")
        assert read_response(sock)[:2] == (200, b"POST / hi")


def test_a_refused_body_is_not_asked_for():
    with serving(lambda _: text(403, "no")) as server, connected(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        answer = read_all(sock)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"100 Continue" not in answer
        assert b"connection: close" in answer.lower()


@pytest.mark.parametrize(("size", "keeps"), [(10_000, True), (10_000_000, False)])
def test_an_unread_body_never_becomes_the_next_request(size, keeps):
    # Its time stands still: it has answered before the body comes, and would not wait for a slow client for ever.
    with serving(lambda _: text(200, "ok"), clock=SteppedClock()) as server, connected(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size)
        if keeps:
            sock.sendall(b"GET /smuggled HTTP/1.1\r\n\r\n".ljust(size))
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        status, body, _ = read_response(sock)
        assert (status, body) == (200, b"ok\n")
        if not keeps:
            assert read_all(sock) == b""


def test_a_body_that_is_too_long(scheme):
    options, context = scheme
    with serving(echo, limits=Limits(body=1000), clock=SteppedClock(), **options) as server:
        assert ask(server.port, "POST", "/", body=b"x" * 1000, context=context)[0] == 200
        assert ask(server.port, "POST", "/", body=b"x" * 1001, context=context)[0] == 413
        with http_client(server.port, context) as client:
            client.request("POST", "/", body=iter([b"x" * 400] * 10), encode_chunked=True)
            assert client.getresponse().status == 413


def test_a_handler_sets_its_own_bound():
    with serving(lambda request: Response(200, request.read(10)), clock=SteppedClock()) as server:
        assert ask(server.port, "POST", "/", body=b"x" * 11)[0] == 413


def test_a_body_passed_on_in_pieces():
    def handler(request):
        return Response(200, b"%d" % sum(len(piece) for piece in request.pieces()))

    with serving(handler, limits=Limits(body=10)) as server:
        assert ask(server.port, "POST", "/", body=b"x" * 5_000_000)[2] == b"5000000"


def test_a_body_that_stalls():
    with serving(echo, limits=Limits(stall_time=0.05)) as server, connected(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        assert read_all(sock).startswith(b"HTTP/1.1 408 ")


def test_a_body_that_breaks_off():
    with serving(echo) as server, connected(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")


def test_head_has_the_length_and_no_body():
    with serving(echo) as server, connected(server.port) as sock:
        sock.sendall(b"HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n")
        head = read_until(sock, b"\r\n\r\n")
        assert b"Content-Length: 8\r\n" in head
        rest = head.partition(b"\r\n\r\n")[2] or sock.recv(65536)
        assert rest.startswith(b"HTTP/1.1 200 ")


def test_http_1_0_gets_its_answer_and_the_end():
    with serving(lambda _: Response(200, iter([b"a", b"b"]))) as server, connected(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = read_all(sock)
        assert answer.endswith(b"\r\n\r\nab")
        assert b"chunked" not in answer.lower()


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body(status):
    with serving(lambda _: Response(status, b"ignored")) as server, http_client(server.port) as client:
        for _ in range(2):
            client.request("GET", "/")
            response = client.getresponse()
            assert (response.status, response.read()) == (status, b"")


@pytest.mark.fails_inside
@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (RequestError(418, "teapot", headers=(("X-A", "b"),)), 418, b"teapot\n"),
        (NotFound("no such log"), 404, b"no such log\n"),
        (NotSupported("not here"), 501, b"not here\n"),
        (ProviderError(), 500, b"ProviderError\n"),
        (Unauthorized("key expired"), 502, b"the backend refuses the provider's credentials: key expired\n"),
        (ValueError("a secret"), 500, b"Internal Server Error\n"),
    ],
)
def test_errors_become_answers(error, status, message):
    def handler(_):
        raise error

    with serving(handler) as server, http_client(server.port) as client:
        for _ in range(2):  # the connection lives on
            client.request("GET", "/path?token=hidden")
            response = client.getresponse()
            assert (response.status, response.read()) == (status, message)
            if status == 418:
                assert response.headers["X-A"] == "b"


@pytest.mark.fails_inside
def test_an_unexpected_error_is_logged_without_the_query(caplog):
    with serving(lambda _: 1 / 0) as server:
        ask(server.port, "GET", "/path?command=secret")
    assert "GET /path failed" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.fails_inside
@pytest.mark.parametrize("body", [b"x", iter([b"x"])])
def test_an_answer_that_is_no_http_is_a_500(body, caplog):
    with serving(lambda _: Response(200, body, headers=(("X", "a\r\nSet-Cookie: b"),))) as server:
        status, headers, _ = ask(server.port, "GET", "/")
    assert status == 500
    assert "Set-Cookie" not in headers
    assert "is no HTTP" in caplog.text


# ---------------------------------------------------------------------------------------------------------
# Answers in pieces


def test_each_piece_arrives_at_once(scheme):
    options, context = scheme
    pieces = Pieces()
    handler = lambda _: Response(200, pieces)  # noqa: E731
    with serving(handler, **options) as server, connected(server.port, context) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in read_until(sock, b"\r\n\r\n")
        for piece in (b"one", b"two"):
            pieces.queue.put(piece)
            read_until(sock, piece)
        assert server.streams == 1
        pieces.queue.put(None)
        read_until(sock, b"0\r\n\r\n")
        assert pieces.closed.wait(30)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(sock, b"\r\n\r\n")


def test_an_idle_body_is_closed_when_its_client_goes(scheme):
    options, context = scheme
    pieces = Pieces()
    with serving(lambda _: Response(200, pieces), **options) as server:
        with connected(server.port, context) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            read_until(sock, b"\r\n\r\n")
            assert not pieces.closed.is_set()
        assert pieces.closed.wait(30)
        eventually(lambda: server.connections == 0)


def test_a_request_that_comes_early_does_not_end_the_body_before_it(scheme):
    options, context = scheme
    pieces = Pieces()

    def handler(request):
        return Response(200, pieces) if request.path == "/watch" else text(200, "next")

    with serving(handler, **options) as server, connected(server.port, context) as sock:
        sock.sendall(b"GET /watch HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
        sock.sendall(b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n")
        pieces.queue.put(b"event")
        read_until(sock, b"event")
        assert not pieces.closed.is_set()
        pieces.queue.put(None)
        read_until(sock, b"next\n")


def test_a_generator_ends_when_its_client_has_gone():
    ended = threading.Event()

    def endless():
        try:
            while True:
                yield b"x" * 1000
        finally:
            ended.set()

    with serving(lambda _: Response(200, endless())) as server:
        with connected(server.port) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            sock.recv(10)
        assert ended.wait(30)


def test_a_body_that_fails_breaks_off_without_its_end(caplog):
    def body():
        yield b"part"
        raise NotFound("the log has gone")

    with serving(lambda _: Response(200, body())) as server, connected(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_all(sock)
        assert b"part" in answer
        assert not answer.endswith(b"0\r\n\r\n")
    assert "Traceback" not in caplog.text


def test_head_of_an_answer_in_pieces():
    pieces = Pieces()
    with serving(lambda _: Response(200, pieces)) as server, http_client(server.port) as client:
        for _ in range(2):
            client.request("HEAD", "/")
            assert client.getresponse().read() == b""
        assert pieces.closed.wait(30)


def test_too_many_streams():
    bodies = []

    def handler(request):
        if request.path == "/short":
            return text(200, "ok")
        bodies.append(Pieces())
        return Response(200, bodies[-1])

    with serving(handler, limits=Limits(streams=2, workers=1)) as server:
        with connected(server.port) as first, connected(server.port) as second:
            for sock in (first, second):
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                read_until(sock, b"\r\n\r\n")
            status, headers, _ = ask(server.port, "GET", "/")
            assert (status, headers["Retry-After"]) == (503, "1")
            assert bodies[2].closed.is_set()
            # Streams take no worker away.
            assert ask(server.port, "GET", "/short")[0] == 200
        eventually(lambda: server.streams == 0)
        with connected(server.port) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_until(sock, b"\r\n\r\n").startswith(b"HTTP/1.1 200")


# ---------------------------------------------------------------------------------------------------------
# Upgrades


def upgrading(run, **options):
    return lambda _: Upgrade("echo/1", run, **options)


UPGRADE = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"


def echo_bytes(transport):
    while data := transport.recv():
        transport.send(data.upper())


def test_an_upgraded_connection_is_the_handlers(scheme):
    options, context = scheme
    handler = upgrading(echo_bytes, headers=(("X-Stream-Protocol-Version", "v4"),))
    with serving(handler, **options) as server, connected(server.port, context) as sock:
        sock.sendall(UPGRADE + b"early")
        answer = read_until(sock, b"EARLY")
        assert answer.startswith(b"HTTP/1.1 101 Switching Protocols\r\n")
        for field in (b"Connection: Upgrade", b"Upgrade: echo/1", b"X-Stream-Protocol-Version: v4"):
            assert field + b"\r\n" in answer
        assert b"Date" not in answer
        sock.sendall(b"late")
        assert read_until(sock, b"LATE")
        assert server.streams == 1
        sock.shutdown(socket.SHUT_WR) if context is None else sock.close()
        eventually(lambda: server.connections == 0)


def test_an_upgrade_that_nobody_asked_for_is_400():
    with serving(upgrading(echo_bytes)) as server:
        status, _, body = ask(server.port, "GET", "/")
        assert status == 400
        assert b"echo/1" in body


def test_a_handler_may_decline_an_upgrade():
    with serving(lambda _: text(403, "no")) as server, connected(server.port) as sock:
        for _ in range(2):
            sock.sendall(UPGRADE)
            assert read_response(sock)[:2] == (403, b"no\n")


def test_a_post_with_an_empty_body_may_be_upgraded():
    with serving(upgrading(echo_bytes)) as server, connected(server.port) as sock:
        sock.sendall(UPGRADE.replace(b"GET", b"POST")[:-2] + b"Content-Length: 0\r\n\r\nhi")
        read_until(sock, b"HI")


@pytest.mark.fails_inside
def test_a_failing_upgrade_ends_its_connection_only(caplog):
    def fail(_):
        raise RuntimeError("oops")

    with serving(upgrading(fail)) as server:
        for _ in range(2):
            with connected(server.port) as sock:
                sock.sendall(UPGRADE)
                assert read_all(sock).startswith(b"HTTP/1.1 101")
    assert "oops" in caplog.text


# ---------------------------------------------------------------------------------------------------------
# Life


def test_it_says_where_it_listens():
    with serving(echo) as server:
        assert server.port > 0
        assert server.address == "127.0.0.1"


def test_all_addresses_are_ipv4_and_ipv6():
    server = Server(echo, name="test")
    server.start()
    try:
        assert ask(server.port, "GET", "/")[0] == 200
        if socket.has_dualstack_ipv6():
            with socket.create_connection(("::1", server.port), timeout=10) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                assert read_response(sock)[0] == 200
    finally:
        server.stop(Deadline(5))


def test_the_clients_address_is_known():
    seen = []
    server = Server(lambda request: seen.append(request.client) or text(200, "ok"), name="test")
    server.start()
    try:
        ask(server.port, "GET", "/")
    finally:
        server.stop(Deadline(5))
    assert seen[0][0] == "127.0.0.1"


@pytest.mark.parametrize("address", ["127.0.0.1", "192.0.2.1", "no address"])
def test_an_address_that_cannot_be_had(address):
    with serving(echo) as taken:
        server = Server(echo, address=address, port=taken.port)
        with pytest.raises(ConfigError, match=f"cannot listen on {address} port {taken.port}: .*choose"):
            server.start()
        server.stop(Deadline(1))


def test_nobody_listens_after_a_stop():
    with held_port() as port:
        server = Server(echo, address="127.0.0.1", port=port)
        server.start()
        assert ask(port, "GET", "/")[0] == 200
        server.stop(Deadline(30))
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=10)


def test_stop_before_start_and_twice():
    server = Server(echo, address="127.0.0.1")
    server.stop(Deadline(1))
    server.start()
    server.stop(Deadline(1))
    server.stop(Deadline(1))


def test_stop_lets_a_request_finish():
    begun, go = threading.Event(), threading.Event()

    def handler(_):
        begun.set()
        go.wait(30)
        return text(200, "done")

    with serving(handler, deadline=10) as server, connected(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(30)
        stopper = spawn(server.stop, Deadline(10), name="stopper")
        eventually(lambda: server._registry.closing)
        go.set()
        answer = read_all(sock)
        assert answer.endswith(b"done\n")
        assert b"Connection: close" in answer
        stopper.join()


def test_stop_cuts_a_request_that_takes_too_long(caplog):
    begun, go = threading.Event(), threading.Event()

    def handler(_):
        begun.set()
        go.wait(30)
        return text(200, "done")

    with serving(handler) as server, connected(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert begun.wait(30)
        server.stop(Deadline(0.1))
        assert read_all(sock) == b""
        assert "still at work" in caplog.text
        assert "test-worker-1" in caplog.text
        go.set()


def test_stop_cuts_endless_streams_at_once():
    watch, run_ended = Pieces(), threading.Event()

    def run(transport):
        assert transport.recv() == b""
        run_ended.set()

    def handler(request):
        return Upgrade("echo/1", run) if request.path == "/up" else Response(200, watch)

    with (
        serving(handler, deadline=60) as server,
        connected(server.port) as one,
        connected(server.port) as two,
    ):
        one.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        two.sendall(UPGRADE.replace(b"/ ", b"/up ", 1))
        for sock in (one, two):
            read_until(sock, b"\r\n\r\n")
        server.stop(Deadline(60))
        assert watch.closed.is_set()
        assert run_ended.is_set()
        assert not read_all(one).endswith(b"0\r\n\r\n")


def test_a_body_that_cannot_be_closed_keeps_nobody_else_open(caplog):
    stuck, good, release = Pieces(), Pieces(), threading.Event()
    closing = stuck.close

    def hang():
        release.wait(30)
        closing()

    stuck.close = hang

    def handler(request):
        return Response(200, stuck if request.path == "/stuck" else good)

    with serving(handler) as server, connected(server.port) as one, connected(server.port) as two:
        for sock, path in ((one, b"/stuck"), (two, b"/good")):
            sock.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n")
            read_until(sock, b"\r\n\r\n")
        begin = time.monotonic()
        server.stop(Deadline(5))
        assert time.monotonic() - begin < 25
        assert good.closed.is_set()
        for sock in (one, two):
            assert not read_all(sock).endswith(b"0\r\n\r\n")
        assert "threads that did not end in time" in caplog.text
        release.set()


def test_stop_waits_for_an_answer_in_pieces_that_has_an_end():
    pieces = Pieces()
    with serving(lambda _: Response(200, pieces, endless=False)) as server, connected(server.port) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(sock, b"\r\n\r\n")
        stopper = spawn(server.stop, Deadline(10), name="stopper")
        eventually(lambda: server._registry.closing)
        assert not pieces.closed.is_set()
        pieces.queue.put(b"the end")
        pieces.queue.put(None)
        assert read_all(sock).endswith(b"the end\r\n0\r\n\r\n")
        stopper.join()


def test_stop_closes_idle_connections_and_unfinished_ones():
    with (
        serving(echo) as server,
        connected(server.port) as idle,
        connected(server.port) as silent,
        connected(server.port) as half,
    ):
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_response(idle)
        half.sendall(b"GET / HTTP/1.1\r\n")
        eventually(lambda: server.connections == 3)
        server.stop(Deadline(10))
        for sock in (idle, silent, half):
            assert read_all(sock) == b""


def test_requests_are_counted_by_pattern():
    metrics, open_streams = Metrics(), []

    def pieces():
        open_streams.append(b'virtual_kubelet_streams{kind="a"} 1.0' in metrics.render())
        yield b"x"

    def handler(request):
        if request.path != "/nope":
            request.pattern = "/a/{b}"
        return Response(200, pieces()) if request.path == "/a/s" else text(200, "ok")

    with serving(handler, metrics=metrics) as server:
        for path in ("/a/1", "/a/2", "/a/s", "/nope"):
            ask(server.port, "GET", path)
        ask(server.port, "BREW", "/nope")
    assert open_streams == [True]
    assert b'virtual_kubelet_streams{kind="a"} 0.0' in metrics.render()
    lines = metrics.render().decode().splitlines()
    counts = {line for line in lines if line.startswith("kubelet_http_requests_total{")}
    form = 'kubelet_http_requests_total{{long_running="{}",method="{}",path="{}",server_type="test"}} {}'
    assert counts == {
        form.format("false", "GET", "a", "2.0"),
        form.format("true", "GET", "a", "1.0"),
        form.format("false", "other", "other", "2.0"),
    }
    assert any(line.startswith("kubelet_http_inflight_requests{") and line.endswith(" 0.0") for line in lines)


@pytest.mark.fails_inside
def test_a_body_cannot_be_read_once_the_answer_has_begun(caplog):
    with serving(lambda request: Response(200, request.pieces())) as server, connected(server.port) as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        assert not read_all(sock).endswith(b"0\r\n\r\n")
    assert "has to be read before its answer begins" in caplog.text
