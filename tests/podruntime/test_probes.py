"""Probes: their arithmetic, their timers, and what they ask over real sockets."""

from __future__ import annotations

import contextlib
import http.server
import socket
import ssl
import sys

import pytest
from h2 import events
from h2.config import H2Configuration
from h2.connection import H2Connection
from support.pod_world import World, container, make_pod
from support.waiting import eventually

from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.checks import CheckResult, Checks, port_number
from virtual_kubelet.podruntime.containers import slots
from virtual_kubelet.podruntime.driver import RUNNING, CommandResult, ContainerInfo
from virtual_kubelet.podruntime.loop import Loop
from virtual_kubelet.podruntime.prober import Prober, ProbeTarget
from virtual_kubelet.podruntime.probes import ProbeSpec, Streak, Wanted, wanted_probes
from virtual_kubelet.runtime.clock import SYSTEM
from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.web.self_signed import self_signed

INFO = ContainerInfo("c-0", "u", "default", "web", "c", 0, RUNNING, started_at=1.0)


def test_the_apis_defaults():
    spec = ProbeSpec.of({})
    assert (spec.initial_delay, spec.period, spec.timeout) == (0, 10, 1)
    assert (spec.success_threshold, spec.failure_threshold, spec.grace) == (1, 3, None)


@pytest.mark.parametrize(
    ("results", "success", "failure", "verdicts"),
    [
        ("-", 1, 1, "-"),
        ("---", 1, 3, "..-"),
        ("--+---", 1, 3, "..+++-"),
        ("++", 2, 1, ".+"),
        ("+-+-", 2, 2, "...."),
        ("++--", 2, 2, ".++-"),
    ],
)
def test_streaks(results, success, failure, verdicts):
    spec = ProbeSpec.of({"successThreshold": success, "failureThreshold": failure})
    streak, seen = Streak(None), ""
    for result in results:
        streak = streak.add(spec, ok=result == "+")
        seen += {None: ".", True: "+", False: "-"}[streak.verdict]
    assert seen == verdicts


def kinds(world):
    return [(item.name, item.kind) for item in wanted_probes(world.pod, world.record)]


def test_which_probes_run_when():
    probe = {"exec": {"command": ["x"]}}
    item = container(startupProbe=probe, livenessProbe=probe, readinessProbe=probe)
    world = World(make_pod(item))
    assert kinds(world) == []
    world.run()
    assert kinds(world) == [("c", "startup")]
    assert not world.status()["containerStatuses"][0]["started"]
    record = world.record.container("c")
    transitions.startup_succeeded(next(slots(world.pod)), record)
    assert kinds(world) == [("c", "liveness"), ("c", "readiness")]
    assert not record.ready
    world.delete(30)
    assert kinds(world) == [("c", "readiness")]
    world.exit(code=0)
    assert kinds(world) == []


def test_ports_by_name_and_number():
    item = container(ports=[{"name": "web", "containerPort": 8080}])
    assert port_number(item, "web") == 8080
    assert port_number(item, 80) == 80
    assert port_number(item, "81") == 81
    with pytest.raises(ValueError, match="find port"):
        port_number(item, "other")


# -- over real sockets


class Commands:
    """The part of a driver that probes use."""

    def __init__(self):
        self.result = CommandResult(0, "fine\n")

    def run(self, container_id, command, timeout, done):
        done(self.result)


@pytest.fixture
def loop():
    loop = Loop("test-loop")
    loop.start()
    yield loop
    loop.stop(Deadline(5))


@pytest.fixture
def check(loop):
    commands = Commands()
    checks = Checks(commands, loop)

    def run(handler, timeout=20.0, item=None):
        results = []
        checks.run("127.0.0.1", item or container(), INFO, handler, timeout, results.append)
        eventually(lambda: results)
        assert len(results) == 1
        return results[0]

    run.commands = commands
    return run


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/status/"):
            self.send_response(int(self.path[8:]))
        elif self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", "/status/200")
        elif self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
        elif self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://example.invalid/")
        else:
            self.server.seen = dict(self.headers)
            self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(b"x" * 100_000 if self.path == "/big" else b"body")

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(context=None):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = spawn(server.serve_forever, 0.01, name="test-server")
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def web():
    with serving() as server:
        yield server


def get(server, path="/", **fields):
    return {"httpGet": {"path": path, "port": server.server_address[1], **fields}}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", CheckResult(True, "body")),
        ("/status/399", CheckResult(True, "body")),
        ("/status/400", CheckResult(False, "HTTP probe failed with statuscode: 400")),
        ("/status/503", CheckResult(False, "HTTP probe failed with statuscode: 503")),
        ("/redirect", CheckResult(True, "body")),
        ("/away", CheckResult(True, "Probe terminated redirects, Response body: 302")),
    ],
)
def test_http(check, web, path, expected):
    assert check(get(web, path)) == expected


def test_a_redirect_without_end(check, web):
    assert not check(get(web, "/loop")).ok


def test_a_large_body_is_not_read_to_its_end(check, web):
    result = check(get(web, "/big"))
    assert result.ok
    assert len(result.message) == 10 * 1024


def test_headers(check, web):
    headers = [
        {"name": "X-Token", "value": "1"},
        {"name": "User-Agent", "value": "me"},
        {"name": "Host", "value": "h"},
    ]
    check(get(web, httpHeaders=headers))
    assert (web.seen["X-Token"], web.seen["User-Agent"], web.seen["Host"]) == ("1", "me", "h")
    check(get(web))
    assert web.seen["User-Agent"].startswith("kube-probe/")


def test_https_takes_any_certificate(check, tmp_path):
    pair = self_signed(["localhost"])
    (tmp_path / "cert").write_bytes(pair.certificate)
    (tmp_path / "key").write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    with serving(context) as server:
        assert check(get(server, scheme="HTTPS")) == CheckResult(True, "body")


def test_connections_that_fail(check):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        # Nobody listens there, and as long as it is held nobody can.
        result = check({"httpGet": {"path": "/x", "port": port}})
        assert result == CheckResult(
            False, f'Get "http://127.0.0.1:{port}/x": dial tcp 127.0.0.1:{port}: connect: connection refused'
        )
        assert not check({"tcpSocket": {"port": port}}).ok


def test_a_server_that_says_nothing(check):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        result = check({"httpGet": {"port": port}}, timeout=0.2)
        assert "context deadline exceeded" in result.message
        assert check({"tcpSocket": {"port": port}}).ok


def test_a_server_that_says_nonsense(check):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"nonsense\r\n\r\n")

        thread = spawn(answer, name="test-server")
        assert not check({"httpGet": {"port": listener.getsockname()[1]}}).ok
        thread.join()


@contextlib.contextmanager
def health_server(status, code="0"):
    """A gRPC server with the health service alone; `asked` has the names it was asked for."""
    asked = []

    def serve():
        connection, _ = listener.accept()
        with connection:
            http2 = H2Connection(H2Configuration(client_side=False))
            http2.initiate_connection()
            while data := connection.recv(65536):
                for event in http2.receive_data(data):
                    if isinstance(event, events.DataReceived):
                        asked.append(event.data[7:].decode())
                    if isinstance(event, events.StreamEnded):
                        http2.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
                        http2.send_data(1, b"\0\0\0\0\x02\x08" + bytes([status]))
                        http2.send_headers(
                            1, [("grpc-status", code), ("grpc-message", "why")], end_stream=True
                        )
                connection.sendall(http2.data_to_send())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = spawn(serve, name="test-server")
        yield {"grpc": {"port": listener.getsockname()[1], "service": "inventory"}}, asked
        thread.join()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (1, "0", CheckResult(True, "service healthy")),
        (2, "0", CheckResult(False, 'service unhealthy (responded with "NOT_SERVING")')),
        (
            1,
            "12",
            CheckResult(False, 'service unhealthy (responded with "UNIMPLEMENTED"): no health service'),
        ),
        (1, "5", CheckResult(False, "rpc error: code = 5 desc = why")),
    ],
)
def test_grpc(check, status, code, expected):
    with health_server(status, code) as (handler, asked):
        assert check(handler) == expected
        assert asked == ["inventory"]


def test_grpc_without_its_package_says_what_to_install(check, monkeypatch):
    monkeypatch.setitem(sys.modules, "h2.connection", None)
    assert "virtual-kubelet[grpc]" in check({"grpc": {"port": 1}}).message


def test_commands(check):
    assert check({"exec": {"command": ["x"]}}) == CheckResult(True, "fine")
    check.commands.result = CommandResult(1, "bad")
    assert check({"exec": {"command": ["x"]}}) == CheckResult(False, "bad")
    check.commands.result = CommandResult(137, timed_out=True)
    assert check({"exec": {"command": ["x", "y"]}}) == CheckResult(False, 'command "x y" timed out')
    check.commands.result = CommandResult(-1, error="no supervisor")
    assert check({"exec": {"command": ["x"]}}) == CheckResult(False, "no supervisor", known=False)


def test_what_cannot_be_asked(check):
    assert "no handler for telepathy" in check({"telepathy": {}}).message
    assert "find port" in check({"tcpSocket": {"port": "nowhere"}}).message


# -- timers


class Target:
    def __init__(self):
        self.verdicts = []
        self.failures = []
        self.target = ProbeTarget(
            host=lambda: "127.0.0.1",
            container=container,
            info=lambda name: INFO,
            verdict=lambda probe, ok: self.verdicts.append((probe.kind, ok)),
            failed=lambda probe, result: self.failures.append(result.message),
        )


def wanted(kind, **numbers):
    spec = ProbeSpec.of({"exec": {"command": ["x"]}, **numbers})
    return Wanted("c", "c-0", kind, spec, 1.0, None)


def test_a_prober_runs_what_it_is_told_and_nothing_else(loop):
    commands, target = Commands(), Target()
    prober = Prober(Checks(commands, loop), loop, SYSTEM)
    probe = wanted("readiness", periodSeconds=0.02, failureThreshold=2)
    prober.sync("u", [probe], target.target)
    eventually(lambda: target.verdicts == [("readiness", True)])
    commands.result = CommandResult(1, "bad")
    eventually(lambda: target.verdicts[1:] == [("readiness", False)])
    assert target.failures[:2] == ["bad", "bad"]
    prober.sync("u", [probe], target.target)
    assert prober.count() == 1
    prober.sync("u", [], target.target)
    assert prober.count() == 0
    commands.result = CommandResult(0)
    assert target.verdicts[2:] == []


def test_a_failed_liveness_probe_is_told_once(loop):
    commands, target = Commands(), Target()
    commands.result = CommandResult(1, "bad")
    prober = Prober(Checks(commands, loop), loop, SYSTEM)
    prober.sync("u", [wanted("liveness", periodSeconds=0.01, failureThreshold=2)], target.target)
    eventually(lambda: target.verdicts)
    prober.remove("u")
    assert (target.verdicts, len(target.failures)) == ([("liveness", False)], 2)


def test_what_could_not_be_asked_counts_neither_way(loop):
    commands, target = Commands(), Target()
    commands.result = CommandResult(-1, error="the connection broke")
    prober = Prober(Checks(commands, loop), loop, SYSTEM)
    prober.sync("u", [wanted("liveness", periodSeconds=0.01, failureThreshold=1)], target.target)
    eventually(lambda: len(target.failures) >= 2)
    assert target.verdicts == []
    commands.result = CommandResult(1, "bad")
    eventually(lambda: target.verdicts == [("liveness", False)])
