from __future__ import annotations

import json
import sys
import threading

import pytest
from support.remote import (
    ALL,
    OUT,
    SPDY_HEADERS,
    TTY,
    WEBSOCKET_HEADERS,
    CommandProvider,
    Refused,
    kubelet,
)
from support.streams import read_all, running, transports
from support.waiting import eventually

from virtual_kubelet.errors import NotFound
from virtual_kubelet.kubelet.remote_streams import WebSocketStreams
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.web import server
from virtual_kubelet.web.websocket_connection import WebSocketConnection
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.remotecommand import CHANNELS, ERROR, Outcome, Streams
from virtual_kubelet.wire.websocket import Role

KINDS = ["spdy", "websocket"]
SPDY_PROTOCOLS = ["v4.channel.k8s.io", "v3.channel.k8s.io", "v2.channel.k8s.io", "channel.k8s.io"]
WEBSOCKET_PROTOCOLS = [
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
    "",
]
EVERY_PROTOCOL = [("spdy", name) for name in SPDY_PROTOCOLS] + [
    ("websocket", name) for name in WEBSOCKET_PROTOCOLS
]


def sh(script):
    return ["sh", "-c", script]


@pytest.fixture
def node():
    with kubelet() as running:
        yield running


@pytest.mark.parametrize(("kind", "protocol"), EVERY_PROTOCOL)
def test_output_and_exit_code(node, kind, protocol):
    with node.remote(kind, ALL, command=sh("echo out; echo err >&2; exit 7"), protocol=protocol) as session:
        out, err, outcome = session.result()
        assert (out, err) == (b"out\n", b"err\n")
        if session.version >= 4:
            assert outcome.exit_code == 7
        else:
            assert outcome == Outcome(None, "command terminated with non-zero exit code: exit status 7")
    assert node.provider.calls[-1][:5] == ("exec", "default", "web", "uid-1", "main")


@pytest.mark.parametrize(("kind", "protocol"), EVERY_PROTOCOL)
def test_success(node, kind, protocol):
    with node.remote(kind, OUT, command=["true"], protocol=protocol) as session:
        assert session.result() == (b"", b"", Outcome(0))
        if session.version >= 4:
            assert json.loads(session.status)["status"] == "Success"
        else:
            assert session.status == b""


@pytest.mark.parametrize("kind", KINDS)
def test_stdin_until_its_end(node, kind):
    data = bytes(range(256)) * 4096  # 1 MiB
    with node.remote(kind, ALL, command=["cat"]) as session:
        writer = spawn(lambda: (session.stdin.write(data), session.stdin.close_write()), name="writer")
        assert session.result() == (data, b"", Outcome(0))
        writer.join(30)


@pytest.mark.parametrize("kind", KINDS)
def test_the_command_may_end_before_its_input(node, kind):
    with node.remote(kind, ALL, command=sh("head -c 3; exit 3")) as session:
        session.stdin.write(b"abcdef")
        out, _, outcome = session.result()
        assert (out, outcome.exit_code) == (b"abc", 3)


@pytest.mark.parametrize("kind", KINDS)
def test_resizes(node, kind):
    node.provider.sizes.clear()
    with node.remote(kind, TTY, command=["cat"]) as session:
        session.resize.write(b'{"Width":101,"Height":33}\n')
        eventually(lambda: node.provider.sizes == [(101, 33)])
        session.resize.write(b'{"Width":80,')
        session.resize.write(b'"Height":24}')
        eventually(lambda: node.provider.sizes[-1] == (80, 24))
        session.resize.write(b"nonsense}")  # ends resizes, not the session
        session.resize.write(b'{"Width":1,"Height":1}')
        session.stdin.write(b"still here")
        assert session.stdout.read() == b"still here"
        assert node.provider.sizes[-1] == (80, 24)


def test_stderr_is_dropped_for_a_tty(node):
    asked = Streams(stdin=True, stdout=True, stderr=True, tty=True)
    with node.remote("spdy", asked, command=sh("echo out; echo err >&2")) as session:
        assert "stderr" not in session.streams
        assert session.result() == (b"out\n", b"", Outcome(0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_client_that_goes_ends_the_process(node, kind):
    with node.remote(kind, ALL, command=["sleep", "1000"]) as session:
        process = eventually(lambda: node.provider.processes and node.provider.processes[-1])
        session.connection.close()
        eventually(lambda: process.poll() is not None)


def test_a_client_that_resets_its_streams_has_gone(node):
    with node.remote("spdy", ALL, command=["sleep", "1001"]) as session:
        process = eventually(lambda: node.provider.processes and node.provider.processes[-1])
        for stream in list(session.streams.values()):
            stream.reset()
        eventually(lambda: process.poll() is not None)


def test_a_client_that_goes_while_the_command_does_not_read_its_input():
    with kubelet(buffer=1) as node, node.remote("spdy", ALL, command=["sleep", "1002"]) as session:
        session.stdin.write(bytes(140_000))  # more than pipe and buffer take; the kernel holds the rest
        process = eventually(lambda: node.provider.processes and node.provider.processes[-1])
        session.connection.close()
        eventually(lambda: process.poll() is not None)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_client_gets_everything(node, kind):
    size = 3_000_000
    with node.remote(kind, OUT, command=[sys.executable, "-c", f"print('x' * {size}, end='')"]) as session:
        first = session.stdout.read(1)
        threading.Event().wait(0.3)
        out, _, outcome = session.result()
        assert (len(first + out), outcome) == (size, Outcome(0))


class Failing(CommandProvider):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def exec_in_container(self, *args):
        raise self.error


@pytest.mark.fails_inside
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "text"),
    [
        (NotFound('container "main" is not running'), 'container "main" is not running'),
        (FileNotFoundError(2, "No such file or directory", "nope"), "No such file or directory: 'nope'"),
        (RuntimeError("password is hunter2"), "internal error, see the log of the node's agent"),
    ],
)
def test_failures_of_the_provider(kind, error, text, caplog):
    with kubelet(Failing(error)) as node, node.remote(kind, ALL, command=["x"]) as session:
        out, err, outcome = session.result()
        assert (out, err, outcome.exit_code) == (b"", b"", None)
        assert outcome.message.startswith("Internal error occurred: error executing command in container: ")
        assert outcome.message.endswith(text)
        assert json.loads(session.status)["reason"] == "InternalError"


def test_failures_as_text_for_old_clients():
    protocol = "v2.channel.k8s.io"
    with kubelet(Failing(NotFound("gone"))) as node:
        client = node.remote("spdy", ALL, command=["x"], protocol=protocol)
        with client as session:
            assert session.result()[2].message == "error executing command in container: gone"


def test_callbacks_do_not_run_for_a_session_that_has_ended_well():
    called = []

    class Registering(CommandProvider):
        def exec_in_container(self, namespace, pod, uid, container, command, io):
            io.on_close(lambda: called.append("closed"))
            self.io = io
            return 0

    with kubelet(Registering()) as node:
        with node.remote("spdy", ALL, command=["x"]) as session:
            assert session.result()[2] == Outcome(0)
        eventually(lambda: node.server.streams == 0)
        node.provider.io.on_close(lambda: called.append("late"))
        assert node.provider.io.closed
        assert called == []
        with pytest.raises(BrokenPipeError):
            node.provider.io.write_stdout(b"x")


# -- handshakes ---------------------------------------------------------------------------------------------


def refusal(node, path, headers, method="POST"):
    with pytest.raises(Refused) as caught:
        node.upgrade(path, headers, method)
    return caught.value


V4 = ("X-Stream-Protocol-Version", "v4.channel.k8s.io")
EXEC = "/exec/default/web/main?command=true&output=1"


@pytest.mark.parametrize(
    ("path", "headers", "method", "status", "text"),
    [
        ("/exec/default/web/main?command=x", [*SPDY_HEADERS, V4], "POST", 400, "at least 1 of stdin, stdout"),
        ("/exec/default/web/main?command=x&output=true", [*SPDY_HEADERS, V4], "POST", 400, "at least 1"),
        ("/exec/default/web/main?command=x&error=1&tty=1", [*SPDY_HEADERS, V4], "POST", 400, "at least 1"),
        ("/exec/default/web/main?output=1", [*SPDY_HEADERS, V4], "POST", 400, "specify a command"),
        ("/exec/default/web/main?command=a%00b&output=1", [*SPDY_HEADERS, V4], "POST", 400, "NUL"),
        ("/exec/default/no/main?command=x&output=1", [*SPDY_HEADERS, V4], "POST", 404, "does not exist"),
        ("/exec/other/web/main?command=x&output=1", [*SPDY_HEADERS, V4], "POST", 404, "does not exist"),
        ("/exec/default/web/uid-2/main?command=x&output=1", [*SPDY_HEADERS, V4], "POST", 404, "uid-2"),
        (
            "/exec/default/web/no?command=x&output=1",
            [*SPDY_HEADERS, V4],
            "POST",
            404,
            'container "no" not found',
        ),
        (EXEC, [], "POST", 400, "unable to upgrade"),
        (EXEC, [("Upgrade", "SPDY/3.1")], "POST", 400, "unable to upgrade"),
        (EXEC, [("Upgrade", "h2c"), ("Connection", "Upgrade")], "GET", 400, "unable to upgrade"),
        (EXEC, SPDY_HEADERS, "POST", 400, "no X-Stream-Protocol-Version"),
        (EXEC, [*SPDY_HEADERS, ("X-Stream-Protocol-Version", "v5.channel.k8s.io")], "POST", 403, "negotiate"),
        (EXEC, WEBSOCKET_HEADERS, "POST", 405, "GET"),
        (EXEC, [*WEBSOCKET_HEADERS[:3], ("Sec-WebSocket-Version", "8")], "GET", 400, "Version"),
        (EXEC, [*WEBSOCKET_HEADERS[:2], *WEBSOCKET_HEADERS[3:]], "GET", 400, "Key"),
        (
            EXEC,
            [*WEBSOCKET_HEADERS, ("Sec-WebSocket-Protocol", "v2.channel.k8s.io")],
            "GET",
            403,
            "negotiate",
        ),
        (EXEC, [*SPDY_HEADERS, V4], "DELETE", 405, "Method Not Allowed"),
    ],
)
def test_refusals(node, path, headers, method, status, text):
    answer = refusal(node, path, headers, method)
    assert (answer.status, text in answer.body) == (status, True), answer.body


def test_a_refusal_says_what_would_be_accepted(node):
    headers = [*SPDY_HEADERS, ("X-Stream-Protocol-Version", "v9.channel.k8s.io")]
    answer = refusal(node, EXEC, headers)
    assert answer.headers["x-accepted-stream-protocol-versions"] == SPDY_PROTOCOLS


@pytest.mark.parametrize("path", ["/exec/default/web/uid-1/main", "/exec/default/web/setup"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_paths_and_methods(node, path, method):
    transport, answer = node.upgrade(f"{path}?command=true&output=1", [*SPDY_HEADERS, V4], method)
    transport.close()
    assert answer["x-stream-protocol-version"] == ["v4.channel.k8s.io"]
    assert answer["upgrade"] == ["SPDY/3.1"]


def test_the_offer_of_an_api_server(node):
    offered = [f"v{n}.channel.k8s.io" for n in (5, 4, 3, 2)] + ["channel.k8s.io"]
    for protocol in (offered, [", ".join(offered)]):
        with node.remote("spdy", OUT, command=["true"], protocol=protocol) as session:
            assert session.protocol == "v4.channel.k8s.io"
            session.result()


def test_a_provider_that_cannot():
    with kubelet(object()) as node:
        for path in (EXEC, EXEC.replace("exec", "attach"), "/portForward/default/web"):
            answer = refusal(node, path, [*SPDY_HEADERS, V4])
            assert (answer.status, "the provider of this node cannot" in answer.body) == (501, True)


def test_streams_that_nobody_asked_for_are_refused(node):
    asked = Streams(stdin=True, stdout=True)
    with node.remote("spdy", asked, command=["cat"]) as session:
        for name in ("stdin", "stdout", "stderr", "nonsense", ""):
            with pytest.raises(BrokenPipeError, match="refused"):
                session.connection.open_stream([("streamtype", name)])
        session.stdin.close_write()
        assert session.result()[2] == Outcome(0)


def test_streams_that_do_not_come():
    with kubelet(creation_timeout=0.1) as node:
        headers = [*SPDY_HEADERS, V4]
        transport, _ = node.upgrade(EXEC, headers)
        assert transport.recv(100, 10) == b""
        transport.close()
        assert node.provider.calls == []


def test_arguments_arrive_as_bytes(node):
    with node.remote("spdy", OUT, command=["printf", "%s", "a b&c=d/é\n"]) as session:
        assert session.result()[0] == "a b&c=d/é\n".encode()


def test_an_idle_session_is_closed():
    with kubelet(idle_timeout=3.0) as node, node.remote("spdy", ALL, command=["sleep", "1003"]) as session:
        eventually(lambda: session.connection.closed)
        process = eventually(lambda: node.provider.processes[-1])
        eventually(lambda: process.poll() is not None)


@pytest.mark.parametrize("kind", ["spdy", "websocket"])
def test_a_stopping_server_ends_sessions_and_says_so(kind, monkeypatch):
    # A thread that still sends, or stands still before it lets the next one send, is waited for.
    monkeypatch.setattr(server, "FAREWELL", 10.0)
    monkeypatch.setattr(server, "FAREWELLS", 10.0)
    with kubelet() as node, node.remote(kind, ALL, command=["sleep", "1004"]) as session:
        process = eventually(lambda: node.provider.processes and node.provider.processes[-1])
        node.server.stop(Deadline(40))
        eventually(lambda: process.poll() is not None)
        eventually(lambda: session.connection.closed)
        outcome = session.result()[2]
        assert outcome.exit_code is None
        assert "the agent of this node is stopping" in outcome.message


def test_a_stop_just_as_the_status_is_sent_sends_no_other(monkeypatch):
    protocol = "v5.channel.k8s.io"
    with transports() as (near, far):
        session = WebSocketStreams(near, protocol, OUT, Streaming())
        client = WebSocketConnection(
            far, CHANNEL_PROTOCOLS[protocol], readable=[CHANNELS[ERROR]], role=Role.CLIENT, idle_timeout=60
        )
        duplex = session._connection.duplex
        send = duplex.send

        def stopped_meanwhile(queue):
            send(queue)
            session.abandon(b"stopping", 30)

        monkeypatch.setattr(duplex, "send", stopped_meanwhile)
        with running(session, client):
            session.finish(b"Success", 30)
            assert read_all(client.channel(CHANNELS[ERROR])) == b"Success"


def test_a_client_that_does_not_read_does_not_hold_a_stop_up():
    with kubelet() as node, node.remote("spdy", OUT, command=["cat", "/dev/zero"]) as session:
        session.stdout.read(1)
        eventually(lambda: session.connection._budget.used > 1 << 20)  # and now nobody reads
        node.server.stop(Deadline(20))
        eventually(lambda: node.provider.processes[-1].poll() is not None)
