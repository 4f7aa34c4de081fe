"""exec and attach: a client's session with a process that the supervisor holds.

The descriptors are ours and the process's own, or the supervisor's for an attach: what an exec'd process writes
reaches the client without going through the supervisor.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.provider import ExecIO
from virtual_kubelet.providers.process.streams import End, copy_in, copy_out, copy_sizes
from virtual_kubelet.providers.process.supervisor.protocol import Message
from virtual_kubelet.providers.process.supervisor_client import SupervisorClient
from virtual_kubelet.runtime.threads import Thread, spawn

__all__ = ["attach", "execute"]

AFTER_CLIENT = 10.0  # seconds that a killed command of a client that has gone may take to end


class _Outcome:
    """What becomes of an exec: refused, started, ended. Set by the connection's thread."""

    def __init__(self, end: End) -> None:
        self._end = end
        self._started = threading.Event()
        self._ended = threading.Event()
        self._result: Message = {}
        self._error: ProviderError | None = None

    def started(self, _result: Message | None, error: ProviderError | None) -> None:
        """Take the answer to the request."""
        if error is not None:
            self.ended(None, error)
        self._started.set()

    def ended(self, result: Message | None, error: ProviderError | None) -> None:
        """Take the end of the process."""
        self._error = self._error or error
        self._result = result or {}
        self._ended.set()
        self._started.set()
        self._end.set()

    def wait_started(self) -> None:
        """Return when the process runs; raise why it does not."""
        self._started.wait()  # a broken connection answers, too
        if self._error is not None:
            raise self._error

    def wait_ended(self, timeout: float | None) -> Message:
        """Return the process's end."""
        if not self._ended.wait(timeout):
            return {"exit_code": 137}
        if self._error is not None:
            raise self._error
        return self._result


class _Descriptors:
    """Pipes or a terminal between a client and a process: its ends and ours."""

    def __init__(self) -> None:
        self.theirs: list[int] = []
        self.stdin = -1
        self.terminal = -1
        self.outputs: list[tuple[int, Callable[[bytes], None]]] = []

    def add_terminal(self, io: ExecIO) -> None:
        """Make a terminal."""
        self.terminal, slave = os.openpty()
        self.theirs.append(slave)
        self.outputs.append((os.dup(self.terminal), io.write_stdout))
        self.stdin = os.dup(self.terminal) if io.stdin else -1

    def add_input(self, *, wanted: bool) -> None:
        """Make a pipe for input, or nothing's descriptor."""
        if wanted:
            reader, self.stdin = os.pipe2(os.O_CLOEXEC)
            self.theirs.append(reader)
        else:
            self.theirs.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def add_output(self, write: Callable[[bytes], None] | None) -> None:
        """Add a pipe for output, or nothing's descriptor."""
        if write is None:
            self.theirs.append(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC))
            return
        reader, writer = os.pipe2(os.O_CLOEXEC)
        self.theirs.append(writer)
        self.outputs.append((reader, write))

    def close_theirs(self) -> None:
        """Close our copies of the other side: an end must be seen when its only owner closes it."""
        _close(self.theirs)
        self.theirs = []

    def close(self) -> None:
        """Close everything; nothing of it is in use."""
        self.close_theirs()
        _close([fd for fd, _ in self.outputs])
        _close([fd for fd in (self.stdin, self.terminal) if fd >= 0])


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _pump(
    descriptors: _Descriptors, io: ExecIO, end: End, name: str, at_eof: Callable[[], None] | None = None
) -> None:
    """Copy until all output is over. Takes over the descriptors."""
    if descriptors.stdin >= 0:
        spawn(copy_in, io, descriptors.stdin, end.share(), at_eof, name=f"{name}-stdin")
    if descriptors.terminal >= 0:
        spawn(copy_sizes, io, descriptors.terminal, end.share(), name=f"{name}-sizes")
    others: list[Thread] = [
        spawn(copy_out, fd, write, end.share(), name=f"{name}-stderr")
        for fd, write in descriptors.outputs[1:]
    ]
    for fd, write in descriptors.outputs[:1]:
        copy_out(fd, write, end.share())
    for thread in others:
        thread.join()


def execute(client: SupervisorClient, container_id: str, command: list[str], io: ExecIO) -> int:
    """Run `command` beside a container's process; return its exit code when its output has been written."""
    end = End()
    descriptors = _Descriptors()
    outcome = _Outcome(end)
    try:
        try:
            _fill(descriptors, io)
            kill = client.ask(
                "exec",
                outcome.started,
                fds=descriptors.theirs,
                ended=outcome.ended,
                container=container_id,
                argv=command,
                terminal=io.tty,
            )
            descriptors.close_theirs()
            outcome.wait_started()
        except BaseException:
            descriptors.close()
            raise
        io.on_close(kill)
        _pump(descriptors, io, end, "exec")
        return _exit_code(outcome, io)
    finally:
        end.release()


def _fill(descriptors: _Descriptors, io: ExecIO) -> None:
    if io.tty:
        descriptors.add_terminal(io)
        return
    descriptors.add_input(wanted=io.stdin)
    descriptors.add_output(io.write_stdout if io.stdout else None)
    descriptors.add_output(io.write_stderr if io.stderr else None)


def _exit_code(outcome: _Outcome, io: ExecIO) -> int:
    result = outcome.wait_ended(AFTER_CLIENT if io.closed else None)
    failure = result.get("failure")
    if failure and not io.closed:
        write = io.write_stdout if io.tty else io.write_stderr
        write(f"{failure}\n".encode())
    return int(result["exit_code"])


def attach(client: SupervisorClient, container_id: str, io: ExecIO) -> None:
    """Connect `io` to a container's own streams, until it ends or the client goes."""
    end = End()
    descriptors = _Descriptors()
    # Output is always taken, and thrown away where it is not wanted: its end is the container's.
    descriptors.add_output(io.write_stdout if io.stdout else _nothing)
    names = ["stdout"]
    if not io.tty:
        descriptors.add_output(io.write_stderr if io.stderr else _nothing)
        names.append("stderr")
    try:
        try:
            result = client.call("attach", fds=descriptors.theirs, streams=names, container=container_id)
        except BaseException:
            descriptors.close()
            raise
        descriptors.close_theirs()
        _take_input(descriptors, io, result["fds"])
        io.on_close(end.set)

        def at_eof() -> None:
            if result.get("stdin_once"):
                _forget(client, "close_stdin", container=container_id)

        _pump(descriptors, io, end, "attach", at_eof)
        end.set()
        _forget(client, "detach", attachment=result["attachment"])
    finally:
        end.release()


def _take_input(descriptors: _Descriptors, io: ExecIO, fds: list[int]) -> None:
    if not fds:
        return
    if io.tty:
        descriptors.terminal = os.dup(fds[0])
    if io.stdin:
        descriptors.stdin = fds[0]
    else:
        os.close(fds[0])


def _nothing(_data: bytes) -> None:
    pass


def _forget(client: SupervisorClient, op: str, **fields: Any) -> None:
    """Ask for something whose answer does not matter."""
    try:
        client.ask(op, lambda _result, _error: None, **fields)
    except ProviderError:
        return  # the connection is gone, and with it what was to be ended
