"""A kubelet's streaming routes over a provider that runs real commands, and clients that speak to it."""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import subprocess
import threading
from urllib.parse import urlencode

from support.streams import read_all
from support.web import client_tls, read_until, server_tls, serving

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.kubelet import attach, portforward
from virtual_kubelet.kubelet import exec as exec_
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.routing import Router
from virtual_kubelet.web.spdy_connection import SpdyConnection
from virtual_kubelet.web.transport import Transport
from virtual_kubelet.web.websocket_connection import WebSocketConnection
from virtual_kubelet.web.websocket_tunnel import WebSocketTunnel
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.remotecommand import CHANNELS, SPDY_VERSIONS, Outcome, Streams
from virtual_kubelet.wire.spdy_session import Role as SpdyRole
from virtual_kubelet.wire.websocket import Role

POD = {
    "metadata": {"namespace": "default", "name": "web", "uid": "uid-1"},
    "spec": {"containers": [{"name": "main"}], "initContainers": [{"name": "setup"}]},
}
WEBSOCKET_HEADERS = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", base64.b64encode(bytes(16)).decode()),
    ("Sec-WebSocket-Version", "13"),
]
SPDY_HEADERS = [("Upgrade", "SPDY/3.1"), ("Connection", "Upgrade")]


class Pods:
    def list(self):
        return [POD]

    def get(self, key):
        return POD if key == "default/web" else None


class CommandProvider:
    """Runs commands as processes, connects ports on loopback, attaches to an echo. Remembers its calls."""

    def __init__(self):
        self.calls = []
        self.sizes = []
        self.processes = []
        self.ended = threading.Semaphore(0)  # released for each call that has returned
        self.attach = None  # what attach does with its io, instead of an echo

    def exec_in_container(self, namespace, pod, uid, container, command, io):
        self.calls.append(("exec", namespace, pod, uid, container, command))
        try:
            return self._run(command, io)
        finally:
            self.ended.release()

    def _run(self, command, io):
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self.processes.append(process)
        io.on_close(process.kill)
        pumps = [
            spawn(_feed, io, process.stdin, name="pump stdin"),
            spawn(_pump, process.stderr, io.write_stderr, name="pump stderr"),
            spawn(self._resize, io, name="resizes"),
        ]
        process.stdin = None  # the pump closes it: a number that is free may be another's before it writes
        with process:
            _pump(process.stdout, io.write_stdout)
            pumps[1].join()
            code = process.wait()
        self.pumps = [pumps[0], pumps[2]]  # they end with the session
        return code

    def _resize(self, io):
        for size in io.resizes():
            self.sizes.append((size.width, size.height))

    def attach_to_container(self, namespace, pod, uid, container, io):
        self.calls.append(("attach", namespace, pod, uid, container))
        try:
            if self.attach is not None:
                self.attach(io)
            else:
                while data := io.read_stdin():
                    io.write_stdout(data)
        finally:
            self.ended.release()

    def port_forward(self, namespace, pod, uid, port, stream):
        self.calls.append(("forward", namespace, pod, uid, port))
        try:
            target = socket.create_connection(("127.0.0.1", port), timeout=5)
        except OSError as error:
            raise Unavailable(f"cannot connect to port {port}: {error.strerror}") from error
        with target:
            target.settimeout(None)
            stream.on_close(lambda: _shut(target))
            uplink = spawn(_upload, stream, target, name="uplink")
            while data := target.recv(65536):
                stream.write(data)
            stream.close_write()
            uplink.join()


def _feed(io, pipe):
    try:
        while data := io.read_stdin():
            view = memoryview(data)
            while view:
                view = view[os.write(pipe.fileno(), view) :]
    except (OSError, ValueError):
        pass  # the process has ended
    with contextlib.suppress(OSError):
        pipe.close()


def _pump(pipe, write):
    try:
        while data := os.read(pipe.fileno(), 65536):
            write(data)
    except OSError:
        pass


def _upload(stream, target):
    try:
        while data := stream.read():
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def _shut(sock):
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def kubelet(provider=None, *, tls=True, **streaming):
    """A server with the streaming routes; yields a `Kubelet`."""
    provider = CommandProvider() if provider is None else provider
    router = Router()
    limits = Streaming(**{"creation_timeout": 10, "quiet": 5, **streaming})
    for module in (exec_, attach, portforward):
        module.add_routes(router, Pods(), provider, limits)
    with serving(router, tls=server_tls() if tls else None) as server:
        yield Kubelet(server, provider, tls=tls)


class Refused(Exception):
    def __init__(self, status, headers, body):
        super().__init__(f"{status} {body}")
        self.status, self.headers, self.body = status, headers, body


class Kubelet:
    def __init__(self, server, provider, *, tls):
        self.server = server
        self.provider = provider
        self.context = client_tls() if tls else None

    def connect(self):
        sock = socket.create_connection(("127.0.0.1", self.server.port), timeout=10)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock if self.context is None else self.context.wrap_socket(sock)

    def upgrade(self, path, headers, method="POST"):
        """Return a transport and the answer's headers; `Refused` when it is not 101."""
        sock = self.connect()
        lines = [f"{method} {path} HTTP/1.1", "Host: node"] + [f"{name}: {value}" for name, value in headers]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        data = read_until(sock, b"\r\n\r\n")
        head, _, rest = data.partition(b"\r\n\r\n")
        status_line, *fields = head.decode().split("\r\n")
        pairs = [tuple(part.strip() for part in field.split(":", 1)) for field in fields]
        answer = {}
        for name, value in pairs:
            answer.setdefault(name.lower(), []).append(value)
        status = int(status_line.split()[1])
        if status != 101:
            length = int(answer["content-length"][0])
            while len(rest) < length:
                rest += sock.recv(65536)
            sock.close()
            raise Refused(status, answer, rest.decode())
        return Transport(sock, received=rest), answer

    @contextlib.contextmanager
    def remote(self, kind, asked, *, command=(), route="exec", container="main", protocol=None):
        """An exec or attach session of a client; `kind`: spdy or websocket."""
        query = [("command", part) for part in command]
        query += [("input", "1")] * asked.stdin + [("output", "1")] * asked.stdout
        query += [("error", "1")] * asked.stderr + [("tty", "1")] * asked.tty
        path = f"/{route}/default/web/{container}?{urlencode(query)}"
        if kind == "spdy":
            session = SpdyClient(self, path, asked, protocol or "v4.channel.k8s.io")
        else:
            session = WebSocketClient(
                self, path, asked, "v5.channel.k8s.io" if protocol is None else protocol
            )
        reader = spawn(session.connection.run, name="client reader")
        try:
            session.begin()
            yield session
        finally:
            session.connection.close()
            assert join_all([reader], Deadline(30)) == []

    @contextlib.contextmanager
    def forward(self, kind="spdy"):
        """A port-forward session of a client, over SPDY or the SPDY tunnel."""
        path = "/portForward/default/web"
        if kind == "spdy":
            headers = [*SPDY_HEADERS, ("X-Stream-Protocol-Version", "portforward.k8s.io")]
            transport, _ = self.upgrade(path, headers)
        else:
            headers = [*WEBSOCKET_HEADERS, ("Sec-WebSocket-Protocol", "SPDY/3.1+portforward.k8s.io")]
            carrier, _ = self.upgrade(path, headers, "GET")
            transport = WebSocketTunnel(carrier, role=Role.CLIENT)
        connection = SpdyConnection(
            transport, role=SpdyRole.CLIENT, on_stream=lambda stream: stream.refuse(), idle_timeout=60
        )
        reader = spawn(connection.run, name="client reader")
        try:
            yield ForwardClient(connection)
        finally:
            connection.close()
            assert join_all([reader], Deadline(30)) == []


class SpdyClient:
    def __init__(self, node, path, asked, protocol):
        offered = [protocol] if isinstance(protocol, str) else protocol
        headers = SPDY_HEADERS + [("X-Stream-Protocol-Version", name) for name in offered]
        transport, answer = node.upgrade(path, headers)
        self.protocol = answer["x-stream-protocol-version"][0]
        self.version = SPDY_VERSIONS[self.protocol]
        self.names = asked.names(self.version)
        self.connection = SpdyConnection(
            transport, role=SpdyRole.CLIENT, on_stream=lambda stream: stream.refuse(), idle_timeout=60
        )
        self.streams = {}

    def begin(self):
        for name in ("error", "stdin", "stdout", "stderr", "resize"):
            if name in self.names:
                self.streams[name] = self.connection.open_stream([("streamtype", name)])

    def __getattr__(self, name):
        try:
            return self.streams[name]
        except KeyError:
            raise AttributeError(name) from None

    def result(self):
        """Everything on stdout and stderr, then how it ended: as kubectl reads it."""
        out = {}
        threads = [
            spawn(
                lambda name=name: out.__setitem__(name, read_all(self.streams[name])), name=f"client {name}"
            )
            for name in ("stdout", "stderr")
            if name in self.streams
        ]
        assert join_all(threads, Deadline(60)) == []
        status = read_all(self.streams["error"])
        self.status = status
        return out.get("stdout", b""), out.get("stderr", b""), Outcome.parse(status, self.version)


class WebSocketClient:
    def __init__(self, node, path, asked, protocol):
        headers = [*WEBSOCKET_HEADERS]
        if protocol:
            headers.append(("Sec-WebSocket-Protocol", protocol))
        transport, answer = node.upgrade(path, headers, "GET")
        self.protocol = answer.get("sec-websocket-protocol", [""])[0]
        assert answer["sec-websocket-accept"]
        kind = CHANNEL_PROTOCOLS[self.protocol]
        self.version = kind.version
        self.connection = WebSocketConnection(
            transport, kind, readable=(1, 2, 3), role=Role.CLIENT, idle_timeout=60
        )

    def begin(self):
        pass

    def __getattr__(self, name):
        if name not in CHANNELS:
            raise AttributeError(name)
        return self.connection.channel(CHANNELS[name])

    def result(self):
        """As for SPDY; a WebSocket's channels end with the connection, which has to end well."""
        out = {}
        threads = [
            spawn(lambda n=name: out.__setitem__(n, read_all(getattr(self, n))), name=f"client {name}")
            for name in ("stdout", "stderr", "error")
        ]
        assert join_all(threads, Deadline(60)) == []
        self.status = out["error"]
        assert self.connection.close_code == 1000
        return out["stdout"], out["stderr"], Outcome.parse(out["error"], self.version)


class ForwardClient:
    def __init__(self, connection):
        self.connection = connection
        self.request_id = 0

    def open(self, port):
        """Open a pair as kubectl does; returns data and error stream."""
        headers = [("port", str(port)), ("requestid", str(self.request_id))]
        self.request_id += 1
        error = self.connection.open_stream([("streamtype", "error"), *headers])
        error.close_write()
        return self.connection.open_stream([("streamtype", "data"), *headers]), error


@contextlib.contextmanager
def echo_server():
    """A TCP server on loopback that answers with what it gets, then with "bye" at the end; yields its port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)
    threads = []

    def serve(sock):
        with sock:
            while data := sock.recv(65536):
                sock.sendall(data)
            sock.sendall(b"bye")

    def accept():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threads.append(spawn(serve, sock, name="echo"))

    acceptor = spawn(accept, name="echo acceptor")
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        assert join_all([acceptor, *threads], Deadline(30)) == []


ALL = Streams(stdin=True, stdout=True, stderr=True)
OUT = Streams(stdout=True)
TTY = Streams(stdin=True, stdout=True, tty=True)
