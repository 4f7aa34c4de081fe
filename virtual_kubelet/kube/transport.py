"""Connections to the API server: one urllib3 pool, made anew when certificates change on disk.

What urllib3 does not do by itself is added here: a peer that vanished is noticed by the kernel (keep-alive
probes, unacknowledged data), and a thread that is blocked in a request can be freed by another one.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import InsecureRequestWarning

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.response_head import PlainResponse
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import StopSignal

__all__ = ["Transport"]

logger = logging.getLogger(__name__)

CONNECT_TIMEOUT = 5.0
_ONCE = urllib3.Retry(False, redirect=False)  # whether to try again is the client's to decide
_UNINTERRUPTED = contextlib.nullcontext()
LOOK_PERIOD = 10.0  # seconds between two looks at the certificate files


def _socket_options() -> list[tuple[int, int, int]]:
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    # A peer that is gone without a word (power, a lost NAT entry) is given up after about 75 s.
    wanted = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}
    for name, value in wanted.items():
        number = getattr(socket, name, None)  # not every system has all of them
        if number is not None:
            options.append((socket.IPPROTO_TCP, number, value))
    return options


class _Cancel(threading.local):
    """What may interrupt the request that this thread makes."""

    signal: StopSignal | None = None
    attached: list[_Abort]


class _Abort:
    """Frees the thread that is blocked on one connection."""

    def __init__(self, sock: socket.socket | None) -> None:
        self._sock = sock

    def __call__(self) -> None:
        if self._sock is not None:
            # Not close: that does not wake a reader on Linux, and the number could be reused under it.
            # Not SSLSocket.shutdown: that takes the TLS layer away from under the reader.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._sock, socket.SHUT_RDWR)


_cancel = _Cancel()


class _Wakeable(HTTPConnection):
    """A connection that a `StopSignal` can interrupt, and that its transport can find."""

    response_class = PlainResponse
    opened: Callable[[HTTPConnection], None]
    _held: list[bytes] | None = None

    def connect(self) -> None:
        super().connect()
        self.opened(self)

    def request(self, *args: Any, **kwargs: Any) -> None:
        # Head and body in one piece: apart they are two system calls, two TLS records, two packets, and they
        # wake the server twice.
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **kwargs)
        finally:
            self._held = None
        self.send(b"".join(held))
        # Sent: from here on the thread waits for the peer. Before, the connect timeout bounds it.
        signal = _cancel.signal
        if signal is not None:
            abort = _Abort(self.sock)
            _cancel.attached.append(abort)
            signal.on_set(abort)

    def send(self, data: Any) -> None:
        if self._held is not None:
            self._held.append(data)
        else:
            super().send(data)


class _WakeableTls(_Wakeable, HTTPSConnection):
    """The same with TLS."""


class Transport:
    """Sends requests to one API server over at most `pool_size` kept connections."""

    def __init__(self, access: ApiAccess, *, pool_size: int, clock: Clock = SYSTEM) -> None:
        self._access = access
        self._pool_size = pool_size
        self._clock = clock
        self._lock = threading.Lock()
        self._live: weakref.WeakSet[HTTPConnection] = weakref.WeakSet()  # under the lock
        self._fingerprint: tuple[object, ...] = ()
        self._look_at = 0.0
        self._closed = False
        self._manager, self._pool = self._make()
        url = urllib3.util.parse_url(access.server)
        self.host = f"{url.host}:{url.port or (443 if url.scheme == 'https' else 80)}"
        self._prefix = (url.path or "").rstrip("/")

    def send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None,
        headers: Mapping[str, str],
        read_timeout: float,
        stream: bool,
        cancel: StopSignal | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """Send one request; return the answer, its body still to be read when `stream`.

        Raises what urllib3 raises. When `cancel` is set, the wait for the answer ends with such an error.
        """
        pool = self._current_pool()
        with _interruptible(cancel) if cancel is not None else _UNINTERRUPTED:
            response = pool.urlopen(
                method,
                self._prefix + path,
                body=body,
                headers=headers,
                retries=_ONCE,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=read_timeout),
                preload_content=not stream,
            )
            if stream and response.status >= 300:
                response.read(cache_content=True)  # an error, and all of it: here `cancel` ends the wait
            return response

    def close(self) -> None:
        """Close all connections; requests under way fail now."""
        with self._lock:
            self._closed = True
            live = list(self._live)
        for connection in live:
            _Abort(connection.sock)()
        self._pool.close()
        self._manager.clear()

    def _current_pool(self) -> urllib3.HTTPConnectionPool:
        with self._lock:
            now = self._clock.monotonic()
            if now < self._look_at or self._closed:
                return self._pool
            self._look_at = now + LOOK_PERIOD
            pool = self._pool
        if self._access.fingerprint() == self._fingerprint:
            return pool
        try:
            self._renew()
        except ConfigError as error:
            # Half-written files: the next look will find them whole.
            logger.warning("new certificates cannot be used yet: %s", error)
        return self._pool

    def _renew(self) -> None:
        manager, pool = self._make()
        with self._lock:
            old = self._manager
            self._manager, self._pool = manager, pool
        old.clear()  # idle connections are closed now, busy ones when their request ends
        logger.info("certificates for the API server have changed, new connections use them")

    def _make(self) -> tuple[urllib3.PoolManager, urllib3.HTTPConnectionPool]:
        access = self._access
        arguments: dict[str, Any] = {
            "maxsize": self._pool_size,
            "block": False,
            "socket_options": _socket_options(),
        }
        fingerprint = access.fingerprint()  # before the files are read: a change in between is seen
        if access.server.startswith("https:"):
            arguments["ssl_context"] = access.ssl_context()
            if access.tls.server_name:
                arguments["server_hostname"] = access.tls.server_name
            if access.tls.insecure:
                # urllib3 would warn at each request; the user was told once, when the settings were read.
                warnings.filterwarnings("ignore", category=InsecureRequestWarning)
        manager = (
            urllib3.ProxyManager(access.proxy, num_pools=1, **arguments)
            if access.proxy
            else urllib3.PoolManager(num_pools=1, **arguments)
        )
        self._fingerprint = fingerprint
        pool = manager.connection_from_url(access.server)
        base = _WakeableTls if access.server.startswith("https:") else _Wakeable
        # A class of this transport's own, so that its connections are found in its own list.
        pool.ConnectionCls = type(base.__name__, (base,), {"opened": self._opened})
        return manager, pool

    def _opened(self, connection: HTTPConnection) -> None:
        with self._lock:
            self._live.add(connection)
            closed = self._closed
        if closed:
            _Abort(connection.sock)()


@contextlib.contextmanager
def _interruptible(signal: StopSignal) -> Iterator[None]:
    _cancel.signal, _cancel.attached = signal, []
    try:
        yield
    finally:
        for abort in _cancel.attached:
            signal.forget(abort)
        _cancel.signal = None
