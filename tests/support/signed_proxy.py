"""A proxy in front of an engine's socket that lets signed requests through, as Hyper.sh's API did, and no others.

The signature is verified by code of its own (`support.hyper.verifier`).
"""

from __future__ import annotations

import socket
import threading

from support.hyper.verifier import Verifier

from virtual_kubelet.runtime.threads import spawn


class SignedProxy:
    def __init__(self, upstream, access="AKID", secret="SECRET", region="us-west-1", hidden=()):
        self.upstream = upstream
        self.hidden = hidden  # paths that the service has not
        self._verifier = Verifier(access, secret, region)
        self.refused = []
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._open = set()
        self._threads = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self):
        self._spawn(self._accept)
        return self

    def __exit__(self, *_):
        with self._lock:
            self._closed = True
            sockets = list(self._open)
        socket.create_connection(("127.0.0.1", self.port)).close()
        for sock in sockets:
            _shut(sock)
        for thread in self._threads:
            thread.join(30)
        self._listener.close()

    def _spawn(self, target, *args):
        thread = spawn(target, *args, name="signed-proxy")
        with self._lock:
            self._threads.append(thread)
        return thread

    def _accept(self):
        while True:
            client, _ = self._listener.accept()
            with self._lock:
                if self._closed:
                    client.close()
                    return
                self._open.add(client)
            self._spawn(self._serve, client)

    def _serve(self, client):
        """One request a connection: what follows its head, both ways, is copied."""
        try:
            data = b""
            while b"\r\n\r\n" not in data:
                piece = client.recv(65536)
                if not piece:
                    return
                data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)
            }
            while len(body) < int(headers.get("content-length") or 0):
                piece = client.recv(65536)
                if not piece:
                    return
                body += piece
            method, target, _ = first.split(" ")
            problem = self._verifier.problem(method, target, headers, body)
            if problem:
                self.refused.append(problem)
                answer(client, 401, problem)
                return
            self.accepted += 1
            if any(target.partition("?")[0].endswith(path) for path in self.hidden):
                answer(client, 404, "page not found")
                return
            self._copy(client, first, lines, body)
        except OSError:
            pass
        finally:
            with self._lock:
                self._open.discard(client)
            client.close()

    def _copy(self, client, first, lines, body):
        upgrade = any(line.lower().startswith("upgrade:") for line in lines)
        kept = [line for line in lines if upgrade or not line.lower().startswith("connection:")]
        if not upgrade:
            kept.append("Connection: close")
        engine = socket.socket(socket.AF_UNIX)
        try:
            engine.connect(self.upstream)
        except OSError:
            engine.close()
            answer(client, 503, "no engine")
            return
        with self._lock:
            self._open.add(engine)
        engine.sendall("\r\n".join([first, *kept]).encode("latin-1") + b"\r\n\r\n" + body)
        back = self._spawn(copy, client, engine)
        copy(engine, client)
        _shut(client)
        back.join(30)
        with self._lock:
            self._open.discard(engine)
        engine.close()


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def answer(client, status, text):
    client.sendall(
        f"HTTP/1.1 {status} X\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n"
        f"Connection: close\r\n\r\n{text}".encode()
    )


def _shut(sock):
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
