"""One request and its answer, on a connection whose bytes h11 understands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from http import HTTPStatus

import h11

from virtual_kubelet.errors import RequestError
from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.messages import Headers, Request, Response, Upgrade
from virtual_kubelet.web.transport import Transport

__all__ = ["Exchange", "refusal"]

SKIP = 65536  # bytes of an unread body that are thrown away to keep the connection
FRAMING = frozenset({"connection", "content-length", "transfer-encoding", "date"})


class Exchange:
    """A request, whose body it reads, and the bytes of its answer."""

    def __init__(
        self,
        http: h11.Connection,
        transport: Transport,
        head: h11.Request,
        *,
        client: tuple[str, int],
        peer_certificate: bytes | None,
        limits: Limits,
        closing: Callable[[], bool],
    ) -> None:
        self._http = http
        self._transport = transport
        self._limits = limits
        self._closing = closing
        self._length = _content_length(head)
        self._sealed = False
        self.started = False
        """Whether anything of the final answer has been sent."""
        self.request = Request(
            method=head.method.decode("ascii"),
            target=head.target.decode("ascii"),
            headers=Headers(
                (name.decode("ascii"), value.decode("latin-1")) for name, value in head.headers.raw_items()
            ),
            client=client,
            peer_certificate=peer_certificate,
            secure=transport.secure,
            body=self,
        )

    # ------------------------------------------------------------------------------------------------------
    # The request's body

    def read(self, limit: int | None) -> bytes:
        """Return the whole body."""
        bound = self._limits.body if limit is None else limit
        pieces, size = [], 0
        if self._length is not None and self._length > bound:
            raise RequestError(413, f"the request's body is longer than {bound} bytes")
        for piece in self.pieces():
            size += len(piece)
            if size > bound:
                raise RequestError(413, f"the request's body is longer than {bound} bytes")
            pieces.append(piece)
        return b"".join(pieces)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        if self._sealed:
            raise RuntimeError("a request's body has to be read before its answer begins")
        if self._http.their_state is not h11.SEND_BODY:
            return
        if self._http.they_are_waiting_for_100_continue:
            self._send(h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue"))
        while True:
            event = self._next_event()
            if event is h11.NEED_DATA:
                self._receive()
            elif isinstance(event, h11.Data):
                yield bytes(event.data)
            else:
                return

    def _receive(self) -> None:
        try:
            self._http.receive_data(self._transport.recv(timeout=self._limits.stall_time))
        except TimeoutError as error:
            raise RequestError(408, "the request's body did not arrive in time") from error

    def _next_event(self) -> object:
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError as error:
            raise RequestError(400, f"the request's body is broken: {error}") from error

    def _skip_body(self) -> bool:
        """Throw away what is left of the body if it is short and here already; False where it is not."""
        if self._http.they_are_waiting_for_100_continue:
            return False
        skipped = 0
        while self._http.their_state is h11.SEND_BODY and skipped <= SKIP:
            try:
                event = self._http.next_event()
            except h11.RemoteProtocolError:
                return False
            if event is h11.NEED_DATA:
                data = self._transport.recv_nowait()
                if not data:
                    return False
                self._http.receive_data(data)
            elif isinstance(event, h11.Data):
                skipped += len(event.data)
        return self._http.their_state not in {h11.SEND_BODY, h11.ERROR}

    # ------------------------------------------------------------------------------------------------------
    # The answer

    def send_whole(self, response: Response) -> None:
        """Send an answer whose body is bytes, in one write."""
        body = response.body if isinstance(response.body, bytes) else b""
        headers = self._fields(response)
        if response.status not in {204, 304}:
            headers.append(("Content-Length", str(len(body))))
        parts = [self._encode(_response(response.status, headers))]
        if body and self.request.method != "HEAD" and response.status not in {204, 304}:
            parts.append(self._encode(h11.Data(data=body)))
        parts.append(self._encode(h11.EndOfMessage()))
        self._write(b"".join(parts), self._limits.write_time)

    def send_head(self, response: Response) -> None:
        """Begin an answer in pieces."""
        self._write(self._encode(_response(response.status, self._fields(response))), None)

    def send_piece(self, piece: bytes) -> None:
        """Send the next piece; waits while the client is slow."""
        if piece and self.request.method != "HEAD":
            self._write(self._encode(h11.Data(data=piece)), None)

    def send_end(self) -> None:
        """End an answer in pieces."""
        self._write(self._encode(h11.EndOfMessage()), self._limits.write_time)

    def switch(self, upgrade: Upgrade) -> None:
        """Send 101; what the client has sent behind its request is the transport's next bytes."""
        if not self.request.wants_upgrade(upgrade.protocol):
            raise RequestError(
                400, f"this path needs an upgraded connection: send Upgrade: {upgrade.protocol}"
            )
        if not self._skip_body():
            raise RequestError(400, "a request for an upgrade has no body")
        fields = [("Connection", "Upgrade"), ("Upgrade", upgrade.protocol), *upgrade.headers]
        head = h11.InformationalResponse(
            status_code=101, headers=_encoded(fields), reason=b"Switching Protocols"
        )
        data = self._encode(head)
        self._write(data, self._limits.write_time)
        self._transport.push_back(self._http.trailing_data[0])

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    def _fields(self, response: Response) -> list[tuple[str, str]]:
        headers = [item for item in response.headers if item[0].lower() not in FRAMING]
        headers.append(("Date", formatdate(usegmt=True)))
        if response.content_type:
            headers.append(("Content-Type", response.content_type))
        self._sealed = True
        # A body that was not read would be taken for the next request.
        if not self._skip_body() or self._closing():
            headers.append(("Connection", "close"))
        return headers

    def _send(self, event: h11.Event) -> None:
        self._transport.send(self._encode(event), self._limits.write_time)

    def _write(self, data: bytes, timeout: float | None) -> None:
        self.started = True
        self._transport.send(data, timeout)

    def _encode(self, event: h11.Event) -> bytes:
        return self._http.send(event) or b""


def refusal(http: h11.Connection, status: int, message: str) -> bytes:
    """Return the last answer of a connection whose bytes made no request; b"" when it is too late for one."""
    if http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}:
        return b""
    body = message.encode() + b"\n"
    head = _response(
        status,
        [
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Date", formatdate(usegmt=True)),
            ("Connection", "close"),
        ],
    )
    events = (head, h11.Data(data=body), h11.EndOfMessage())
    return b"".join(http.send(event) or b"" for event in events)


def _response(status: int, headers: Sequence[tuple[str, str]]) -> h11.Response:
    try:
        reason = HTTPStatus(status).phrase.encode()
    except ValueError:
        reason = b""
    return h11.Response(status_code=status, headers=_encoded(headers), reason=reason)


def _encoded(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


def _content_length(head: h11.Request) -> int | None:
    for name, value in head.headers:
        if name == b"content-length":
            return int(value)
    return None
