"""HTTP for the fake Azure Resource Manager: requests in, answers and ordered faults out, WebSockets handed on."""

from __future__ import annotations

import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from support.azure import faults as fault_kinds
from support.azure.groups import Refused
from support.azure.sessions import SessionSocket

SILENCE = 10.0  # seconds; longer than the client that is tested waits


class Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, arm):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.arm = arm
        self._open = set()
        self._lock = threading.Lock()

    def process_request(self, request, client_address):
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self):
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def handle_error(self, request, client_address):
        pass  # a client that hangs up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.arm = self.server.arm

    def do_GET(self):
        if self.headers.get("Upgrade", "").lower() == "websocket":
            self._upgrade()
        else:
            self._serve()

    def do_PUT(self):
        self._serve()

    def do_POST(self):
        self._serve()

    def do_PATCH(self):
        self._serve()

    def do_DELETE(self):
        self._serve()

    def _upgrade(self):
        key = urlsplit(self.path).path.rpartition("/")[2]
        head = f"{self.requestline}\r\n{self.headers}".replace("\r\n", "\n").replace("\n", "\r\n")
        self.close_connection = True
        SessionSocket(self.connection, head.encode(), self.arm.sessions.get(key)).run()

    def _serve(self):
        parts = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if parts.path.endswith("/oauth2/token"):
            form = {key: value[0] for key, value in parse_qs(raw.decode()).items()}
            self._send(*self.arm.token(parts.path, form))
            return
        self._arm(parts.path, parse_qs(parts.query), raw)

    def _arm(self, path, query, raw):
        arm = self.arm
        if not arm.authorized(self.headers.get("Authorization")):
            self._refuse(Refused(401, "AuthenticationFailed", "Authentication failed."))
            return
        if fault := arm.faults.pick(fault_kinds.BEFORE, self.command, path):
            self._fail(fault)
            return
        try:
            body = json.loads(raw) if raw else None
            answer = arm.handle(self.command, path, query, body)
        except Refused as refusal:
            self._refuse(refusal)
            return
        if fault := arm.faults.pick(fault_kinds.AFTER, self.command, path):
            self._fail(fault)
            return
        self._send(*answer)

    def _fail(self, fault):
        kind = fault.kind.partition("-")[0]
        if kind == "cut":
            self.arm.note(self.command, self.path, 0)
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif kind == "silence":
            self.arm.note(self.command, self.path, 0)
            self.arm.closing.wait(SILENCE)
            self.close_connection = True
        elif kind == "html":
            self._send(502, {}, None, text="<html>Bad gateway</html>")
        elif kind == "garbage":
            self._send(200, {}, None, text="{")
        else:
            default = {"503": "ServerTimeout", "429": "TooManyRequests", "404": "ResourceNotFound"}
            headers = {"Retry-After": fault.retry_after} if fault.retry_after else {}
            self._refuse(
                Refused(
                    int(kind),
                    fault.code or default.get(kind, "InternalServerError"),
                    fault.message or "as ordered",
                ),
                headers,
            )

    def _refuse(self, refusal, headers=None):
        body = {"error": {"code": refusal.code, "message": refusal.message}}
        self._send(refusal.status, headers or {}, body)

    def _send(self, status, headers, body, text=None):
        self.arm.note(self.command, self.path, status)
        data = text.encode() if text is not None else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.arm.reads_left is not None:
            self.send_header("x-ms-ratelimit-remaining-subscription-reads", str(self.arm.reads_left))
        self.send_header("x-ms-request-id", "request-1")
        self.send_header("Content-Type", "application/json; charset=utf-8")
        if status != 204:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if status != 204:
            self.wfile.write(data)

    def log_message(self, *_):
        pass
