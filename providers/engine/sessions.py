"""exec and attach: a client's session over an upgraded connection to the engine, and commands for probes."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable

from virtual_kubelet.errors import NotFound, ProviderError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.podruntime.driver import CommandResult
from virtual_kubelet.provider import ExecIO
from virtual_kubelet.providers.engine.client import Client, quoted
from virtual_kubelet.runtime.threads import StopSignal, spawn
from virtual_kubelet.web.transport import Transport
from virtual_kubelet.wire.engine_stream import STDERR, FrameDecoder
from virtual_kubelet.wire.protocol_errors import ProtocolError

__all__ = ["Sessions"]

logger = logging.getLogger(__name__)

MAX_OUTPUT = 10 * 1024  # of a probe's or hook's command: what a message holds
END_WAIT = 10.0  # seconds until an engine knows the exit code of a command whose output has ended
NOT_FOUND = ("executable file not found", "no such file or directory", "not found in $path")
NOT_ALLOWED = ("permission denied",)


class Sessions:
    """Commands and attachments in one engine."""

    def __init__(self, client: Client, *, local: bool, stop: StopSignal) -> None:
        self._client = client
        self._local = local
        self._stop = stop

    # -- exec -----------------------------------------------------------------------------------------

    def execute(self, container_id: str, command: list[str], io: ExecIO) -> int:
        """Run a command for a client; return its exit code when its output has been written."""
        exec_id = self._create(
            container_id, command, stdin=io.stdin, stdout=io.stdout, stderr=io.stderr, tty=io.tty
        )
        try:
            transport = self._start(exec_id, tty=io.tty)
        except ProviderError as error:
            return _cannot_run(error, io)
        self._serve(transport, io, f"/exec/{quoted(exec_id)}/resize")
        if io.closed:
            self._kill(exec_id)
        return self._exit_code(exec_id)

    def run(
        self, container_id: str, command: list[str], timeout: float, done: Callable[[CommandResult], None]
    ) -> None:
        """Run a command to its end or for `timeout` seconds (0: no limit); blocks, then calls `done`."""
        try:
            result = self._run(container_id, command, timeout)
        except (ProviderError, ProtocolError) as error:
            result = CommandResult(-1, error=str(error))
        except OSError as error:
            result = CommandResult(-1, error=f"the connection to the engine broke: {error}")
        done(result)

    def _run(self, container_id: str, command: list[str], timeout: float) -> CommandResult:
        end = time.monotonic() + timeout if timeout > 0 else None
        exec_id = self._create(container_id, command, stdin=False, stdout=True, stderr=True, tty=False)
        try:
            transport = self._start(exec_id, tty=False)
        except ProviderError as error:
            code = _exit_code_of(str(error))
            if code is None:
                raise
            return CommandResult(code, str(error))
        output, frames = b"", FrameDecoder()
        self._stop.on_set(transport.close)
        try:
            while data := transport.recv(timeout=None if end is None else max(0.0, end - time.monotonic())):
                output += b"".join(payload for _, payload in frames.feed(data))
                output = output[:MAX_OUTPUT]
        except TimeoutError:
            self._kill(exec_id)
            return CommandResult(-1, _text(output), timed_out=True)
        finally:
            self._stop.forget(transport.close)
            transport.close()
        return CommandResult(self._exit_code(exec_id), _text(output))

    def _create(self, container_id: str, command: list[str], *, stdin: bool, stdout: bool, stderr: bool, tty: bool) -> str:  # fmt: skip
        body: JsonObject = {
            "AttachStdin": stdin,
            "AttachStdout": stdout,
            "AttachStderr": stderr and not tty,
            "Tty": tty,
            "Cmd": command,
        }
        return str(self._client.json("POST", f"/containers/{quoted(container_id)}/exec", body=body)["Id"])

    def _start(self, exec_id: str, *, tty: bool) -> Transport:
        return self._client.hijack(f"/exec/{quoted(exec_id)}/start", body={"Detach": False, "Tty": tty})

    def _exit_code(self, exec_id: str) -> int:
        """Return the exit code, which an engine may know a moment after the output's end."""
        end = time.monotonic() + END_WAIT
        pause = 0.01
        while True:
            late = time.monotonic() > end  # the last answer is one of after the end
            answer = self._client.json("GET", f"/exec/{quoted(exec_id)}/json")
            code = answer.get("ExitCode")
            if not answer.get("Running") and code is not None:
                return int(code)
            if late or self._stop.wait(pause):
                return 137
            pause = min(2 * pause, 0.25)

    def _kill(self, exec_id: str) -> None:
        """End a command that nobody waits for. The API has no call for it: only an engine of this machine's can."""
        if not self._local:
            return
        try:
            answer = self._client.json("GET", f"/exec/{quoted(exec_id)}/json")
            pid = int(answer.get("Pid") or 0)
            if answer.get("Running") and pid > 1:
                os.kill(pid, signal.SIGKILL)
        except (ProviderError, OSError) as error:
            logger.debug("exec %s goes on: %s", exec_id, error)

    # -- attach ---------------------------------------------------------------------------------------

    def attach(self, container_id: str, io: ExecIO) -> None:
        """Connect a client to a container's own streams until it ends or the client goes."""
        query = {"stream": True, "stdin": io.stdin, "stdout": io.stdout, "stderr": io.stderr and not io.tty}
        path = f"/containers/{quoted(container_id)}"
        self._serve(self._client.hijack(f"{path}/attach", query=query), io, f"{path}/resize")

    # -- copying --------------------------------------------------------------------------------------

    def _serve(self, transport: Transport, io: ExecIO, resize_path: str) -> None:
        """Copy until the engine's side ends or the client goes."""
        io.on_close(transport.close)
        self._stop.on_set(transport.close)
        if io.stdin:
            spawn(_copy_in, io, transport, name="engine-stdin")
        if io.tty:
            spawn(self._copy_sizes, io, resize_path, name="engine-sizes")
        try:
            _copy_out(transport, io)
        finally:
            self._stop.forget(transport.close)
            transport.close()

    def _copy_sizes(self, io: ExecIO, path: str) -> None:
        for size in io.resizes():
            try:
                self._client.send("POST", path, query={"h": size.height, "w": size.width})
            except ProviderError as error:
                logger.debug("a terminal keeps its size: %s", error)  # it may have ended


def _copy_in(io: ExecIO, transport: Transport) -> None:
    try:
        while data := io.read_stdin():
            transport.send(data)
        if not io.closed:
            transport.finish()
    except OSError:
        return  # the command has ended


def _copy_out(transport: Transport, io: ExecIO) -> None:
    frames = None if io.tty else FrameDecoder()
    try:
        while data := transport.recv():
            if frames is None:
                io.write_stdout(data)
                continue
            for stream, payload in frames.feed(data):
                if stream == STDERR:
                    io.write_stderr(payload)
                else:
                    io.write_stdout(payload)
    except BrokenPipeError:
        return  # the client has gone
    except ProtocolError as error:
        raise ProviderError(str(error)) from error


def _exit_code_of(message: str) -> int | None:
    """Return what a shell's exit code would be for a command that cannot be run; None for other trouble."""
    text = message.lower()
    if any(part in text for part in NOT_FOUND):
        return 127
    return 126 if any(part in text for part in NOT_ALLOWED) else None


def _cannot_run(error: ProviderError, io: ExecIO) -> int:
    code = None if isinstance(error, NotFound) else _exit_code_of(str(error))
    if code is None:
        raise error
    if not io.closed:
        (io.write_stdout if io.tty else io.write_stderr)(f"{error}\n".encode())
    return code


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace")
