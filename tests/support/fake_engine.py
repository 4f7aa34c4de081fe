"""A small engine over a real unix socket: answers by a table, remembers what it was asked."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from virtual_kubelet.runtime.threads import spawn

HEADERS = {"Api-Version": "1.43", "Server": "Docker/24.0.7 (linux)"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        pass

    def serve(self):
        parts = urlsplit(self.path)
        path = "/" + parts.path.split("/", 2)[2] if parts.path.startswith("/v1.") else parts.path
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = {
            "method": self.command,
            "path": unquote(path),
            "query": {
                key: values[0] for key, values in parse_qs(parts.query, keep_blank_values=True).items()
            },
            "headers": dict(self.headers),
            "body": json.loads(body) if body else None,
        }
        engine = self.server.engine
        engine.asked.append(asked)
        answer = engine.answers.get((self.command, path)) or engine.answers.get(self.command)
        if path == "/_ping" and answer is None:
            answer = (200, "OK")
        status, content = (answer(asked, self) if callable(answer) else answer) or (
            404,
            {"message": "page not found"},
        )
        if status is None:
            self.close_connection = True
            return
        data = (
            content
            if isinstance(content, bytes)
            else (content.encode() if isinstance(content, str) else json.dumps(content).encode())
        )
        self.send_response(status)
        for name, value in HEADERS.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def do_DELETE(self):
        self.serve()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128  # beyond it a unix socket refuses at once


class FakeEngine:
    """`answers[("GET", "/info")]` is (status, content), or called with what was asked and the handler."""

    def __init__(self, path):
        self.path = str(path)
        self.asked = []
        self.answers = {}
        self.hold = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def start(self):
        self._server = _Server(self.path, _Handler)
        self._server.engine = self
        self._thread = spawn(self._server.serve_forever, 0.02, name="fake-engine")

    def __exit__(self, *_):
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)

    def paths(self, method):
        return [asked["path"] for asked in self.asked if asked["method"] == method]
