from __future__ import annotations

import logging
import socket
import ssl
import threading

import pytest
from support.certificates import Authority
from support.scripted_server import ScriptedServer, in_turn
from support.waiting import eventually
from urllib3.connection import HTTPConnection

from virtual_kubelet import errors
from virtual_kubelet.kube.client import JSON_PATCH, MERGE_PATCH, Client
from virtual_kubelet.kube.config import ApiAccess, TlsSettings
from virtual_kubelet.kube.credentials import Header
from virtual_kubelet.kube.failures import NO_ANSWER, NONSENSE, NOT_TRUSTED
from virtual_kubelet.kube.resources import NODES, PODS, SERVICE_ACCOUNTS
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline, StopSignal, join_all, spawn


@pytest.fixture
def serve():
    """Start a scripted server and a client of it; both are closed at the end."""
    closing = []

    def serve(script, *, path="", access=None, **kwargs):
        server = ScriptedServer(script)
        client = Client(access or ApiAccess(server.url + path), **kwargs)
        closing[:0] = [client, server]
        return server, client

    yield serve
    for thing in closing:
        thing.close()


def echo(call):
    call.json({"method": call.method, "path": call.path, "query": call.query})


def test_every_verb(serve):
    server, client = serve(lambda call: call.json({"metadata": {"name": "web"}}))
    client.get(PODS, "web", "ns", query={"resourceVersion": "0"})
    client.list(PODS, query={"fieldSelector": "spec.nodeName=vk,status.phase!=Failed"})
    client.create(PODS, {"a": "ä"}, "ns")
    client.create(SERVICE_ACCOUNTS, {}, "ns", name="default", subresource="token")
    client.update(NODES, "vk", {"b": 1}, subresource="status")
    client.patch(PODS, "web", {"c": 1}, "ns", subresource="status")
    client.patch(PODS, "web", {"c": 1}, "ns", content_type=MERGE_PATCH)
    client.delete(PODS, "web", "ns", options={"gracePeriodSeconds": 0})
    client.delete(PODS, "web", "ns")
    assert [(call.method, call.path) for call in server.calls] == [
        ("GET", "/api/v1/namespaces/ns/pods/web"),
        ("GET", "/api/v1/pods"),
        ("POST", "/api/v1/namespaces/ns/pods"),
        ("POST", "/api/v1/namespaces/ns/serviceaccounts/default/token"),
        ("PUT", "/api/v1/nodes/vk/status"),
        ("PATCH", "/api/v1/namespaces/ns/pods/web/status"),
        ("PATCH", "/api/v1/namespaces/ns/pods/web"),
        ("DELETE", "/api/v1/namespaces/ns/pods/web"),
        ("DELETE", "/api/v1/namespaces/ns/pods/web"),
    ]
    assert server.calls[0].query == {"resourceVersion": "0"}
    assert server.calls[1].query == {"fieldSelector": "spec.nodeName=vk,status.phase!=Failed"}
    assert server.calls[2].object == {"a": "ä"}
    assert server.calls[5].headers["content-type"] == "application/strategic-merge-patch+json"
    assert server.calls[6].headers["content-type"] == "application/merge-patch+json"
    assert server.calls[7].object == {"gracePeriodSeconds": 0}
    assert server.calls[8].body == b""
    assert server.connections == 1, "one connection, kept"


def test_headers(serve):
    server = ScriptedServer(echo)
    with server:
        _, client = serve(echo, access=ApiAccess(server.url, credentials=Header("Bearer abc")))
        client.list(PODS)
    headers = server.calls[0].headers
    assert headers["authorization"] == "Bearer abc"
    assert headers["user-agent"].startswith("virtual-kubelet/0.")
    assert headers["accept"] == "application/json"


def test_a_server_below_a_path(serve):
    server, client = serve(echo, path="/k8s/clusters/c-1")
    assert client.get_path("/version")["path"] == "/k8s/clusters/c-1/version"
    assert client.host == f"127.0.0.1:{server.port}"


def test_get_path_of_text(serve):
    _, client = serve(lambda call: call.raw(b"ok", headers={"Content-Type": "text/plain"}))
    assert client.get_path("/healthz") == "ok"


@pytest.mark.parametrize(
    ("code", "reason", "kind", "retryable"),
    [
        (400, "BadRequest", errors.ApiError, False),
        (401, "Unauthorized", errors.ApiUnauthorized, False),
        (403, "Forbidden", errors.ApiForbidden, False),
        (404, "NotFound", errors.ApiNotFound, False),
        (405, "MethodNotAllowed", errors.ApiError, False),
        (409, "Conflict", errors.ApiConflict, True),
        (409, "AlreadyExists", errors.ApiAlreadyExists, False),
        (410, "Expired", errors.ApiExpired, True),
        (422, "Invalid", errors.ApiInvalid, False),
        (429, "TooManyRequests", errors.ApiTooManyRequests, True),
        (500, "InternalError", errors.ApiUnavailable, True),
        (504, "Timeout", errors.ApiUnavailable, True),
    ],
)
def test_refusals_become_errors(serve, code, reason, kind, retryable):
    _, client = serve(lambda call: call.status(code, reason, "because", name="web", causes=[]))
    with pytest.raises(errors.ApiError) as caught:
        client.get(PODS, "web", "ns")
    assert type(caught.value) is kind
    assert caught.value.status == code
    assert caught.value.reason == reason
    assert str(caught.value) == "because"
    assert caught.value.details["name"] == "web"
    assert caught.value.retryable is retryable


def test_a_refusal_that_is_no_status(serve):
    _, client = serve(lambda call: call.raw(b"<html>\nBad\x00 Gateway " + b"x" * 5000, status=502))
    with pytest.raises(errors.ApiUnavailable) as caught:
        client.get(PODS, "web", "ns")
    assert str(caught.value).startswith("GET /api/v1/namespaces/ns/pods/web: 502 <html> Bad")
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"{", b"\xff"])
def test_an_answer_that_is_no_object(serve, body):
    _, client = serve(lambda call: call.raw(body))
    with pytest.raises(errors.ApiUnavailable) as caught:
        client.get(PODS, "web", "ns")
    assert caught.value.reason == NONSENSE


def test_redirects_are_not_followed(serve):
    server, client = serve(lambda call: call.raw(b"log in", 302, {"Location": "http://127.0.0.1:1/steal"}))
    with pytest.raises(errors.ApiError, match="302 log in"):
        client.get(PODS, "web", "ns")
    assert len(server.calls) == 1


# -- when nobody answers --------------------------------------------------------------------------------


def unreachable(client, **kwargs):
    with pytest.raises(errors.ApiUnavailable) as caught:
        client.list(PODS, **kwargs)
    assert caught.value.reason == NO_ANSWER
    return str(caught.value)


def test_nobody_listens():
    client = Client(ApiAccess("http://127.0.0.1:1"))
    assert unreachable(client) == "the API server 127.0.0.1:1 cannot be reached: Connection refused"
    client.close()


def test_a_name_that_nobody_knows():
    client = Client(ApiAccess("http://api.invalid:80"))
    assert "cannot be reached: its name cannot be resolved" in unreachable(client)
    client.close()


def test_no_answer_in_time(serve):
    _, client = serve(lambda call: call.hold())
    assert "no answer within the timeout" in unreachable(client, timeout=0.05)


def test_the_secrets_of_a_request_stay_out_of_its_error(serve):
    server = ScriptedServer(lambda call: call.cut())
    with server:
        _, client = serve(echo, access=ApiAccess(server.url, credentials=Header("Bearer s3cr3t")))
        with pytest.raises(errors.ApiUnavailable) as caught:
            client.create(PODS, {"password": "s3cr3t"}, "ns")
    assert "s3cr3t" not in repr(caught.value)


@pytest.mark.parametrize("verb", ["get", "patch", "delete", "update"])
def test_a_kept_connection_that_died_is_replaced(serve, verb):
    # The server answers once, then closes in the very moment in which the connection is used again.
    _, client = serve(in_turn(echo, lambda call: call.cut(), echo))
    client.list(PODS)
    arguments = {"patch": ({},), "update": ({},)}.get(verb, ())
    assert getattr(client, verb)(PODS, "web", *arguments, namespace="ns")


@pytest.mark.parametrize(
    "send",
    [
        lambda client: client.create(PODS, {}, "ns"),
        lambda client: client.patch(PODS, "web", [], "ns", content_type=JSON_PATCH),
    ],
)
def test_what_may_not_be_done_twice_is_not_sent_twice(serve, send):
    server, client = serve(in_turn(echo, lambda call: call.cut(), echo))
    client.list(PODS)
    with pytest.raises(errors.ApiUnavailable):
        send(client)
    assert len(server.calls) == 2


def test_a_server_that_cuts_every_connection_is_given_up(serve):
    server, client = serve(lambda call: call.cut())
    unreachable(client)
    assert len(server.calls) == 2


# -- Retry-After ----------------------------------------------------------------------------------------


def busy(seconds, code=429):
    return lambda call: call.status(code, "TooManyRequests", "slow down", {"Retry-After": str(seconds)})


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("verb", ["GET", "POST"])
def test_retry_after_is_waited_for(serve, code, verb):
    clock = SteppedClock()
    server, client = serve(in_turn(busy(2, code), busy(3, code), echo), clock=clock)
    answers = []
    send = {"GET": lambda: client.list(PODS), "POST": lambda: client.create(PODS, {}, "ns")}[verb]
    thread = spawn(lambda: answers.append(send()), name="asker")
    for seconds in (2, 3):
        clock.block_until(1)
        assert clock.next_deadline() == clock.monotonic() + seconds
        clock.advance(seconds)
    thread.join(30)
    assert answers[0]["method"] == verb
    assert len(server.calls) == 3


def test_a_wait_that_is_too_long_is_the_callers(serve):
    server, client = serve(busy(60))
    with pytest.raises(errors.ApiTooManyRequests) as caught:
        client.list(PODS)
    assert caught.value.retry_after == 60
    assert len(server.calls) == 1


def test_retries_are_bounded(serve):
    server, client = serve(busy(0))
    with pytest.raises(errors.ApiTooManyRequests):
        client.list(PODS)
    assert len(server.calls) == 4
    assert server.connections == 1


def test_stop_ends_the_wait(serve):
    clock = SteppedClock()
    stop = StopSignal(clock)
    _, client = serve(busy(5), clock=clock, stop=stop)
    failures = []

    def ask():
        with pytest.raises(errors.ApiTooManyRequests) as caught:
            client.list(PODS)
        failures.append(caught.value)

    thread = spawn(ask, name="asker")
    clock.block_until(1)
    stop.set()
    thread.join(30)
    assert failures


def test_a_429_without_a_time_is_not_repeated(serve):
    server, client = serve(lambda call: call.status(429, "TooManyRequests", retryAfterSeconds=7))
    with pytest.raises(errors.ApiTooManyRequests) as caught:
        client.list(PODS)
    assert caught.value.retry_after == 7
    assert len(server.calls) == 1


# -- credentials ----------------------------------------------------------------------------------------


class Rotating:
    def __init__(self):
        self.tokens = iter(["old", "new", "newer"])
        self.current = next(self.tokens)

    def authorization(self):
        return f"Bearer {self.current}"

    def certificate(self):
        return None

    def rejected(self):
        self.current = next(self.tokens)
        return True


def test_a_401_asks_for_new_credentials_once(serve):
    def script(call):
        if call.headers["authorization"] == "Bearer new":
            call.json({})
        else:
            call.status(401, "Unauthorized")

    server = ScriptedServer(script)
    with server:
        _, client = serve(echo, access=ApiAccess(server.url, credentials=Rotating()))
        assert client.list(PODS) == {}
        assert [call.headers["authorization"] for call in server.calls] == ["Bearer old", "Bearer new"]


def test_a_second_401_is_final(serve):
    server = ScriptedServer(lambda call: call.status(401, "Unauthorized"))
    with server:
        _, client = serve(echo, access=ApiAccess(server.url, credentials=Rotating()))
        with pytest.raises(errors.ApiUnauthorized):
            client.list(PODS)
        assert len(server.calls) == 2


# -- the rate limit -------------------------------------------------------------------------------------


def test_the_rate_limit_holds_back_and_exempts(serve):
    clock = SteppedClock()
    metrics = Metrics()
    server, client = serve(echo, clock=clock, qps=2, burst=3, metrics=metrics)
    for _ in range(3):
        client.list(PODS)
    thread = spawn(lambda: client.list(PODS), name="limited")
    clock.block_until(1)
    assert clock.next_deadline() == 0.5
    client.get(NODES, "vk", limited=False)
    assert len(server.calls) == 4
    clock.advance(0.5)
    thread.join(30)
    assert len(server.calls) == 5
    labels = {"verb": "GET", "host": client.host}
    waited = metrics.registry.get_sample_value("rest_client_rate_limiter_duration_seconds_sum", labels)
    assert waited == 0.5


@pytest.mark.parametrize("qps", [0, -1])
def test_no_rate_limit(serve, qps):
    server, client = serve(echo, clock=SteppedClock(), qps=qps, burst=1)
    for _ in range(200):
        client.list(PODS)
    assert len(server.calls) == 200


def test_stop_lets_those_through_who_wait_for_their_turn(serve):
    clock = SteppedClock()
    stop = StopSignal(clock)
    server, client = serve(echo, clock=clock, qps=0.001, burst=1, stop=stop)
    client.list(PODS)
    threads = [spawn(lambda: client.list(PODS), name="asker") for _ in range(3)]
    clock.block_until(3)
    assert len(server.calls) == 1
    stop.set()
    assert join_all(threads, Deadline(30)) == []
    assert len(server.calls) == 4


def test_requests_are_counted(serve):
    metrics = Metrics()
    _, client = serve(in_turn(echo, lambda call: call.status(404)), metrics=metrics)
    client.list(PODS)
    with pytest.raises(errors.ApiNotFound):
        client.get(PODS, "web", "ns")
    for code in ("200", "404"):
        labels = {"code": code, "method": "GET", "host": client.host}
        assert metrics.registry.get_sample_value("rest_client_requests_total", labels) == 1


# -- connections ----------------------------------------------------------------------------------------


def test_the_pool_keeps_as_many_connections_as_it_has_users(serve, caplog):
    inside = threading.Barrier(6)

    def script(call):
        inside.wait(30)
        call.json({})

    server, client = serve(script, pool_size=6)
    for _ in range(3):
        threads = [spawn(lambda: client.list(PODS), name="user") for _ in range(6)]
        assert join_all(threads, Deadline(30)) == []
    assert len({call.sock for call in server.calls}) == 6
    assert "pool is full" not in caplog.text


def test_without_tls_no_certificates_are_said_to_have_changed(serve, caplog):
    caplog.set_level(logging.INFO)
    _, client = serve(echo)
    pool = client._transport._pool
    client.list(PODS)
    assert client._transport._pool is pool
    assert "certificates" not in caplog.text


def test_sockets_are_told_to_notice_a_dead_peer_and_not_to_wait(serve):
    _, client = serve(echo)
    client.list(PODS)
    (connection,) = client._transport._live
    sock = connection.sock
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30


def test_close_ends_requests_under_way(serve):
    _, client = serve(lambda call: call.hold())
    failures = []

    def ask():
        with pytest.raises(errors.ApiUnavailable) as caught:
            client.create(PODS, {}, "ns", timeout=600)
        failures.append(caught.value)

    thread = spawn(ask, name="asker")
    eventually(lambda: client._transport._live)
    client.close()
    thread.join(30)
    assert len(failures) == 1


def test_a_connection_that_is_made_while_its_client_closes_is_of_no_use(serve, monkeypatch):
    _, client = serve(lambda call: call.hold())
    connect = HTTPConnection.connect

    def closed_meanwhile(self):
        connect(self)
        client.close()

    monkeypatch.setattr(HTTPConnection, "connect", closed_meanwhile)
    assert "timeout" not in unreachable(client, timeout=20)


def test_cancel_ends_one_request_and_no_other(serve):
    release = threading.Event()
    entered = threading.Semaphore(0)

    def script(call):
        entered.release()
        call.hold(release)
        call.json({"path": call.path})

    _, client = serve(script)
    stop = StopSignal()
    failures, answers = [], []

    def cancelled():
        with pytest.raises(errors.ApiUnavailable) as caught:
            client.list(PODS, timeout=600, cancel=stop)
        failures.append(caught.value)

    threads = [
        spawn(cancelled, name="cancelled"),
        spawn(lambda: answers.append(client.list(NODES)), name="other"),
    ]
    entered.acquire(timeout=30)
    entered.acquire(timeout=30)
    eventually(lambda: stop._callbacks)
    stop.set()
    threads[0].join(30)
    assert failures
    release.set()
    assert join_all(threads, Deadline(30)) == []
    assert answers == [{"path": "/api/v1/nodes"}]


def test_a_request_after_its_cancel_does_not_wait(serve):
    _, client = serve(lambda call: call.hold())
    stop = StopSignal()
    stop.set()
    with pytest.raises(errors.ApiUnavailable):
        client.list(PODS, timeout=600, cancel=stop)


# -- TLS ------------------------------------------------------------------------------------------------


@pytest.fixture
def authority():
    return Authority()


@pytest.fixture
def tls_server(authority, tmp_path):
    """A TLS server that answers with the subject of its client's certificate."""

    def script(call):
        certificate = call.sock.getpeercert()
        call.json({"subject": str(certificate.get("subject")) if certificate else None})

    def context(issued):
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # the test's CA is as plain as they come
        context.load_cert_chain(*issued.write(tmp_path, "server"))
        return context

    with ScriptedServer(script, tls=context(authority.server("127.0.0.1"))) as server:
        server.context = context
        yield server


@pytest.fixture
def tls_client(tls_server):
    clients = []

    def connect(tls, **kwargs):
        client = Client(ApiAccess(tls_server.url, tls=tls), **kwargs)
        clients.append(client)
        return client

    yield connect
    for client in clients:
        client.close()


def test_tls_with_a_client_certificate(tls_client, authority):
    issued = authority.client("system:node:vk")
    tls = TlsSettings(ca_data=authority.pem, cert_data=issued.certificate, key_data=issued.key)
    assert "system:node:vk" in tls_client(tls).list(PODS)["subject"]


def test_a_server_that_is_not_trusted(tls_client):
    with pytest.raises(errors.ApiUnavailable, match="is not trusted") as caught:
        tls_client(TlsSettings(ca_data=Authority("another").pem)).list(PODS)
    assert caught.value.reason == NOT_TRUSTED


def test_a_server_with_another_name(tls_server, authority, tmp_path):
    tls_server._tls = tls_server.context(authority.server("kubernetes"))
    client = Client(ApiAccess(tls_server.url, tls=TlsSettings(ca_data=authority.pem)))
    with pytest.raises(errors.ApiUnavailable, match="not trusted.*127.0.0.1"):
        client.list(PODS)
    client.close()
    named = Client(
        ApiAccess(tls_server.url, tls=TlsSettings(ca_data=authority.pem, server_name="kubernetes"))
    )
    assert named.list(PODS)
    named.close()


def test_insecure_asks_no_questions_and_raises_no_warnings(tls_client):
    assert tls_client(TlsSettings(insecure=True)).list(PODS) == {"subject": None}


def test_a_rotated_client_certificate_is_used_without_a_restart(tls_client, authority, tmp_path, caplog):
    clock = SteppedClock()
    caplog.set_level(logging.INFO)
    cert, key = authority.client("first").write(tmp_path, "client")
    client = tls_client(TlsSettings(ca_data=authority.pem, cert_file=cert, key_file=key), clock=clock)
    assert "first" in client.list(PODS)["subject"]
    issued = authority.client("second-one")
    (tmp_path / "client.crt").write_bytes(issued.certificate)
    clock.advance(11)
    assert "first" in client.list(PODS)["subject"], "half written: the key does not match yet"
    assert "cannot be used yet" in caplog.text
    (tmp_path / "client.key").write_bytes(issued.key)
    clock.advance(11)
    assert "second-one" in client.list(PODS)["subject"]
    assert "have changed" in caplog.text


def test_through_a_proxy(tls_server, authority):
    targets = []

    def proxy(call):
        targets.append((call.method, call.target))
        with socket.create_connection(("127.0.0.1", tls_server.port)) as upstream:
            call.raw(b"", headers={"Content-Length": "0"})
            back = spawn(pump, upstream, call.sock, name="proxy-back")
            pump(call.sock, upstream)
            back.join(30)

    with ScriptedServer(proxy) as server:
        access = ApiAccess(tls_server.url, tls=TlsSettings(ca_data=authority.pem), proxy=server.url)
        client = Client(access)
        assert client.list(PODS) == {"subject": None}
        client.close()
    assert targets == [("CONNECT", f"127.0.0.1:{tls_server.port}")]


def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def test_a_proxy_that_is_away():
    client = Client(
        ApiAccess("https://10.0.0.1:6443", tls=TlsSettings(insecure=True), proxy="http://127.0.0.1:1")
    )
    assert "through the proxy: Connection refused" in unreachable(client)
    client.close()
