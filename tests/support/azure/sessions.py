"""The fake's exec and attach sessions: real WebSockets, and real processes of this machine behind exec."""

from __future__ import annotations

import secrets
import shlex
import subprocess
import threading

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError

from virtual_kubelet.runtime.threads import spawn

EOT = b"\x04"


class Session:
    def __init__(self, kind, group, container, command="", size=None):
        self.kind = kind
        self.group = group
        self.container = container
        self.command = command
        self.size = size
        self.password = secrets.token_urlsafe(16)
        self.received = b""  # what the client sent after the password
        self.refused = False
        self.ended = threading.Event()


class SessionSocket:
    """The server's end of one WebSocket, on the thread of its connection."""

    def __init__(self, connection, head, session):
        self._connection = connection
        self._session = session
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._protocol.receive_data(head)
        self._sending = threading.Lock()

    def run(self):
        try:
            request = next(self._protocol.events())
            assert isinstance(request, Request)
            if self._session is None:
                self._send(RejectConnection(status_code=404))
                return
            self._send(AcceptConnection())
            if self._admit():
                (self._exec if self._session.kind == "exec" else self._attach)()
        except OSError:
            pass  # the client has gone
        finally:
            if self._session is not None:
                self._session.ended.set()

    def _messages(self):
        while True:
            for event in self._protocol.events():
                if isinstance(event, CloseConnection):
                    self._answer(event.response())
                    return
                if isinstance(event, Ping):
                    self._answer(event.response())
                elif isinstance(event, (TextMessage, BytesMessage)):
                    yield event
            data = self._connection.recv(65536)
            self._protocol.receive_data(data or None)
            if not data:
                return

    def _admit(self):
        """The first frame is the password, as text."""
        first = next(self._messages(), None)
        if isinstance(first, TextMessage) and first.data == self._session.password:
            return True
        self._session.refused = True
        self._answer(CloseConnection(code=1008, reason="wrong password"))
        return False

    def _exec(self):
        session = self._session
        try:
            process = subprocess.Popen(
                shlex.split(session.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            self._answer(CloseConnection(code=1011, reason=f"cannot execute: {error.strerror}"))
            return
        copier = spawn(self._copy_output, process, name="fake-exec-output")
        try:
            for message in self._messages():
                data = message.data.encode() if isinstance(message, TextMessage) else bytes(message.data)
                session.received += data
                self._feed(process, data)
        finally:
            process.kill() if process.poll() is None else None
            copier.join()
            process.stdin.close()
            process.wait()

    @staticmethod
    def _feed(process, data):
        try:
            process.stdin.write(data.replace(EOT, b""))
            process.stdin.flush()
            if EOT in data:
                process.stdin.close()
        except (OSError, ValueError):
            pass  # the process has ended

    def _copy_output(self, process):
        while data := process.stdout.read1(4096):
            self._answer(BytesMessage(data=data))
        process.stdout.close()
        process.wait()
        self._answer(CloseConnection(code=1000))

    def _attach(self):
        group, session = self._session.group, self._session
        for _, line in group.logs.get(session.container, []):
            self._answer(TextMessage(data=f"{line}\n"))
        if group.container_state(session.container)["state"] == "Terminated":
            self._answer(CloseConnection(code=1000))
        for message in self._messages():
            session.received += (
                bytes(message.data, "utf-8") if isinstance(message.data, str) else bytes(message.data)
            )

    def _answer(self, event):
        try:
            self._send(event)
        except (OSError, LocalProtocolError):
            pass  # closed already

    def _send(self, event):
        with self._sending:
            self._connection.sendall(self._protocol.send(event))
