"""A little web server on loopback."""

from __future__ import annotations

import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from virtual_kubelet.runtime.threads import Deadline, join_all, spawn


class Echo(BaseHTTPRequestHandler):
    """Says the path, many times."""

    def do_GET(self):
        body = f"{self.path} ".encode() * 20_000
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving_site(handler=Echo):
    """Yield the port; `handler`: a BaseHTTPRequestHandler."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.socket.listen(64)
    thread = spawn(server.serve_forever, 0.05, name="site")
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        assert join_all([thread], Deadline(30)) == []
