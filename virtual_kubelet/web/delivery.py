"""Serving one request on a worker's thread: the handler, then its answer, however long that takes.

A whole answer is sent in one write. An answer in pieces, or an upgraded connection, is a stream: it needs one of
the server's places for streams, and its thread leaves the count of the workers.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import h11

from virtual_kubelet.errors import ProviderError, RequestError
from virtual_kubelet.web.answers import from_error
from virtual_kubelet.web.exchange import Exchange
from virtual_kubelet.web.messages import Response, Upgrade, text
from virtual_kubelet.web.registry import Member, Phase
from virtual_kubelet.web.shared import Shared
from virtual_kubelet.web.streaming import ClientWatch, close_body
from virtual_kubelet.web.transport import Transport

__all__ = ["Delivery"]

logger = logging.getLogger(__name__)


class Delivery:
    """One request of `member` and its answer."""

    def __init__(self, shared: Shared, member: Member, transport: Transport, exchange: Exchange) -> None:
        self._shared = shared
        self._member = member
        self._transport = transport
        self._exchange = exchange
        self._farewell: Callable[[float], None] = lambda _patience: None  # set by the worker's thread
        self._body: object = None  # the pieces that are being sent; set and cleared by the worker's thread
        self.streamed = False
        """Whether it became a stream: then the thread no longer counts among the workers."""

    def run(self) -> bool:
        """Serve the request; tell whether the connection may carry another.

        Raises `OSError` when the client has gone.
        """
        request = self._exchange.request
        begin = self._shared.clock.monotonic()
        answer: Response | Upgrade
        try:
            answer = self._shared.handler(request)
        except Exception as error:  # noqa: BLE001 - the one place where a handler's failure becomes an answer
            answer = from_error(error, request)
        status = self._answer(answer)
        seconds = self._shared.clock.monotonic() - begin
        # Without the query: a command line may hold secrets.
        logger.debug(
            "%s %s from %s: %d in %.3f s", request.method, request.path, request.client[0], status, seconds
        )
        self._shared.accounting.done(request, seconds, stream=self.streamed)
        return self._exchange.reusable

    def farewell(self, patience: float) -> None:
        """Let an upgraded connection's owner say that the server stops; from any thread, before it is closed."""
        self._farewell(patience)

    def cut(self) -> None:
        """Close the pieces that are being sent, from any thread; the transport is closed before."""
        body = self._body
        if body is not None:
            close_body(body)

    def _answer(self, answer: Response | Upgrade) -> int:
        try:
            if isinstance(answer, Upgrade):
                return self._upgrade(answer)
            if isinstance(answer.body, bytes):
                return self._whole(answer)
            return self._pieces(answer)
        except h11.LocalProtocolError:
            logger.exception("%s has an answer that is no HTTP", self._exchange.request.path)
            if self._exchange.started:
                raise
            self._shared.registry.move(self._member, Phase.BUSY)
            return self._whole(text(500, "Internal Server Error"))

    def _whole(self, answer: Response) -> int:
        self._exchange.send_whole(answer)
        return answer.status

    # ------------------------------------------------------------------------------------------------------
    # Streams

    def _pieces(self, answer: Response) -> int:
        if not self._shared.registry.begin_stream(self._member, endless=answer.endless):
            close_body(answer.body)
            return self._whole(self._too_many())
        # Before the head is sent: whoever closes the transport first and cuts then either finds the body
        # here, or lets the head fail.
        self._body = answer.body
        self._begin()
        try:
            self._send_pieces(answer)
        finally:
            self._body = None
            close_body(answer.body)
            self._end()
        self._shared.registry.move(self._member, Phase.BUSY)
        return answer.status

    def _send_pieces(self, answer: Response) -> None:
        self._exchange.send_head(answer)
        # Closing a body is foreign code: that is work for a worker, not for the few intake threads.
        watch = ClientWatch(self._transport, self._shared.poller, self._shared.workers, self._member.close)
        watch.start()
        try:
            if self._exchange.request.method != "HEAD" and not isinstance(answer.body, bytes):
                for piece in answer.body:
                    self._exchange.send_piece(piece)
        except ProviderError as error:
            # Too late for a status: an answer without its end tells the client.
            raise ConnectionAbortedError(str(error)) from error
        finally:
            watch.stop()
        self._exchange.send_end()

    def _upgrade(self, upgrade: Upgrade) -> int:
        if not self._shared.registry.begin_stream(self._member, endless=True):
            upgrade.refused()
            return self._whole(self._too_many())
        try:
            self._exchange.switch(upgrade)
        except RequestError as error:
            upgrade.refused()
            self._shared.registry.move(self._member, Phase.BUSY)
            return self._whole(text(error.status, error.message))
        except BaseException:
            upgrade.refused()
            raise
        self._begin()
        self._farewell = upgrade.stopping
        try:
            upgrade.run(self._transport)
        finally:
            self._transport.close()
            self._end()
        return 101

    def _begin(self) -> None:
        self._shared.workers.detach()
        self.streamed = True
        self._shared.accounting.stream(self._exchange.request, 1)

    def _end(self) -> None:
        self._shared.accounting.stream(self._exchange.request, -1)

    def _too_many(self) -> Response:
        if self._shared.registry.closing:
            return text(503, "the server is shutting down")
        logger.warning("refused a stream: %d are open, which is the limit", self._shared.limits.streams)
        return text(503, "too many streams are open", {"Retry-After": "1"})
