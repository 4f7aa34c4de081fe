"""The supervisor's loop: who asks for what, which process ended, whose time is up.

Single-threaded: an operation runs to its end before the next one is looked at, so two requests to start one
container cannot race; the second is told of the first one's.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from virtual_kubelet.providers.process.supervisor import namespaces, processes, requests
from virtual_kubelet.providers.process.supervisor.cgroups import Cgroups
from virtual_kubelet.providers.process.supervisor.connection import Connection, peer_uid
from virtual_kubelet.providers.process.supervisor.container import Container
from virtual_kubelet.providers.process.supervisor.execution import Execution
from virtual_kubelet.providers.process.supervisor.outputs import Attachment, Loop
from virtual_kubelet.providers.process.supervisor.protocol import PROTOCOL, Message
from virtual_kubelet.providers.process.supervisor.records import Record, RecordStore
from virtual_kubelet.providers.process.supervisor.requests import RequestError

__all__ = ["Server"]

TICK = 0.25
LINGER = 5.0  # seconds without agent and container until the supervisor ends


class Server:
    """Everything that one supervisor has."""

    def __init__(
        self,
        directory: Path,
        listener: socket.socket,
        log: Callable[[str], None],
        cgroups: Cgroups,
        *,
        stay: bool = False,
    ) -> None:
        self._directory = directory
        self._listener = listener
        self._log = log
        self._stay = stay
        self._cgroups = cgroups
        self._loop = Loop()
        self._store = RecordStore(directory / "containers")
        self._pipes = directory / "pipes"
        self._pipes.mkdir(mode=0o700, exist_ok=True)
        self._mount_kind = namespaces.available()
        self._containers: dict[str, Container] = {}
        self._starting: dict[str, list[tuple[Connection, int]]] = {}  # who waits for which start
        self._executions: dict[tuple[Connection, int], Execution] = {}
        self._connections: set[Connection] = set()
        self._attachments: dict[tuple[Connection, int], Attachment] = {}
        self._processes: dict[int, Container | Execution] = {}  # our children that have not been reaped
        self._next_tick = 0.0
        self._last_use = time.monotonic()
        self._ending = False
        self._shutdown: list[tuple[Connection, int]] = []
        self._operations: dict[str, Callable[[Connection, Message], Any]] = {
            "hello": self._hello,
            "list": self._list,
            "start": self._start,
            "signal": self._signal,
            "kill": self._kill,
            "remove": self._remove,
            "exec": self._exec,
            "run": self._run,
            "end_exec": self._end_exec,
            "attach": self._attach,
            "detach": self._detach,
            "close_stdin": self._close_stdin,
            "follow": self._follow,
            "shutdown": self._shut_down,
        }

    # -- the loop -------------------------------------------------------------------------------------

    def serve(self) -> None:
        """Run until there is nothing left to do and nobody to do it for."""
        wake = self._catch_signals()
        self._adopt()
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), selectors.EVENT_READ, self._accept)
        self._loop.watch(wake.fileno(), selectors.EVENT_READ, lambda _events: _empty(wake))
        while not self._ending:
            for key, events in self._loop.selector.select(self._timeout()):
                # An earlier callback of this round may have closed it.
                callback = self._loop.callback(key.fd)
                if callback is not None and callback is key.data:
                    self._guard(callback, events)
            self._reap()
            self._tick()

    def _guard(self, callback: Callable[[int], None], events: int) -> None:
        try:
            callback(events)
        except Exception as error:  # noqa: BLE001 - one bad container or client must not end all the others
            self._log(f"unexpected {type(error).__name__}: {error}")

    def _catch_signals(self) -> socket.socket:
        wake, write_end = socket.socketpair()
        wake.setblocking(False)
        write_end.setblocking(False)
        signal.set_wakeup_fd(write_end.fileno(), warn_on_full_buffer=False)
        self._wake_sockets = (wake, write_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        # Told to end, it ends and leaves the containers running: its successor reads on. See `container`.
        signal.signal(signal.SIGTERM, lambda *_: self._end())
        signal.signal(signal.SIGINT, lambda *_: self._end())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        return wake

    def _end(self) -> None:
        self._ending = True

    def _adopt(self) -> None:
        for record in self._store.load():
            container = self._containers[record.id] = self._make(record)
            container.adopt()

    def _make(self, record: Record) -> Container:
        return Container(
            record,
            loop=self._loop,
            store=self._store,
            pipes=self._pipes,
            cgroups=self._cgroups,
            owner=self._store.owner(),
            on_change=self._changed,
        )

    def _timeout(self) -> float | None:
        if self._loop.busy:
            return TICK
        return None if self._in_use() else LINGER / 2

    def _in_use(self) -> bool:
        return bool(self._connections) or self._stay or self._running()

    def _running(self) -> bool:
        return any(container.record.state != "exited" for container in self._containers.values())

    def _accept(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            sock, _address = self._listener.accept()
            if peer_uid(sock) not in {os.geteuid(), 0}:
                sock.close()
                return
            self._connections.add(Connection(sock, self._loop, self._message, self._gone))

    def _reap(self) -> None:
        while True:
            try:
                # Look before the pid is given back: it still names the session whose rest is to be killed.
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None:
                return
            self._guard(lambda _events, found=found: self._ended(found), 0)  # type: ignore[misc]
            with contextlib.suppress(ChildProcessError):
                os.waitpid(found.si_pid, 0)

    def _ended(self, found: os.waitid_result) -> None:
        process = self._processes.pop(found.si_pid, None)
        if process is not None:
            process.ended(processes.wait_status(found))

    def _tick(self) -> None:
        now = time.monotonic()
        if now >= self._next_tick:
            self._next_tick = now + TICK / 2
            for item in list(self._loop.busy):
                item.tick(now)
                if not item.busy:
                    self._loop.busy.discard(item)
            self._cgroups.tidy()
        if self._in_use():
            self._last_use = now
        elif now - self._last_use >= LINGER:
            self._ending = True
        if self._shutdown and not self._running():
            self._finish_shutdown()

    # -- connections ----------------------------------------------------------------------------------

    def _gone(self, connection: Connection) -> None:
        self._connections.discard(connection)
        for key, execution in list(self._executions.items()):
            if key[0] is connection:
                execution.kill()
        for key in [key for key in self._attachments if key[0] is connection]:
            self._attachments.pop(key).close()

    def _message(self, connection: Connection, message: Message) -> None:
        request_id = message.get("id", 0)
        operation = self._operations.get(str(message.get("op")), _unknown)
        try:
            result = operation(connection, message)
        except RequestError as error:
            connection.send({"id": request_id, "error": {"code": error.code, "message": str(error)}})
        except OSError as error:
            connection.send(
                {"id": request_id, "error": {"code": "failed", "message": error.strerror or str(error)}}
            )
        else:
            if result is not None:
                connection.send({"id": request_id, "result": result})
        finally:
            for fd in message["fds"]:
                with contextlib.suppress(OSError):
                    os.close(fd)

    def _changed(self, container: Container) -> None:
        description = container.record.describe()
        state = container.record.state
        for connection, request_id in self._starting.pop(container.record.id, []):
            connection.send({"id": request_id, "result": {"container": description}})
        if state == "exited":
            for execution in list(self._executions.values()):
                if execution.container is container:
                    execution.kill()
        for connection in list(self._connections):
            if connection.wants_events:
                connection.send({"event": "container", "container": description})

    # -- operations: a result, None for "later", or RequestError --------------------------------------

    def _hello(self, connection: Connection, message: Message) -> dict[str, Any]:
        if PROTOCOL not in message.get("protocols", []):
            raise RequestError("protocol", f"this supervisor speaks protocol {PROTOCOL}")
        connection.wants_events = bool(message.get("events"))
        return {
            "protocol": PROTOCOL,
            "pid": os.getpid(),
            "boot_id": processes.boot_id(),
            "operations": sorted(self._operations),
            "mounts": self._mount_kind,
            "controllers": self._cgroups.controllers,
        }

    def _list(self, _connection: Connection, _message: Message) -> dict[str, Any]:
        return {"containers": [container.record.describe() for container in self._containers.values()]}

    def _find(self, message: Message) -> Container:
        container = self._containers.get(str(message.get("container")))
        if container is None:
            raise RequestError("not_found", f"no container {message.get('container')!r}")
        return container

    def _find_running(self, message: Message) -> Container:
        container = self._find(message)
        if container.record.state != "running" or not container.live:
            raise RequestError("not_running", "the container is not running")
        return container

    def _start(self, connection: Connection, message: Message) -> dict[str, Any] | None:
        request = requests.start_request(message)
        known = self._containers.get(request.record.id)
        if known is not None and known.record.state != "starting":
            return {"container": known.record.describe()}
        if self._shutdown:
            raise RequestError("ending", "the supervisor is ending")
        self._starting.setdefault(request.record.id, []).append((connection, message["id"]))
        if known is None:
            container = self._containers[request.record.id] = self._make(request.record)
            try:
                container.start(request, self._mount_kind)
            except OSError:
                del self._containers[request.record.id]
                del self._starting[request.record.id]
                raise
            if container.live:
                self._processes[container.record.pid] = container
        return None

    def _signal(self, _connection: Connection, message: Message) -> dict[str, Any]:
        self._find(message).send_signal(requests.signal_number(message))
        return {}

    def _kill(self, _connection: Connection, message: Message) -> dict[str, Any]:
        self._find(message).kill()
        return {}

    def _remove(self, _connection: Connection, message: Message) -> dict[str, Any]:
        container = self._containers.get(str(message.get("container")))
        if container is None:
            return {}
        if container.record.state != "exited":
            raise RequestError("running", "a container that runs cannot be removed")
        del self._containers[container.record.id]
        return container.forget()

    def _exec(self, connection: Connection, message: Message) -> dict[str, Any]:
        terminal = bool(message.get("terminal"))
        if len(message["fds"]) != (1 if terminal else 3):
            raise RequestError("invalid", "exec needs a terminal or three descriptors")
        argv = requests.argv(message)
        with self._execution(connection, message) as execution:
            execution.start(argv, message["fds"], terminal=terminal)
            self._processes[execution.pid] = execution
        return {}

    def _run(self, connection: Connection, message: Message) -> None:
        argv = requests.argv(message)
        timeout, limit = float(message.get("timeout", 0)), int(message.get("limit", 16384))
        with self._execution(connection, message) as execution:
            execution.run(argv, timeout, limit)
            self._processes[execution.pid] = execution

    @contextlib.contextmanager
    def _execution(self, connection: Connection, message: Message) -> Iterator[Execution]:
        container = self._find_running(message)
        key = (connection, int(message["id"]))
        is_run = message["op"] == "run"

        def ended(_execution: Execution, result: dict[str, Any]) -> None:
            self._executions.pop(key, None)
            if is_run:
                connection.send({"id": key[1], "result": result})
            else:
                connection.send({"event": "exec", "exec": key[1], **result})

        execution = Execution(self._loop, container, ended)
        self._executions[key] = execution
        try:
            yield execution
        except OSError:
            del self._executions[key]
            raise

    def _end_exec(self, connection: Connection, message: Message) -> dict[str, Any]:
        execution = self._executions.get((connection, int(message["exec"])))
        if execution is not None:
            execution.kill()
        return {}

    def _attach(self, connection: Connection, message: Message) -> None:
        container = self._find_running(message)
        streams = [str(name) for name in message.get("streams", [])]
        if len(streams) != len(message["fds"]):
            raise RequestError("invalid", "attach needs a descriptor for each stream")
        fds, message["fds"] = message["fds"], []
        attachment, stdin = container.attach(dict(zip(streams, fds, strict=True)))
        self._attachments[connection, int(message["id"])] = attachment
        result = {"attachment": message["id"], "stdin_once": container.record.stdin_once}
        connection.send({"id": message["id"], "result": result}, [stdin] if stdin >= 0 else [])

    def _detach(self, connection: Connection, message: Message) -> dict[str, Any]:
        attachment = self._attachments.pop((connection, int(message["attachment"])), None)
        if attachment is not None:
            attachment.close()
        return {}

    def _close_stdin(self, _connection: Connection, message: Message) -> dict[str, Any]:
        self._find(message).close_stdin()
        return {}

    def _follow(self, _connection: Connection, message: Message) -> dict[str, Any]:
        container = self._find(message)
        if len(message["fds"]) != 1:
            raise RequestError("invalid", "follow needs a descriptor")
        return {"following": container.follow(message["fds"].pop())}

    def _shut_down(self, connection: Connection, message: Message) -> dict[str, Any] | None:
        running = [item for item in self._containers.values() if item.record.state != "exited"]
        if running and not message.get("force"):
            raise RequestError("running", f"{len(running)} containers run")
        self._shutdown.append((connection, int(message["id"])))
        for container in running:
            container.send_signal(signal.SIGKILL)  # what it leaves behind is killed when it has ended
        return None

    def _finish_shutdown(self) -> None:
        for container in self._containers.values():
            container.forget()
        self._containers.clear()
        # Nobody may connect to a supervisor that ends: whoever comes now starts the next one.
        self._ending = True
        for connection, request_id in self._shutdown:
            connection.send({"id": request_id, "result": {}})


def _unknown(_connection: Connection, message: Message) -> None:
    raise RequestError("unknown_operation", f"no operation {message.get('op')!r}")


def _empty(sock: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        while sock.recv(4096):
            pass
