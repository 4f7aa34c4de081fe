"""A fake of Hyper.sh's API, as strict as its documents: version 1.23 only, signed, and nothing that it does not know.

What it refuses for such a reason is kept in `violations`.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import signal
import socketserver
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, unquote, urlsplit

from support.hyper import fields
from support.hyper.containers import STDERR, STDOUT, Container, Exec, frame, stamp
from support.hyper.verifier import Verifier

from virtual_kubelet.runtime.threads import spawn

ID = r"([A-Za-z0-9_-]+)"
ROUTES = [
    ("GET", "/info", "info"),
    ("GET", "/containers/json", "list"),
    ("POST", "/containers/create", "create"),
    ("GET", f"/containers/{ID}/json", "inspect"),
    ("POST", f"/containers/{ID}/start", "start"),
    ("POST", f"/containers/{ID}/kill", "kill"),
    ("GET", f"/containers/{ID}/logs", "logs"),
    ("GET", f"/containers/{ID}/stats", "stats"),
    ("POST", f"/containers/{ID}/attach", "attach"),
    ("DELETE", f"/containers/{ID}", "remove"),
    ("POST", f"/containers/{ID}/exec", "exec_create"),
    ("POST", f"/exec/{ID}/start", "exec_start"),
    ("GET", f"/exec/{ID}/json", "exec_inspect"),
    ("POST", f"/(?:exec|containers)/{ID}/resize", "resize"),
    ("POST", "/images/create", "pull"),
    ("GET", "/images/([a-z0-9./:@_-]+)/json", "image"),
    ("POST", "/volumes/create", "volume_create"),
    ("GET", "/volumes", "volumes"),
    ("DELETE", "/volumes/([A-Za-z0-9_.-]+)", "volume_remove"),
]
ABSENT = frozenset({"/events"})  # asked for once, and done without


class Refusal(Exception):
    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class FakeHyper:
    """`images` are there, `registry` has more (`private/...` for user `u` with password `p`)."""

    def __init__(self):
        self.images, self.registry = {"busybox:1"}, {"busybox:2", "private/app:1"}
        self.inspectable = True  # whether images can be looked at
        self.busy = False  # whether nothing can be started
        self.containers, self.execs, self.volumes = {}, {}, {}
        self.violations, self.asked = [], []
        self.verifier = Verifier()
        self.lock = threading.RLock()
        self.number = 0

    def __enter__(self):
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.hyper = self
        self.port = self._server.server_address[1]
        self._thread = spawn(self._server.serve_forever, 0.02, name="fake-hyper")
        return self

    def __exit__(self, *_):
        for item in [*self.containers.values(), *self.execs.values()]:
            item.end()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(30)

    def next(self):
        with self.lock:
            self.number += 1
            return self.number

    def violate(self, text):
        self.violations.append(text)
        raise Refusal(400, text)

    def container(self, name):
        with self.lock:
            for item in self.containers.values():
                if name in {item.id, item.name}:
                    return item
        raise Refusal(404, f"No such container: {name}")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    allow_reuse_address = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    @property
    def hyper(self):
        return self.server.hyper

    def serve(self):
        self.close_connection = True
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            self._route(raw)
        except Refusal as refusal:
            self.answer(refusal.status, f"{refusal}\n".encode(), "text/plain")
        except (BrokenPipeError, ConnectionResetError):
            pass

    def do_GET(self):
        self.serve()

    def do_POST(self):
        self.serve()

    def do_DELETE(self):
        self.serve()

    def _route(self, raw):
        headers = {name.lower(): value for name, value in self.headers.items()}
        problem = self.hyper.verifier.problem(self.command, self.path, headers, raw)
        if problem:
            raise Refusal(401, problem)
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        if not path.startswith("/v1.23/"):
            self.hyper.violate(f"{path}: not API 1.23")
        path = path.removeprefix("/v1.23")
        self.query = {k: v[0] for k, v in parse_qs(parts.query, keep_blank_values=True).items()}
        self.hyper.asked.append((self.command, path, self.query))
        for method, pattern, name in ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == self.command:
                if unknown := self.query.keys() - fields.QUERIES.get(name, set()):
                    self.hyper.violate(f"{name}: parameters {unknown}")
                self.body = json.loads(raw) if raw else {}
                getattr(self, name)(*match.groups())
                return
        if path not in ABSENT:
            self.hyper.violations.append(f"no such route: {self.command} {path}")
        raise Refusal(404, "404 page not found")

    def answer(self, status, data=b"", kind="application/json"):
        if not isinstance(data, bytes):
            data = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(data)

    def known(self, given, allowed, what):
        if unknown := given.keys() - allowed:
            self.hyper.violate(f"{what}: fields {unknown}")

    # -- what there is --------------------------------------------------------------------------------

    def info(self):
        self.answer(
            200, {"OperatingSystem": "HyperStart", "ExecutionDriver": "hyper", "NCPU": 0, "MemTotal": 0}
        )

    def list(self):
        filters = json.loads(self.query.get("filters") or "{}").get("label") or {}
        if not isinstance(filters, dict):
            self.hyper.violate("list: filters are no map of maps")
        with self.hyper.lock:
            items = [item.listed() for item in self.hyper.containers.values()]
        wanted = [label.partition("=")[::2] for label in filters]
        self.answer(200, [i for i in items if all(i["Labels"].get(k) == v for k, v in wanted)])

    def inspect(self, name):
        self.answer(200, self.hyper.container(name).inspect())

    def stats(self, name):
        assert self.query == {"stream": "0"}
        self.hyper.container(name)
        usage = {"cpu_usage": {"total_usage": 10**9}, "system_cpu_usage": 1}
        memory = {"usage": 2**20, "stats": {"total_rss": 2**19, "total_inactive_file": 0}}
        self.answer(200, {"read": stamp(time.time()), "cpu_stats": usage, "memory_stats": memory})

    # -- images ---------------------------------------------------------------------------------------

    def image(self, name):
        if not self.hyper.inspectable or _tagged(name) not in self.hyper.images:
            raise Refusal(404, f"No such image: {name}")
        self.answer(200, {"Id": name, "Config": {"User": ""}})

    def pull(self):
        name = f"{self.query['fromImage']}:{self.query['tag']}"
        auth = self.headers.get("X-Registry-Auth")
        user = json.loads(base64.urlsafe_b64decode(auth)).get("username") if auth else ""
        lines = [{"status": "Pulling"}]
        if name in self.hyper.registry and (user == "u" or not name.startswith("private/")):
            self.hyper.images.add(name)
        else:
            lines.append({"error": f"image {name} not found or access denied"})
        self.answer(200, "".join(json.dumps(line) + "\r\n" for line in lines).encode())

    # -- containers -----------------------------------------------------------------------------------

    def create(self):
        name = self.query["name"]
        if not re.fullmatch("/?[a-zA-Z0-9_-]+", name):
            self.hyper.violate(f"create: name {name}")
        self.known(self.body, fields.CONFIG, "create")
        self.known(self.body["HostConfig"], fields.HOST_CONFIG, "create: HostConfig")
        if "sh_hyper_instancetype" not in self.body["Labels"]:
            self.hyper.violate("create: no instance type")
        if _tagged(self.body["Image"]) not in self.hyper.images:
            raise Refusal(404, f"No such image: {self.body['Image']}")
        with self.hyper.lock:
            if any(item.name == name for item in self.hyper.containers.values()):
                raise Refusal(409, f"Conflict. The name {name} is already in use by a container.")
            for bind in self.body["HostConfig"].get("Binds") or ():
                if bind.partition(":")[0] not in self.hyper.volumes:
                    raise Refusal(404, f"No such volume: {bind}")
            made = Container(self.hyper.next(), name, self.body)
            self.hyper.containers[made.id] = made
        self.answer(201, {"Id": made.id, "Warnings": None})

    def start(self, name):
        container = self.hyper.container(name)
        if self.hyper.busy:
            raise Refusal(503, "the service is busy")
        with self.hyper.lock:
            if container.running:
                self.answer(304)
                return
            try:
                container.start()
            except OSError as error:
                raise Refusal(500, f"exec: executable file not found in $PATH: {error}") from error
        self.answer(204)

    def kill(self, name):
        container = self.hyper.container(name)
        if not container.running:
            raise Refusal(500, f"Cannot kill container {name}: Container {name} is not running")
        container.signal(getattr(signal, f"SIG{self.query.get('signal', 'KILL').removeprefix('SIG')}"))
        self.answer(204)

    def remove(self, name):
        container = self.hyper.container(name)
        container.end()
        with self.hyper.lock:
            del self.hyper.containers[container.id]
        self.answer(200, [])

    # -- streams --------------------------------------------------------------------------------------

    def stream(self, status, kind="application/vnd.docker.raw-stream"):
        """Send a head; what follows is no HTTP."""
        self.send_response(status, "UPGRADED" if status == 101 else "OK")
        self.send_header("Content-Type", kind)
        if status == 101:
            self.send_header("Connection", "Upgrade")
            self.send_header("Upgrade", "tcp")
        self.end_headers()

    def logs(self, name):
        container, query = self.hyper.container(name), self.query
        if not re.fullmatch("all|[0-9]+", query.get("tail", "all")) or "." in query.get("since", ""):
            self.hyper.violate(f"logs: {query}")
        wanted = {n for n, key in ((STDOUT, "stdout"), (STDERR, "stderr")) if query.get(key) == "1"}
        with container.changed:
            end = len(container.lines)
            lines = [line for line in container.lines if line[0] in wanted]
        lines = [line for line in lines if line[1] >= int(query.get("since") or 0)]
        if query.get("tail", "all") != "all":
            lines = lines[len(lines) - min(len(lines), int(query["tail"])) :]
        self.stream(200)
        for line in lines:
            self._write_line(container, line)
        for line in container.follow(wanted, end) if query.get("follow") == "1" else ():
            self._write_line(container, line)

    def _write_line(self, container, line):
        stream, seconds, data = line
        if self.query.get("timestamps") == "1":
            data = f"{stamp(seconds)} ".encode() + data
        self.wfile.write(data if container.body.get("Tty") else frame(stream, data))

    def attach(self, name):
        container, query = self.hyper.container(name), self.query
        self._upgrade_asked("attach")
        wanted = {n for n, key in ((STDOUT, "stdout"), (STDERR, "stderr")) if query.get(key) == "1"}
        with container.changed:
            end = len(container.lines)
        self.stream(101)
        if query.get("stdin") == "1" and container.process.stdin:
            spawn(self._copy_in, container.process.stdin, name="fake-hyper-stdin")
        for stream, _, data in container.follow(wanted, end):
            self.wfile.write(frame(stream, data))

    def _upgrade_asked(self, what):
        if (self.headers.get("Upgrade"), self.headers.get("Connection")) != ("tcp", "Upgrade"):
            self.hyper.violate(f"{what}: no upgrade was asked for")

    def _copy_in(self, target):
        with contextlib.suppress(OSError, ValueError), target:
            while data := self.rfile.read1(4096):
                target.write(data)
                target.flush()

    def exec_create(self, name):
        if not self.hyper.container(name).running:
            raise Refusal(409, f"Container {name} is not running")
        self.known(self.body, fields.EXEC, "exec")
        made = Exec(self.hyper.next(), self.body)
        self.hyper.execs[made.id] = made
        self.answer(201, {"Id": made.id, "Warnings": []})

    def exec_start(self, name):
        self._upgrade_asked("exec")
        made = self.hyper.execs[name]
        source, outputs = made.start()
        self.stream(201, "application/json")  # as the documents have it
        feeder = spawn(self._copy_in, source, name="fake-hyper-stdin")
        lock = threading.Lock()
        readers = [
            spawn(self._copy_out, made, stream, pipe, lock, name="fake-hyper-exec")
            for stream, pipe in outputs
        ]
        for reader in readers:
            reader.join()
        made.process.wait()
        self.connection.shutdown(1)
        feeder.join(30)

    def _copy_out(self, made, stream, pipe, lock):
        with contextlib.suppress(OSError), pipe:
            while data := pipe.read(4096):
                with lock:
                    self.wfile.write(data if made.body.get("Tty") else frame(stream, data))

    def exec_inspect(self, name):
        self.answer(200, self.hyper.execs[name].inspect(), "plain/text")

    def resize(self, name):
        self.hyper.execs[name].resize(int(self.query["h"]), int(self.query["w"]))
        self.answer(201)

    # -- volumes --------------------------------------------------------------------------------------

    def volume_create(self):
        self.known(self.body, fields.VOLUME, "volume")
        if self.body.get("Driver") != "hyper" or not 10 <= int(self.body["DriverOpts"]["size"]) <= 1000:
            self.hyper.violate(f"volume: {self.body}")
        with self.hyper.lock:
            if self.body["Name"] in self.hyper.volumes:
                raise Refusal(500, f"Volume {self.body['Name']} already exists")
            volume = {"Name": self.body["Name"], "Driver": "hyper", "Labels": self.body["DriverOpts"]}
            self.hyper.volumes[self.body["Name"]] = volume
        self.answer(201, volume)

    def volumes(self):
        with self.hyper.lock:
            self.answer(200, {"Volumes": [*self.hyper.volumes.values()] or None})

    def volume_remove(self, name):
        with self.hyper.lock:
            bodies = [item.body["HostConfig"] for item in self.hyper.containers.values()]
            if any(bind.startswith(f"{name}:") for body in bodies for bind in body.get("Binds") or ()):
                raise Refusal(409, "volume is in use")
            if self.hyper.volumes.pop(name, None) is None:
                raise Refusal(404, f"No such volume: {name}")
        self.answer(204)


def _tagged(name):
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"
