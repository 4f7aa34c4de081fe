"""Exec and attach: ACI's WebSockets, one for each session.

ARM hands out an address and a password (ContainerExecResponse); the password is the first text frame, input goes
as binary frames, and output, standard and error mixed, comes back in frames until the peer closes. ACI does not
tell how the process ended, nor can a terminal be resized later.

The client is websocket-client: synchronous, knows TLS and proxies, can be woken from another thread; it
comes with `kubernetes` anyway.
"""

from __future__ import annotations

import logging
import shlex
import threading
from pathlib import Path
from urllib.parse import urlsplit

import websocket

from virtual_kubelet.errors import ProviderError, Unavailable
from virtual_kubelet.provider import ExecIO, TerminalSize
from virtual_kubelet.providers.azure.client import Session
from virtual_kubelet.providers.azure.transport import trusted
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn

__all__ = ["command_line", "connect", "terminal_size"]

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 15.0  # seconds
SIZE_WAIT = 1.0  # seconds for a terminal to tell its size: kubectl does so at once
DEFAULT_SIZE = TerminalSize(80, 24)
END_OF_INPUT = b"\x04"  # what a terminal understands: the session has one at its other end
STDIN_GRACE = 2.0  # seconds for the input's thread to end after the session
NORMAL_ENDS = frozenset({1000, 1001, 1005, 1006})  # RFC 6455 7.4.1; without a status is how ACI mostly ends


def command_line(command: list[str]) -> str:
    """Return a command as the one string that ACI takes; quoted, so that the words stay apart."""
    return shlex.join(command)


def terminal_size(io: ExecIO) -> TerminalSize:
    """Return the size of the client's terminal; it has to be known before the process starts."""
    if not io.tty:
        return DEFAULT_SIZE
    sizes: list[TerminalSize] = []
    told = threading.Event()

    def first() -> None:
        for size in io.resizes():
            sizes.append(size)
            break
        told.set()

    # Ends with the session at the latest; a daemon, for a client may never tell and we do not wait for it.
    spawn(first, name="azure-exec-size", daemon=True)
    told.wait(SIZE_WAIT)
    return sizes[0] if sizes else DEFAULT_SIZE


def connect(session: Session, io: ExecIO, *, secure: bool, with_input: bool) -> None:
    """Join `io` to a session until one side ends.

    Args:
        session: what ARM handed out.
        io: the client's ends.
        secure: only wss will do.
        with_input: whether what the client sends is passed on.

    Raises:
        ProviderError: it cannot be reached, or broke in a way that is not an end.
    """
    _Relay(_open(session, secure=secure), session, io).run(with_input=with_input)


def _open(session: Session, *, secure: bool) -> websocket.WebSocket:
    parts = urlsplit(session.uri)
    if parts.scheme not in {"ws", "wss"} or (secure and parts.scheme != "wss"):
        raise ProviderError(f"Azure gave a session address that is not wss ({parts.scheme}://{parts.netloc})")
    bundle = trusted()
    trust = {"ca_cert_path" if Path(bundle).is_dir() else "ca_certs": bundle}
    try:
        return websocket.create_connection(
            session.uri, timeout=CONNECT_TIMEOUT, enable_multithread=True, suppress_origin=True, sslopt=trust
        )
    except (websocket.WebSocketException, OSError) as error:
        raise Unavailable(
            f"the session at {parts.netloc} cannot be reached: {type(error).__name__}"
        ) from error


class _Relay:
    """Copies between a WebSocket and a client."""

    def __init__(self, socket: websocket.WebSocket, session: Session, io: ExecIO) -> None:
        self._socket = socket
        self._session = session
        self._io = io

    def run(self, *, with_input: bool) -> None:
        threads = []
        self._io.on_close(self._wake)
        try:
            self._socket.settimeout(None)
            self._socket.send(self._session.password)
            if with_input:
                # A daemon: it may wait for a client that has nothing more to say and does not hang up.
                threads.append(spawn(self._copy_input, name="azure-exec-input", daemon=True))
            self._copy_output()
        except (websocket.WebSocketException, OSError) as error:
            if not self._io.closed:
                raise Unavailable(f"the session was cut: {type(error).__name__}") from error
        finally:
            self._wake()
            self._socket.shutdown()
            if self._io.closed:
                join_all(threads, Deadline(STDIN_GRACE))

    def _wake(self) -> None:
        try:
            self._socket.abort()
        except OSError:
            pass  # it has been closed already

    def _copy_output(self) -> None:
        while True:
            try:
                opcode, data = self._socket.recv_data(control_frame=True)
            except websocket.WebSocketConnectionClosedException:
                return
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                _check_end(data)
                return
            if (
                opcode in {websocket.ABNF.OPCODE_TEXT, websocket.ABNF.OPCODE_BINARY}
                and self._io.stdout
                and data
            ):
                try:
                    self._io.write_stdout(bytes(data))
                except BrokenPipeError:
                    return

    def _copy_input(self) -> None:
        last = b"\n"
        try:
            while data := self._io.read_stdin():
                self._socket.send_binary(data)
                last = data[-1:]
            if not self._io.closed and not self._io.tty:
                # In the middle of a line, a terminal takes the first for "send what there is".
                self._socket.send_binary(END_OF_INPUT * (1 if last == b"\n" else 2))
        except (websocket.WebSocketException, OSError) as error:
            logger.debug("a session ended while input was sent: %s", error)


def _check_end(data: bytes) -> None:
    code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 1005
    if code not in NORMAL_ENDS:
        said = data[2:].decode(errors="replace")
        raise ProviderError(f"Azure ended the session with {code}" + (f": {said}" if said else ""))
