"""exec, attach, port-forward and proxies through the embedded control plane."""

from __future__ import annotations

import json
import socket
import ssl
from http.server import BaseHTTPRequestHandler

import pytest
from support.devapi import Api, control_plane, pod, register
from support.passage import add_pod, passage
from support.remote import (
    SPDY_HEADERS,
    WEBSOCKET_HEADERS,
    Kubelet,
    Refused,
    echo_server,
)
from support.sites import serving_site
from support.streams import read_all, running
from support.waiting import eventually

from virtual_kubelet.devapi.splice import Backend, pass_upgrade
from virtual_kubelet.devapi.subresources.pod_proxy import PodAddress
from virtual_kubelet.devapi.subresources.pod_streams import stream_query
from virtual_kubelet.errors import ApiError
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.messages import Headers, Request
from virtual_kubelet.web.spdy_connection import SpdyConnection
from virtual_kubelet.web.websocket_connection import WebSocketConnection
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.remotecommand import Outcome
from virtual_kubelet.wire.spdy_session import Role as SpdyRole
from virtual_kubelet.wire.websocket import Role

POD = "/api/v1/namespaces/default/pods/web"


class ThroughTheApi(Kubelet):
    """A client of the API server that asks as kubectl does."""

    def __init__(self, plane, token):
        self.plane = plane
        self.token = token
        self.context = ssl.create_default_context(cadata=plane.ca.decode())
        self.context.check_hostname = False

    def connect(self):
        port = int(self.plane.url.rpartition(":")[2])
        return self.context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10))

    def upgrade(self, path, headers, method="POST"):
        return super().upgrade(path, [*headers, ("Authorization", f"Bearer {self.token}")], method)


@pytest.fixture
def setting():
    with passage() as (plane, api, node):
        yield ThroughTheApi(plane, api.token), api, node


def spdy(client, path, protocol="v4.channel.k8s.io", method="POST"):
    headers = [*SPDY_HEADERS, ("X-Stream-Protocol-Version", protocol)]
    transport, answer = client.upgrade(path, headers, method)
    assert answer["x-stream-protocol-version"] == [protocol]
    return SpdyConnection(transport, role=SpdyRole.CLIENT, on_stream=lambda s: s.refuse(), idle_timeout=60)


def websocket(client, path):
    headers = [*WEBSOCKET_HEADERS, ("Sec-WebSocket-Protocol", "v5.channel.k8s.io")]
    transport, answer = client.upgrade(path, headers, "GET")
    assert answer["sec-websocket-protocol"] == ["v5.channel.k8s.io"]
    protocol = CHANNEL_PROTOCOLS["v5.channel.k8s.io"]
    return WebSocketConnection(transport, protocol, readable=(1, 2, 3), role=Role.CLIENT, idle_timeout=60)


QUERY = "command=sh&command=-c&command=cat;exit+7&stdin=true&stdout=true&container=main"


def test_exec_over_spdy(setting):
    client, _, node = setting
    connection = spdy(client, f"{POD}/exec?{QUERY}")
    with running(connection):
        names = ("error", "stdin", "stdout")
        error, stdin, stdout = (connection.open_stream([("streamtype", name)]) for name in names)
        stdin.write(b"x" * 300_000, end=True)
        assert read_all(stdout) == b"x" * 300_000
        assert Outcome.parse(read_all(error), 4).exit_code == 7
    (call,) = node.provider.calls
    assert call == ("exec", "default", "web", "uid-1", "main", ["sh", "-c", "cat;exit 7"])


def test_exec_over_websocket(setting):
    client, _, _ = setting
    connection = websocket(client, f"{POD}/exec?{QUERY}")
    with running(connection):
        connection.channel(0).write(b"hello")
        connection.channel(0).close_write()
        assert read_all(connection.channel(1)) == b"hello"
        assert Outcome.parse(read_all(connection.channel(3)), 5).exit_code == 7
        assert connection.close_code == 1000


def test_attach_and_the_only_container(setting):
    client, _, node = setting
    connection = websocket(client, f"{POD}/attach?stdin=true&stdout=true")
    with running(connection):
        connection.channel(0).write(b"hello")
        assert connection.channel(1).read() == b"hello"
    assert node.provider.ended.acquire(timeout=30)
    assert node.provider.calls == [("attach", "default", "web", "uid-1", "main")]


def test_port_forward(setting):
    client, _, _ = setting
    with echo_server() as port:
        connection = spdy(client, f"{POD}/portforward", "portforward.k8s.io")
        with running(connection):
            headers = [("port", str(port)), ("requestid", "0")]
            error = connection.open_stream([("streamtype", "error"), *headers])
            data = connection.open_stream([("streamtype", "data"), *headers])
            data.write(b"hello", end=True)
            assert (read_all(data), read_all(error)) == (b"hellobye", b"")


def test_either_end_ends_both(setting):
    client, _, node = setting
    connection = spdy(client, f"{POD}/exec?command=sleep&command=1000&stdout=true")
    with running(connection):
        for name in ("error", "stdout"):
            connection.open_stream([("streamtype", name)])
        process = eventually(lambda: node.provider.processes and node.provider.processes[-1])
    eventually(lambda: process.poll() is not None)
    connection = spdy(client, f"{POD}/exec?command=sleep&command=1000&stdout=true")
    with running(connection):
        node.server.stop(Deadline(20))
        eventually(lambda: connection.closed)


def refusal(client, path, headers=None, method="POST"):
    fields = headers or [*SPDY_HEADERS, ("X-Stream-Protocol-Version", "v4.channel.k8s.io")]
    with pytest.raises(Refused) as caught:
        client.upgrade(path, fields, method)
    return caught.value


def message(answer):
    return json.loads(answer.body)["message"]


def test_refusals_of_the_api_server(setting):
    client, api, _ = setting
    assert refusal(client, POD.replace("web", "no") + "/exec?command=x&stdout=true").status == 404
    answer = refusal(client, f"{POD}/exec?command=x&stdout=true&container=no")
    assert (answer.status, message(answer)) == (400, "container no is not valid for pod web")
    api.create("/api/v1/namespaces/default/pods", pod("adrift", spec={"schedulerName": "nobody"}))
    answer = refusal(client, POD.replace("web", "adrift") + "/attach?stdout=true")
    assert (answer.status, message(answer)) == (400, "pod adrift does not have a host assigned")
    client.token = "nonsense"
    assert refusal(client, f"{POD}/exec?command=x&stdout=true").status == 401


def test_refusals_of_the_kubelet_are_the_clients(setting):
    client, _, _ = setting
    answer = refusal(client, f"{POD}/exec?command=x")
    assert (answer.status, answer.body) == (400, "you must specify at least 1 of stdin, stdout, stderr\n")
    headers = [*SPDY_HEADERS, ("X-Stream-Protocol-Version", "v9.channel.k8s.io")]
    answer = refusal(client, f"{POD}/exec?command=x&stdout=true", headers)
    assert answer.status == 403
    assert "v4.channel.k8s.io" in answer.headers["x-accepted-stream-protocol-versions"]


def test_reading_is_not_enough_to_run_commands(setting):
    client, api, _ = setting
    rules = [{"apiGroups": [""], "resources": ["pods", "pods/exec"], "verbs": ["get"]}]
    group = "/apis/rbac.authorization.k8s.io/v1"
    role = {"metadata": {"name": "reader"}, "rules": rules}
    assert api.create(f"{group}/clusterroles", role).status == 201
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "eve"}
    binding = {"metadata": {"name": "reader"}, "roleRef": reference, "subjects": [subject]}
    assert api.create(f"{group}/clusterrolebindings", binding).status == 201
    client.token = client.plane.token("eve")
    answer = refusal(client, f"{POD}/exec?{QUERY}", WEBSOCKET_HEADERS, "GET")
    assert answer.status == 403
    assert 'cannot create resource "pods/exec"' in message(answer)


def test_a_kubelet_that_is_not_there():
    with control_plane() as plane, socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        api = Api(plane)
        register(api, port=sock.getsockname()[1])
        add_pod(api)
        client = ThroughTheApi(plane, api.token)
        answer = refusal(client, f"{POD}/exec?command=x&stdout=true")
        assert answer.status == 500
        assert "error dialing backend" in message(answer)
        answer = refusal(client, "/api/v1/nodes/n1/proxy/exec/default/web/main?command=x&output=1")
        assert answer.status == 503
        api.close()


def test_streams_by_the_nodes_proxy(setting):
    client, _, _ = setting
    connection = spdy(client, "/api/v1/nodes/n1/proxy/exec/default/web/main?command=true&output=1")
    with running(connection):
        error, stdout = (connection.open_stream([("streamtype", name)]) for name in ("error", "stdout"))
        assert (read_all(stdout), Outcome.parse(read_all(error), 4)) == (b"", Outcome(0))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"stdin": ["true"], "tty": ["1"]}, [("input", "1"), ("tty", "1")]),
        ({"stdin": ["false"], "stdout": ["0"], "stderr": ["yes"]}, [("error", "1")]),
        ({"command": ["a", "b"], "container": ["c"]}, [("command", "a"), ("command", "b")]),
    ],
)
def test_the_kubelets_query(query, expected):
    assert stream_query(query) == expected


# -- pods/proxy --------------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        length = int(self.headers.get("Content-Length", 0))
        said = f"{self.command} {self.path} {self.headers.get('X-Mine')} {self.rfile.read(length).decode()}"
        assert "Authorization" not in self.headers
        self.send_response(302 if self.path == "/away" else 200)
        self.send_header("Content-Type", "text/x-mine")
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(said.encode())

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *args):
        pass


@pytest.fixture
def site():
    with serving_site(Site) as port:
        yield port


def test_a_pods_port_by_proxy(setting, site):
    _, api, _ = setting
    base = f"{POD}:{site}/proxy"
    answer = api.get(f"{base}/a%2Fb/?q=1", headers={"X-Mine": "yes"})
    assert (answer.status, answer.data) == (200, b"GET /a%2Fb/?q=1 yes ")
    assert answer.headers["Content-Type"] == "text/x-mine"
    assert api.create(base, b"body").data == b"POST / None body"
    assert api.update(f"{base}/x", b"body").data == b"PUT /x None body"
    assert api.delete(f"{base}/x").data == b"DELETE /x None "
    answer = api("GET", f"{base}/away", redirect=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
    assert api("HEAD", f"{base}/").status == 200


def test_a_pods_first_port_is_the_one_meant(setting, site):
    _, api, _ = setting
    ports = [{"containerPort": site}]
    add_pod(api, "site", containers=[{"name": "main", "image": "x", "ports": ports}])
    assert api.get("/api/v1/namespaces/default/pods/site/proxy/").data == b"GET / None "


def test_upgrades_by_a_pods_proxy(setting):
    client, _, _ = setting
    listener = socket.create_server(("127.0.0.1", 0))
    heads = []

    def serve():
        sock, _ = listener.accept()
        with sock:
            heads.append(sock.recv(65536))
            sock.sendall(b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: odd/1\r\nX-A: b\r\n\r\nfirst")
            sock.sendall(sock.recv(10))

    thread = spawn(serve, name="backend")
    path = f"{POD}:{listener.getsockname()[1]}/proxy/up?q=1"
    transport, answer = client.upgrade(path, [("Upgrade", "odd/1"), ("Connection", "Upgrade")])
    assert answer["x-a"] == ["b"]
    assert answer["upgrade"] == ["odd/1"]
    assert transport.recv(5, 10) == b"first"
    transport.send(b"echo")
    assert transport.recv(10, 10) == b"echo"
    assert transport.recv(10, 10) == b""
    transport.close()
    listener.close()
    assert join_all([thread], Deadline(30)) == []
    assert heads[0].startswith(b"POST /up?q=1 HTTP/1.1\r\n")
    assert b"authorization" not in heads[0].lower()


def test_what_the_proxy_cannot_reach(setting):
    _, api, _ = setting
    assert api.get(f"{POD}:1/proxy/").status == 503
    assert api.get(f"{POD}:x/proxy/").status == 400
    assert api.get("/api/v1/namespaces/default/pods/no:1/proxy/").status == 404
    add_pod(api, "fresh", ip=None)
    assert api.get("/api/v1/namespaces/default/pods/fresh:1/proxy/").status == 400


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("web", PodAddress("web")),
        ("web:80", PodAddress("web", port=80)),
        ("https:web:443", PodAddress("web", "https", 443)),
        ("http:web:", PodAddress("web")),
    ],
)
def test_addresses(text, address):
    assert PodAddress.parse(text) == address


@pytest.mark.parametrize("text", [":80", "ftp:web:1", "web:http", "a:b:c:d"])
def test_wrong_addresses(text):
    with pytest.raises(ApiError):
        PodAddress.parse(text)


# -- the splice itself ---------------------------------------------------------------------------------------


def ask(answer):
    """Let a backend answer with `answer`, and return what the client is told."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        sock, _ = listener.accept()
        with sock:
            sock.recv(65536)
            sock.sendall(answer)

    thread = spawn(serve, name="backend")
    request = Request("GET", "/", Headers([("Connection", "Upgrade"), ("Upgrade", "x")]))
    try:
        return pass_upgrade(request, Backend("127.0.0.1", listener.getsockname()[1]), "/")
    finally:
        assert join_all([thread], Deadline(30)) == []
        listener.close()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"nonsense\r\n\r\n"])
def test_backends_that_talk_nonsense(answer):
    with pytest.raises(OSError):
        ask(answer)


def test_a_backend_that_does_not_speak_tls():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        sock, _ = listener.accept()
        with sock:
            sock.sendall(b"plain text\r\n")

    thread = spawn(serve, name="backend")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(OSError):
        Backend("127.0.0.1", listener.getsockname()[1], context).connect()
    assert join_all([thread], Deadline(30)) == []
    listener.close()


def test_a_long_refusal_is_cut():
    head = b"HTTP/1.1 500 No\r\nContent-Length: 9000000\r\nContent-Type: a/b\r\n\r\n"
    response = ask(head + b"x" * 70_000)
    assert (response.status, len(response.body), response.content_type) == (500, 65536, "a/b")


def test_an_upgrade_that_the_server_cannot_take_lets_go_of_the_backend():
    answer = b"HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    upgrade = ask(answer)
    upgrade.refused()


def test_names_of_backends():
    assert str(Backend("::1", 80)) == "[::1]:80"
