"""Questions over the network for probes and hooks: a connection, an HTTP GET, a gRPC health check.

Each is a small machine on the loop's thread: it is begun, woken when its socket is ready or its time is over, and
reports once.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

import h11

from virtual_kubelet.podruntime.grpc_check import GrpcHealth
from virtual_kubelet.podruntime.loop import Loop
from virtual_kubelet.version import __version__

__all__ = ["CheckResult", "Done", "GrpcCheck", "HttpCheck", "HttpRequest", "TcpCheck"]

MAX_BODY = 10 * 1024
MAX_REDIRECTS = 10


@dataclass(frozen=True)
class CheckResult:
    """How a check ended; `message` is for an event."""

    ok: bool
    message: str = ""
    known: bool = True  # False: it could not be asked, which says nothing of the container


Done = Callable[[CheckResult], None]


class TcpCheck:
    """A connection that succeeds or does not."""

    def __init__(self, loop: Loop, host: str, port: int, timeout: float, done: Done) -> None:
        self.loop = loop
        self.host = host
        self.port = port
        self.sock: socket.socket | None = None
        self._timeout = timeout
        self._done: Done | None = done
        self._timer = None if timeout <= 0 else loop.after(timeout, self.timed_out)

    def begin(self) -> None:
        """Connect."""
        try:
            family, address = _resolve(self.host, self.port)
            self.sock = socket.socket(family, socket.SOCK_STREAM)
            self.sock.setblocking(False)
            self.sock.connect(address)
        except BlockingIOError:
            assert self.sock is not None
            self.loop.watch(self.sock, selectors.EVENT_WRITE, self._connected)
        except OSError as error:
            self.connect_failed(error.strerror or str(error))
        else:
            self.connected()

    def _connected(self, _events: int) -> None:
        assert self.sock is not None
        number = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self.connect_failed(os.strerror(number))
        else:
            self.connected()

    def connected(self) -> None:
        """Go on."""
        self.finish(CheckResult(True))

    def connect_failed(self, reason: str) -> None:
        """Report."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.finish(CheckResult(False, f"dial tcp {name}:{self.port}: connect: {reason.lower()}"))

    def timed_out(self) -> None:
        """Report."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        self.finish(CheckResult(False, f"dial tcp {name}:{self.port}: i/o timeout"))

    def close(self) -> None:
        """Close the connection."""
        if self.sock is not None:
            self.loop.forget(self.sock)
            self.sock.close()
            self.sock = None

    def finish(self, result: CheckResult) -> None:
        """Report once."""
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
        self.close()
        if done is not None:
            done(result)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    """Return the family and address of a host.

    Names are looked up here, on the loop: a probe's host is an address in all but odd cases.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return family, (host, port)
    found, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return found, (str(address[0]), port)


@dataclass(frozen=True)
class HttpRequest:
    """What an HTTP check asks for, and where."""

    url: str
    host: str
    port: int
    headers: Mapping[str, str]
    redirects: int = 0


class HttpCheck(TcpCheck):
    """A GET whose status must be 200 to 399. Certificates are not checked, as by the kubelet."""

    def __init__(self, loop: Loop, request: HttpRequest, timeout: float, done: Done) -> None:
        super().__init__(loop, request.host, request.port, timeout, done)
        self._request = request
        self._http = h11.Connection(h11.CLIENT)
        self._out = b""
        self._response: h11.Response | None = None
        self._body = b""

    def connected(self) -> None:
        """Send the request."""
        assert self.sock is not None
        if self._request.url.startswith("https:"):
            self.loop.forget(self.sock)
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock, do_handshake_on_connect=False)
        self._out = self._head()
        self._advance(0)

    def _head(self) -> bytes:
        parts = urlsplit(self._request.url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        given = {name.lower() for name in self._request.headers}
        headers = [(name, value) for name, value in self._request.headers.items() if value]
        for name, value in (
            ("Host", parts.netloc),
            ("User-Agent", f"kube-probe/{__version__}"),
            ("Accept", "*/*"),
            ("Connection", "close"),
        ):
            if name.lower() not in given:
                headers.append((name, value))
        request = h11.Request(method="GET", target=target or "/", headers=headers)
        return (self._http.send(request) or b"") + (self._http.send(h11.EndOfMessage()) or b"")

    def _advance(self, _events: int) -> None:
        try:
            while self.sock is not None:
                if self._out:
                    sent = self.sock.send(self._out)
                    self._out = self._out[sent:]
                elif self._receive():
                    return
        except (BlockingIOError, ssl.SSLWantReadError):
            self._wait(
                selectors.EVENT_READ if not self._out or self._in_handshake() else selectors.EVENT_WRITE
            )
        except ssl.SSLWantWriteError:
            self._wait(selectors.EVENT_WRITE)
        except (OSError, h11.ProtocolError) as error:
            self._fail(error.strerror if isinstance(error, OSError) and error.strerror else str(error))

    def _in_handshake(self) -> bool:
        return isinstance(self.sock, ssl.SSLSocket)

    def _wait(self, events: int) -> None:
        assert self.sock is not None
        self.loop.watch(self.sock, events, self._advance)

    def _receive(self) -> bool:
        """Take in a piece of the answer; True when there is nothing more to learn."""
        assert self.sock is not None
        self._http.receive_data(self.sock.recv(65536))
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                return False
            if isinstance(event, h11.Response):
                self._response = event
            elif isinstance(event, h11.Data):
                self._body += event.data[: MAX_BODY - len(self._body)]
            if isinstance(event, h11.EndOfMessage) or len(self._body) >= MAX_BODY:
                self._judge()
                return True
            if isinstance(event, h11.ConnectionClosed):
                self._fail("EOF")
                return True

    def _judge(self) -> None:
        assert self._response is not None
        status = self._response.status_code
        location = dict(self._response.headers).get(b"location")
        if location and status in {301, 302, 303, 307, 308}:
            self._redirect(location.decode("latin-1"), status)
        elif 200 <= status < 400:
            self.finish(CheckResult(True, self._body.decode("utf-8", "replace")))
        else:
            self.finish(CheckResult(False, f"HTTP probe failed with statuscode: {status}"))

    def _redirect(self, location: str, status: int) -> None:
        """Follow to the same host; a redirect elsewhere counts as a success, but what is there is not asked."""
        url = urljoin(self._request.url, location)
        parts = urlsplit(url)
        if parts.hostname != urlsplit(self._request.url).hostname or parts.scheme not in {"http", "https"}:
            self.finish(CheckResult(True, f"Probe terminated redirects, Response body: {status}"))
            return
        if self._request.redirects >= MAX_REDIRECTS:
            self._fail(f"stopped after {MAX_REDIRECTS} redirects")
            return
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._request = HttpRequest(url, self.host, port, self._request.headers, self._request.redirects + 1)
        self.close()
        self.port = port
        self._http = h11.Connection(h11.CLIENT)
        self._response, self._body = None, b""
        self.begin()

    def _fail(self, reason: str) -> None:
        self.finish(CheckResult(False, f'Get "{self._request.url}": {reason}'))

    def connect_failed(self, reason: str) -> None:
        """Report."""
        self._fail(f"dial tcp {self.host}:{self.port}: connect: {reason.lower()}")

    def timed_out(self) -> None:
        """Report."""
        self._fail("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")


class GrpcCheck(TcpCheck):
    """The health service's answer."""

    def __init__(
        self, loop: Loop, host: str, port: int, question: GrpcHealth, timeout: float, done: Done
    ) -> None:
        super().__init__(loop, host, port, timeout, done)
        self._question = question
        self._out = b""

    def connected(self) -> None:
        """Ask."""
        self._advance(0)

    def _advance(self, _events: int) -> None:
        try:
            while self.sock is not None:
                self._out += self._question.to_send()
                if self._out:
                    self._out = self._out[self.sock.send(self._out) :]
                    continue
                self._question.receive(self.sock.recv(65536))
                if self._question.outcome is not None:
                    ok, text = self._question.outcome
                    self.finish(CheckResult(ok, text))
        except BlockingIOError:
            events = selectors.EVENT_WRITE if self._out else selectors.EVENT_READ
            assert self.sock is not None
            self.loop.watch(self.sock, events, self._advance)
        except OSError as error:
            self.connect_failed(error.strerror or str(error))
