"""The listener, and the life of everything behind it.

    listener --accept--> connection --handshake, head--> worker --> handler
    (poller's thread)    (intake threads, in steps)      (pool)

See `connection` for a client's way through and `limits` for what bounds it.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn
from virtual_kubelet.web.accounting import Accounting
from virtual_kubelet.web.connection import Connection
from virtual_kubelet.web.limits import DEFAULT, Limits
from virtual_kubelet.web.messages import Handler
from virtual_kubelet.web.poller import Outcome, Poller
from virtual_kubelet.web.pool import Pool
from virtual_kubelet.web.registry import Member, Phase, Registry
from virtual_kubelet.web.shared import Shared, TlsSource

__all__ = ["Server"]

logger = logging.getLogger(__name__)

BACKLOG = 512
ACCEPTED_AT_ONCE = 64  # before other sockets get their turn
FAREWELL = 0.5  # seconds at most to tell one client that the server stops
FAREWELLS = 2.0  # and all of them
OUT_OF_DESCRIPTORS = 0.2  # seconds without accepting, when the process can open no more


class Server:
    """An HTTP/1.1 server for one handler, with TLS or without; a service.

    `stop(deadline)`: the listener and idle connections are closed, endless streams are cut, requests at work
    get until shortly before the deadline, then their sockets are shut down.
    """

    def __init__(
        self,
        handler: Handler,
        *,
        address: str = "",
        port: int = 0,
        tls: TlsSource | None = None,
        name: str = "web",
        limits: Limits = DEFAULT,
        clock: Clock = SYSTEM,
        metrics: Metrics | None = None,
    ) -> None:
        """Serve on `address` ("": all, IPv6 too) and `port` (0: any free one); threads are called NAME-...."""
        self._address = address
        self._port = port
        self._registry = Registry(limits)
        self._shared = Shared(
            handler=handler,
            limits=limits,
            poller=Poller(f"{name}-poller", clock=clock),
            intake=Pool(f"{name}-intake", limits.intake),
            workers=Pool(f"{name}-worker", limits.workers),
            registry=self._registry,
            clock=clock,
            tls=tls,
            accounting=Accounting(metrics, name),
        )
        self._name = name
        self._lock = threading.Lock()
        self._listener: _Listener | None = None  # under the lock
        self._stopped = False  # under the lock

    def start(self) -> None:
        """Listen; `ConfigError` when the address cannot be had or the certificate cannot be used."""
        if self._shared.tls is not None:
            self._shared.tls.context()
        listener = _Listener(_listen(self._address, self._port))
        with self._lock:
            if self._stopped:
                listener.close()
                return
            self._listener = listener
        self._address, self._port = listener.sock.getsockname()[:2]
        self._shared.poller.start()
        self._accept_next(listener)

    @property
    def address(self) -> str:
        """The address that it listens on."""
        return self._address

    @property
    def port(self) -> int:
        """The port that it listens on: the real one, once started."""
        return self._port

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return self._registry.count()

    @property
    def streams(self) -> int:
        """How many answers in pieces and upgraded connections are open."""
        return self._registry.count(Phase.STREAM)

    def stop(self, deadline: Deadline) -> None:
        """Stop within `deadline`; see the class."""
        with self._lock:
            self._stopped = True
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
        farewells = Deadline(min(FAREWELLS, deadline.remaining() / 4), self._shared.clock)
        for connection in self._registry.begin_closing():
            connection.farewell(min(FAREWELL, farewells.remaining()))
            connection.hang_up()
            self._shared.workers.submit(connection.close)
        # A tenth is kept for those whose sockets have to be shut down.
        if not self._registry.wait_done(Deadline(deadline.remaining() * 0.9)):
            logger.warning("%s: requests are still at work; their connections are closed", self._name)
        self._close_all(deadline)
        self._shared.workers.stop()
        self._shared.intake.stop()
        # The workers last: only they may be late.
        self._shared.poller.stop(deadline)
        self._shared.intake.join(deadline)
        self._shared.workers.join(deadline)
        self._close_all(deadline)

    def _close_all(self, deadline: Deadline) -> None:
        left = self._registry.forget_all()
        for connection in left:
            connection.hang_up()
        if left:
            # A daemon: closing the pieces of an answer is foreign code, which may hang.
            closer = spawn(_close, left, name=f"{self._name}-closer", daemon=True)
            join_all([closer], deadline)

    # ------------------------------------------------------------------------------------------------------
    # On the poller's thread

    def _accept_next(self, listener: _Listener) -> None:
        self._shared.poller.wait(listener, selectors.EVENT_READ, self._acceptable)

    def _acceptable(self, outcome: Outcome) -> None:
        with self._lock:
            listener = self._listener
        if listener is None or outcome is Outcome.STOPPED:
            return
        try:
            for _ in range(ACCEPTED_AT_ONCE):
                self._take(*listener.sock.accept())
        except BlockingIOError:
            pass
        except ConnectionAbortedError:
            pass  # it went while it waited in the backlog
        except OSError as error:
            if listener.open:
                self._catch_breath(listener, error)
            return
        self._accept_next(listener)

    def _catch_breath(self, listener: _Listener, error: OSError) -> None:
        """Go on a little later: out of descriptors, the listener would be ready for ever."""
        logger.warning("%s: cannot accept connections: %s", self._name, error)
        self._registry.make_room()
        self._shared.poller.wait(listener, 0, lambda _: self._accept_next(listener), OUT_OF_DESCRIPTORS)

    def _take(self, sock: socket.socket, peer: tuple[str, int]) -> None:
        _set_options(sock)
        connection = Connection(sock, (_readable(peer[0]), peer[1]), self._shared)
        if not self._registry.admit(connection):
            logger.warning("%s: refused a connection: too many are open", self._name)
            connection.close()
        elif not self._shared.intake.submit(connection.advance):
            connection.close()


def _close(connections: list[Member]) -> None:
    for connection in connections:
        connection.close()


class _Listener:
    """A listening socket that is closed when the poller, too, has let go of it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._lock = threading.Lock()
        self._users = 0  # under the lock
        self._closed = False  # under the lock

    def fileno(self) -> int:
        return self.sock.fileno()

    def hold(self) -> bool:
        with self._lock:
            self._users += not self._closed
            return not self._closed

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            last = self._closed and not self._users
        if last:
            self.sock.close()

    @property
    def open(self) -> bool:
        return not self._closed

    def close(self) -> None:
        if not self.hold():
            return
        with self._lock:
            self._closed = True
        try:
            self.sock.shutdown(socket.SHUT_RDWR)  # wakes the poller
        except OSError:
            pass  # where a listener cannot be shut down, the poller lets go of it when it stops
        self.release()


def _listen(address: str, port: int) -> socket.socket:
    try:
        if not address and socket.has_dualstack_ipv6():
            sock = socket.create_server(
                ("", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=BACKLOG
            )
        else:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            sock = socket.create_server((address, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {address or '*'} port {port}: {error}; choose another address or port"
        ) from error
    sock.setblocking(False)
    return sock


def _set_options(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    # A peer that vanished without a word must not keep a stream open for ever.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 9)):
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _readable(address: str) -> str:
    """Return an IPv4 address as such, also when it came in over an IPv6 listener."""
    return address.removeprefix("::ffff:")
