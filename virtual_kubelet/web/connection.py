"""One client's connection: the handshake, then requests in turn, then perhaps an upgrade.

    accepted -> handshake -> head <-> request at work -> (stream or upgrade) -> the end
                   |          |
                   +----------+-- while nothing comes: with the poller, on no thread

Handshakes and heads are taken a step at a time, as bytes come, by the intake threads; so a slow peer costs a
descriptor for ten seconds, and no thread. A whole head goes to a worker, which stays with the connection as
long as requests follow each other closely.

At any moment one thread, or the poller, has the connection; only `close` comes from elsewhere.
"""

from __future__ import annotations

import logging
import selectors
import socket
import ssl
from collections.abc import Callable

import h11

from virtual_kubelet.errors import RequestError
from virtual_kubelet.web.delivery import Delivery
from virtual_kubelet.web.exchange import Exchange, refusal
from virtual_kubelet.web.poller import Outcome
from virtual_kubelet.web.registry import Phase
from virtual_kubelet.web.shared import Shared
from virtual_kubelet.web.transport import READ, Transport

__all__ = ["Connection"]

logger = logging.getLogger(__name__)

LAST_READ = 2.0  # seconds for a client to take our last answer in, before its unread bytes cause a reset
HTTP_TO_TLS = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n"


class Connection:
    """A client. Made by the listener, which then calls `advance` on an intake thread."""

    def __init__(self, sock: socket.socket, client: tuple[str, int], shared: Shared) -> None:
        self._shared = shared
        self._client = client
        self._socket: socket.socket | None = sock  # until `advance` has wrapped it
        self._transport = Transport(sock)
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=shared.limits.head)
        self._certificate: bytes | None = None
        self._trust: object = None
        self._deadline = shared.clock.monotonic() + shared.limits.setup_time
        self._shaken = shared.tls is None
        self._served = 0
        self._head_bytes = 0
        self._delivery: Delivery | None = None  # the request at work; set by the worker's thread

    def hang_up(self) -> None:
        """End it; from any thread, and at once. Whoever uses it notices."""
        transport = self._transport
        transport.close()
        if transport is not self._transport:  # TLS was put on it meanwhile
            self._transport.close()

    def farewell(self, patience: float) -> None:
        """Tell its client, where there is a way, that the server stops; from any thread, within `patience` seconds."""
        delivery = self._delivery
        if delivery is not None:
            delivery.farewell(patience)

    def close(self) -> None:
        """End it, and the pieces that are being sent, from any thread; closing those is foreign code."""
        self.hang_up()
        delivery = self._delivery
        if delivery is not None:
            delivery.cut()

    # ------------------------------------------------------------------------------------------------------
    # Handshake and head, in steps

    def advance(self) -> None:
        """Go on as far as the bytes that are here allow."""
        self._guarded(self._step)

    def _step(self) -> None:
        if not self._shaken and not self._shake():
            return
        head = self._next_head()
        if head is None:
            self._park()
        elif self._shared.registry.move(self, Phase.BUSY):
            if not self._shared.workers.submit(lambda: self._guarded(self._serve, head)):
                self._end()
        else:
            self._end()

    def _guarded(self, step: Callable[..., None], *args: object) -> None:
        """Run a step; whatever goes wrong in it ends this connection and nothing else."""
        try:
            step(*args)
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint, str(error))
        except RequestError as error:
            self._refuse(error.status, error.message)
        except OSError as error:
            logger.debug("%s: connection ended: %s", self._client[0], error)
            self._end()
        except Exception:
            logger.exception("%s: connection ended by an error of ours", self._client[0])
            self._end()

    def _shake(self) -> bool:
        tls = self._shared.tls
        assert tls is not None
        if self._socket is not None:
            # On this thread and not in the listener's: the context may have to be made anew first.
            self._trust, context = tls.trust(), tls.context()
            self._wrap(context)
        try:
            need = self._transport.handshake()
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._transport.send_below_tls(HTTP_TO_TLS)
            raise
        if need:
            events = selectors.EVENT_READ if need == READ else selectors.EVENT_WRITE
            self._shared.poller.wait(self._transport, events, self._woken, self._rest())
            return False
        self._shaken = True
        self._certificate = self._transport.peer_certificate()
        self._deadline = self._shared.clock.monotonic() + self._shared.limits.setup_time
        return True

    def _wrap(self, context: ssl.SSLContext) -> None:
        """Put TLS on the socket, whose descriptor goes to another object; it may be hung up at any moment."""
        bare, plain = self._transport, self._socket
        assert plain is not None
        if not bare.hold():  # or its descriptor could be closed, and be another's, while it is handed over
            raise ConnectionAbortedError("the connection was closed before its handshake")
        try:
            # Raises after a reset, upon which `wrap_socket` would leave the descriptor to the garbage collector.
            plain.getpeername()
            wrapped = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
        except BaseException:
            bare.close()  # no descriptor is left that could be waited for
            raise
        finally:
            bare.release()
        self._socket = None
        self._transport = Transport(wrapped)
        if bare.closed:
            self._transport.close()

    def _next_head(self) -> h11.Request | None:
        """Return the next request's head, None when more bytes are needed."""
        limits = self._shared.limits
        bound = limits.anonymous_head if self._certificate is None else limits.head
        while True:
            buffered = len(self._http.trailing_data[0])
            event = self._http.next_event()
            if isinstance(event, h11.Request):
                self._count_head(buffered - len(self._http.trailing_data[0]), bound)
                self._head_bytes = 0
                if event.http_version not in {b"1.1", b"1.0"}:
                    raise RequestError(505, "HTTP Version Not Supported")
                return event
            if event is not h11.NEED_DATA:
                raise ConnectionAbortedError("the client has ended the connection")
            self._count_head(buffered, bound)
            data = self._transport.recv_nowait()
            if data is None:
                return None
            self._http.receive_data(data)

    def _count_head(self, size: int, bound: int) -> None:
        if size > bound:
            raise RequestError(431, "the request's head is too long")
        if size and not self._head_bytes:
            self._deadline = self._shared.clock.monotonic() + self._shared.limits.setup_time
        self._head_bytes = size

    def _park(self) -> None:
        """Wait for the next bytes on no thread."""
        if self._served and not self._head_bytes:
            if not self._shared.registry.move(self, Phase.IDLE) or self._outdated():
                self._end()
                return
            self._deadline = self._shared.clock.monotonic() + self._shared.limits.idle_time
        self._shared.poller.wait(self._transport, selectors.EVENT_READ, self._woken, self._rest())

    def _outdated(self) -> bool:
        """Tell whether the client CAs have changed since TLS asked this client for its certificate.

        Whoever had none to show may have one now, and would be refused for as long as it keeps the connection.
        """
        tls = self._shared.tls
        return tls is not None and tls.trust() != self._trust

    def _woken(self, outcome: Outcome) -> None:
        if outcome is Outcome.STOPPED:
            self._forget()
        else:
            step = self.advance if outcome is Outcome.READY else self._expired
            if not self._shared.intake.submit(step):
                self._forget()

    def _expired(self) -> None:
        if self._head_bytes:
            self._refuse(408, "the request's head did not arrive in time")
        else:
            self._end()

    def _rest(self) -> float:
        return max(0.0, self._deadline - self._shared.clock.monotonic())

    # ------------------------------------------------------------------------------------------------------
    # Requests, on a worker's thread

    def _serve(self, head: h11.Request) -> None:
        following: h11.Request | None = head
        while following is not None:
            self._delivery = delivery = self._delivery_of(following)
            reusable = delivery.run()
            self._delivery = None
            if not reusable:
                self._end()
                return
            self._served += 1
            self._http.start_next_cycle()
            if delivery.streamed:
                # This thread no longer counts among the workers: one that does has to go on.
                self._step()
                return
            following = self._soon()
        self._park()

    def _soon(self) -> h11.Request | None:
        """Return the next head if it comes at once."""
        head = self._next_head()
        if head is not None or self._shared.workers.crowded or self._shared.registry.closing:
            return head
        return self._next_head() if self._transport.wait_readable(self._shared.limits.linger) else None

    def _delivery_of(self, head: h11.Request) -> Delivery:
        exchange = Exchange(
            self._http,
            self._transport,
            head,
            client=self._client,
            peer_certificate=self._certificate,
            limits=self._shared.limits,
            closing=lambda: self._shared.registry.closing or self._outdated(),
        )
        return Delivery(self._shared, self, self._transport, exchange)

    # ------------------------------------------------------------------------------------------------------
    # The end

    def _refuse(self, status: int, message: str) -> None:
        """Answer what was no request, and end."""
        try:
            if data := refusal(self._http, status, message):
                self._transport.send(data, LAST_READ)
        except (OSError, h11.LocalProtocolError):
            pass  # it has gone
        self._end()

    def _end(self) -> None:
        """Let the client take in our last bytes, then close: what it has sent unread would cause a reset."""
        if self._transport.closed or not self._shared.registry.move(self, Phase.ENDING):
            self._forget()
            return
        self._transport.finish()
        self._deadline = self._shared.clock.monotonic() + LAST_READ
        self._await_end()

    def _await_end(self) -> None:
        self._shared.poller.wait(self._transport, selectors.EVENT_READ, self._ending, self._rest())

    def _ending(self, outcome: Outcome) -> None:
        if outcome is Outcome.READY and self._transport.discard():
            self._await_end()
        else:
            self._forget()

    def _forget(self) -> None:
        self._transport.close()
        self._shared.registry.remove(self)
