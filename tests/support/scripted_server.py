"""An HTTP server that does exactly what a test says, also what no decent server would do.

    with ScriptedServer(lambda call: call.json({"items": []})) as server: ...

The script is called in the connection's thread for each request. It answers with one of the methods of `Call`,
or not at all: then the connection is closed.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
from urllib.parse import parse_qs, urlsplit

from virtual_kubelet.runtime.threads import spawn


class Call:
    """One request, and the ways to answer it."""

    def __init__(self, server, sock, method, target, headers, body):
        split = urlsplit(target)
        self.server = server
        self.sock = sock
        self.method = method
        self.target = target
        self.path = split.path
        self.query = {
            key: values[-1] for key, values in parse_qs(split.query, keep_blank_values=True).items()
        }
        self.headers = headers
        self.body = body
        self.keep = True
        self.answered = False

    @property
    def object(self):
        return json.loads(self.body)

    def json(self, value, status=200, headers=None):
        self.raw(json.dumps(value).encode(), status, {"Content-Type": "application/json", **(headers or {})})

    def status(self, code, reason="", message="no", headers=None, **details):
        body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}
        self.json(body | {"message": message, "details": details}, code, headers)

    def raw(self, data, status=200, headers=None):
        lines = {"Content-Length": str(len(data)), **(headers or {})}
        self._head(status, lines)
        self.sock.sendall(data)

    def stream(self, headers=None):
        """Begin a chunked answer; send pieces by `chunk` and `event`, then `end` or `cut`."""
        self._head(
            200, {"Transfer-Encoding": "chunked", "Content-Type": "application/json", **(headers or {})}
        )
        return self

    def event(self, kind, item):
        self.chunk(json.dumps({"type": kind, "object": item}).encode() + b"\n")

    def chunk(self, data):
        self.sock.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def end(self):
        self.sock.sendall(b"0\r\n\r\n")

    def cut(self):
        """Close the connection without a word more."""
        self.answered = True
        self.keep = False
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def hold(self, event=None):
        """Wait until `event`, the peer's going, or the server's end."""
        self.answered = True
        while not self.server.stopping.is_set() and not (event and event.is_set()):
            if select.select([self.sock], [], [], 0.02)[0] and self.is_gone():
                break

    def is_gone(self):
        """Tell whether the peer has closed the connection."""
        try:
            # Below the TLS socket, which cannot peek.
            return socket.socket.recv(self.sock, 1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _head(self, status, headers):
        self.answered = True
        lines = [f"HTTP/1.1 {status} X", *(f"{key}: {value}" for key, value in headers.items())]
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        if headers.get("Connection") == "close":
            self.keep = False


class ScriptedServer:
    """Listens on a port of 127.0.0.1; `calls` lists the requests, `connections` counts what came in."""

    def __init__(self, script, *, tls=None, port=0):
        self.script = script
        self.calls = []
        self.connections = 0
        self.stopping = threading.Event()
        self._tls = tls
        self._lock = threading.Lock()
        self._open = set()
        self._threads = []
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._acceptor = spawn(self._accept, name="scripted-accept")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.stopping.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._acceptor.join(30)
        self.drop_connections()
        for thread in self._threads:
            thread.join(30)

    def drop_connections(self):
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _accept(self):
        while not self.stopping.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.add(sock)
            self._threads.append(spawn(self._serve, sock, name="scripted-connection"))

    def _serve(self, sock):
        raw = sock
        try:
            if self._tls is not None:
                sock = self._tls.wrap_socket(raw, server_side=True)
                with self._lock:
                    self._open.discard(raw)
                    self._open.add(sock)
            while self._one(sock):
                pass
        except OSError:
            pass
        finally:
            with self._lock:
                self._open -= {raw, sock}
            sock.close()
            raw.close()

    def _one(self, sock):
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.strip().lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        while len(body) < int(headers.get("content-length", 0)):
            piece = sock.recv(65536)
            if not piece:
                return False  # cut off inside its request
            body += piece
        method, target, _ = first.split(" ", 2)
        call = Call(self, sock, method, target, headers, body)
        with self._lock:
            self.calls.append(call)
        self.script(call)
        return call.answered and call.keep


def in_turn(*scripts):
    """A script that uses each of `scripts` once, and the last one for ever."""
    lock = threading.Lock()
    left = list(scripts)

    def script(call):
        with lock:
            step = left.pop(0) if len(left) > 1 else left[0]
        step(call)

    return script
