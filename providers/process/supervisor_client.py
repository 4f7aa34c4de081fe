"""The agent's end of the supervisor: one connection for everything, kept by one thread.

The supervisor is started when something is to be started, or when records say that containers exist; an agent
without pods has none. When the connection breaks, calls fail with `Unavailable`, and it is made again.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import virtual_kubelet
from virtual_kubelet.errors import ProviderError, Unavailable
from virtual_kubelet.providers.process.supervisor.protocol import (
    PROTOCOL,
    SOCKET_NAME,
    Message,
    unix_address,
)
from virtual_kubelet.providers.process.supervisor_connection import Answer, Connection, close_all
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal, Thread, join_all, spawn

__all__ = ["SUPERVISOR_ENVIRONMENT", "Answer", "SupervisorClient", "supervisor_command"]

logger = logging.getLogger(__name__)

CALL_TIMEOUT = 30.0
START_TIMEOUT = 30.0
RECONNECT = (0.1, 5.0)
SAFE_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Nothing of the agent's: what it may do must not leak into containers.
SUPERVISOR_ENVIRONMENT = {"PATH": SAFE_PATH, "LANG": "C.UTF-8"}


def supervisor_command(directory: Path, cgroup: str = "") -> list[str]:
    """Return the command line of a supervisor: by an isolated interpreter, from this package's own files.

    `cgroup` is the one that it may divide among the containers, "" for what systemd gave it.
    """
    script = Path(virtual_kubelet.__file__).parent / "providers/process/supervisor/__main__.py"
    command = [sys.executable, "-I", "-S", "-X", "utf8", str(script), "--dir", str(directory)]
    return [*command, "--cgroup", cgroup] if cgroup else command


class SupervisorClient:
    """Calls to the supervisor of one directory; a service. Safe from any thread."""

    def __init__(
        self,
        directory: Path,
        *,
        on_container: Callable[[Message], None],
        on_connect: Callable[[], None],
        cgroup: str = "",
        clock: Clock = SYSTEM,
    ) -> None:
        self._directory = directory
        self._cgroup = cgroup
        self._on_container = on_container
        self._on_connect = on_connect
        self._clock = clock
        self._stop = StopSignal(clock)
        self._condition = threading.Condition()
        # All under the condition:
        self._connection: Connection | None = None
        self._wanted = False
        self._failure: ProviderError | None = None  # of the newest attempt to connect
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin; connects if containers may exist."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._condition:
            if self._thread is None and not self._stop.is_set():
                self._wanted = self._wanted or self.has_records()
                self._thread = spawn(self._run, name="supervisor-client")

    def stop(self, deadline: Deadline) -> None:
        """Disconnect."""
        self._stop.set()
        with self._condition:
            thread = self._thread
            self._condition.notify_all()
        if thread is not None:
            join_all([thread], deadline)

    def has_records(self) -> bool:
        """Tell whether there may be containers: there are records of some, or it cannot be seen."""
        try:
            return bool(self.recorded())
        except OSError:  # no descriptor is left
            return True

    def recorded(self) -> list[str]:
        """Return the ids of all containers that there are records of; raise `OSError`."""
        try:
            found = list((self._directory / "containers").iterdir())
        except FileNotFoundError:
            return []
        return [path.stem for path in found if path.suffix == ".json"]

    def may_run(self) -> bool:
        """Tell whether a supervisor may be there, be it an idle one."""
        return self.has_records() or (self._directory / SOCKET_NAME).exists()

    @property
    def connected(self) -> bool:
        """Tell whether there is a connection."""
        with self._condition:
            return self._connection is not None

    @property
    def mounts(self) -> str:
        """How the supervisor can mount; connects to it to know."""
        return str(self._connect(CALL_TIMEOUT).hello.get("mounts", ""))

    @property
    def controllers(self) -> frozenset[str]:
        """What the supervisor can limit: cpu, memory; connects to it to know."""
        return frozenset(self._connect(CALL_TIMEOUT).hello.get("controllers", ()))

    # -- calls ----------------------------------------------------------------------------------------

    def call(
        self, op: str, *, within: float = CALL_TIMEOUT, fds: Sequence[int] = (), **fields: Any
    ) -> Message:
        """Ask and wait; raise the error that comes back, `Unavailable` when none comes in time."""
        deadline = Deadline(within, self._clock)
        connection = self._connect(within)
        outcome: Future[Message] = Future()

        def answer(result: Message | None, error: ProviderError | None) -> None:
            in_time = outcome.set_running_or_notify_cancel()
            if result is None:
                if in_time:
                    outcome.set_exception(error)
            elif in_time:
                outcome.set_result(result)
            else:
                close_all(result["fds"])  # a container would wait in vain for the end of its input

        connection.ask({"op": op, **fields}, fds, answer)
        wait([outcome], deadline.remaining())
        if outcome.cancel():  # no longer possible where the answer has come, be it in this moment
            raise Unavailable(f"the supervisor did not answer {op} within {within:g} s")
        return outcome.result()

    def ask(
        self,
        op: str,
        answer: Answer,
        *,
        within: float = CALL_TIMEOUT,
        fds: Sequence[int] = (),
        ended: Answer | None = None,
        **fields: Any,
    ) -> Callable[[], None]:
        """Ask and go on; return what ends the execution that was asked for.

        Raises `Unavailable` where no connection is made in time; `within=0` waits for none, but has one made.
        """
        connection = self._connect(within)
        number = connection.ask({"op": op, **fields}, fds, answer, ended)
        return lambda: _ignore_answer(connection, {"op": "end_exec", "exec": number})

    def _connect(self, timeout: float) -> Connection:
        """Return the connection, made if there is none; raise `Unavailable`."""
        deadline = Deadline(timeout, self._clock)
        with self._condition:
            self._failure = None
            while self._connection is None:
                if not self._wanted:  # at first, and where one has come and gone before we woke
                    self._wanted = True
                    self._condition.notify_all()
                if self._stop.is_set() or self._thread is None:
                    raise Unavailable("the process provider is not running")
                if self._failure is not None:
                    raise self._failure
                if deadline.expired:
                    raise Unavailable("the supervisor cannot be reached")
                self._clock.wait(self._condition, deadline.remaining())
            return self._connection

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        pause = RECONNECT[0]
        while self._wait_until_wanted():
            try:
                met = self._meet()
                if not met and not self._stop.is_set():
                    met = (
                        self._meet()
                    )  # the first one may just have ended, having had nothing to do for a while
                if not met:
                    raise Unavailable("the supervisor ended the connection at once, or refuses this agent")
            except ProviderError as error:
                if self._stop.is_set():
                    return  # its end is our doing
                logger.warning("%s", error)
                with self._condition:
                    self._failure = error
                    self._condition.notify_all()
                self._stop.wait(pause)
                pause = min(2 * pause, RECONNECT[1])
            else:
                pause = RECONNECT[0]

    def _wait_until_wanted(self) -> bool:
        with self._condition:
            while not self._wanted and not self._stop.is_set():
                self._clock.wait(self._condition, None)
            return not self._stop.is_set()

    def _meet(self) -> bool:
        """Connect and serve until the connection ends; tell whether there was a supervisor at its other end."""
        connection = self._open()
        self._serve(connection)
        return bool(connection.hello)

    def _open(self) -> Connection:
        sock = self._try_connect()
        if sock is None:
            self._launch()
            sock = self._try_connect()
        if sock is None:
            raise Unavailable(f"no supervisor listens in {self._directory}")
        return Connection(sock)

    def _try_connect(self) -> socket.socket | None:
        try:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError as error:
            raise Unavailable(f"the supervisor cannot be reached: {error}") from error
        try:
            with unix_address(self._directory / SOCKET_NAME) as address:
                sock.connect(address)
        except OSError:
            sock.close()
            return None
        return sock

    def _launch(self) -> None:
        """Start a supervisor that is nobody's child; returns when it listens."""
        try:
            ended = subprocess.run(
                supervisor_command(self._directory, self._cgroup),
                env=SUPERVISOR_ENVIRONMENT,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                start_new_session=True,
                timeout=START_TIMEOUT,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"the supervisor cannot be started: {error}") from error
        if ended.returncode != 0:
            text = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
            raise Unavailable(f"the supervisor ended at once, exit code {ended.returncode}: {text}")

    def _serve(self, connection: Connection) -> None:
        """Greet the supervisor, then read until the connection ends."""

        def greeted(result: Message | None, error: ProviderError | None) -> None:
            if result is None:
                if not self._stop.is_set():
                    logger.warning("the supervisor refuses this agent: %s", error)
                connection.break_off()
                return
            connection.hello = result
            with self._condition:
                stopped = self._stop.is_set()
                self._connection = None if stopped else connection
                self._condition.notify_all()
            if not stopped:
                self._on_connect()

        self._stop.on_set(connection.break_off)
        connection.ask({"op": "hello", "protocols": [PROTOCOL], "events": True}, (), greeted)
        try:
            connection.read(lambda event: self._on_container(event["container"]))
        finally:
            self._stop.forget(connection.break_off)
            with self._condition:
                self._connection = None
                # Nobody asks and nothing runs: leave it at that.
                self._wanted = self.has_records()
                self._condition.notify_all()
            connection.sock.close()
            if not self._stop.is_set():
                self._on_connect()


def _ignore_answer(connection: Connection, request: Message) -> None:
    connection.ask(request, (), lambda _result, _error: None)
