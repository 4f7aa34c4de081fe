"""A proxy in front of an engine's socket that lets signed requests through, as Hyper.sh's API did, and no others.

The signature is verified by code of its own, written from the specification and not from the client.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import threading
import time
from datetime import datetime, timezone
from urllib.parse import parse_qsl, quote, unquote

from virtual_kubelet.runtime.threads import spawn

SKEW = 300


class SignedProxy:
    def __init__(self, upstream, access="AKID", secret="SECRET", region="us-west-1", hidden=()):
        self.upstream, self.access, self.secret, self.region = upstream, access, secret, region
        self.hidden = hidden  # paths that the service has not
        self.now = time.time
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
            thread.join(10)
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
                body += client.recv(65536)
            method, target, _ = first.split(" ")
            problem = self.problem(method, target, headers, body)
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
        back.join(10)
        with self._lock:
            self._open.discard(engine)
        engine.close()

    def problem(self, method, target, headers, body):
        """Return why a request is refused; "" for one that is not."""
        given = headers.get("authorization", "")
        if not given.startswith("HYPER-HMAC-SHA256 "):
            return "no signature"
        date = headers.get("x-hyper-date", "")
        sent = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
        if abs(sent - self.now()) > SKEW:
            return "the clocks differ by more than 5 minutes"
        digest = hashlib.sha256(body).hexdigest()
        if headers.get("x-hyper-content-sha256") != digest:
            return "another body was signed"
        wanted = self._signature(method, target, headers, digest, date)
        return "" if hmac.compare_digest(given, wanted) else "the signature does not fit"

    def _signature(self, method, target, headers, digest, date):
        names = sorted(
            n for n in headers if n in ("host", "content-type", "content-md5") or n.startswith("x-hyper-")
        )
        host = headers["host"].removesuffix(":443").removesuffix(":80")
        path, _, query = target.partition("?")
        safe = "-_.~"
        steps = [quote(p, safe=safe) for p in unquote(path).split("/") if p]
        pairs = sorted(parse_qsl(query, keep_blank_values=True), key=lambda item: item[0])
        lines = [
            method,
            "/".join(steps),
            "&".join(f"{quote(k, safe=safe)}={quote(v, safe=safe)}" for k, v in pairs),
        ]
        lines += [f"{name}:{host if name == 'host' else headers[name]}" for name in names]
        lines += ["", ";".join(names), digest]
        scope = f"{date[:8]}/{self.region}/hyper/hyper_request"
        text = "\n".join(
            ["HYPER-HMAC-SHA256", date, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()]
        )
        key = ("HYPER" + self.secret).encode()
        for part in (date[:8], self.region, "hyper", "hyper_request"):
            key = hmac.new(key, part.encode(), "sha256").digest()
        signature = hmac.new(key, text.encode(), "sha256").hexdigest()
        return (
            f"HYPER-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={';'.join(names)},"
            f" Signature={signature}"
        )


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
