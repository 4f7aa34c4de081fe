"""Managed and workload identity through azure-identity as it is, to token endpoints of our own."""

from __future__ import annotations

import contextlib
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from support.azure.tls import own_tls

from virtual_kubelet.providers.azure import auth
from virtual_kubelet.providers.azure.credentials import Credential, Kind
from virtual_kubelet.runtime.threads import spawn

pytest.importorskip("azure.identity")

ARM = "https://management.azure.com"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self._answer("")

    def do_POST(self):
        self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def _answer(self, form):
        self.server.asked.append((self.path, dict(self.headers), form))
        end = int(time.time()) + 3600
        token = {
            "access_token": "t0ken",
            "expires_in": "3600",
            "expires_on": str(end),
            "token_type": "Bearer",
        }
        body = json.dumps(token).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def running_endpoint(tls=None):
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = False
        server.asked = []
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        serving = spawn(server.serve_forever, 0.05, name="tokens")
        try:
            yield server
        finally:
            server.shutdown()
            serving.join()


@pytest.fixture
def endpoint():
    with running_endpoint() as server:
        yield server


def token(credential):
    return auth.source(credential, requests.Session()).get()


def test_the_identity_of_a_machine(endpoint, monkeypatch):
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", f"http://127.0.0.1:{endpoint.server_port}")
    assert token(Credential(Kind.MANAGED_IDENTITY, "https://login", ARM, client_id="mine")) == "t0ken"
    path, headers, _ = endpoint.asked[-1]
    assert path.startswith("/metadata/identity/oauth2/token?")
    assert f"resource={ARM}" in path
    assert "client_id=mine" in path
    assert headers["Metadata"] == "true"


def test_the_identity_of_a_service(endpoint, monkeypatch):
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"http://127.0.0.1:{endpoint.server_port}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", "s3cret")
    assert token(Credential(Kind.MANAGED_IDENTITY, "https://login", ARM)) == "t0ken"
    assert endpoint.asked[-1][1]["X-IDENTITY-HEADER"] == "s3cret"


def test_a_workload_identity(monkeypatch, tmp_path):
    (tmp_path / "jwt").write_text("from-kubernetes")
    context, bundle = own_tls(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    with running_endpoint(context) as endpoint:
        place = f"https://localhost:{endpoint.server_port}"
        credential = Credential(
            Kind.WORKLOAD_IDENTITY, place, ARM, "tenant", "app", federated_token_file=str(tmp_path / "jwt")
        )
        assert token(credential) == "t0ken"
    path, _, form = endpoint.asked[-1]
    assert path == "/tenant/oauth2/v2.0/token"
    assert "client_assertion=from-kubernetes" in form
