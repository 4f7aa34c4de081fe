"""What handlers get and give: `Request` in, `Response` or `Upgrade` out.

A handler is any callable `handler(request) -> Response | Upgrade`; it runs on a thread of its own for as long
as it likes. It may raise `RequestError` or a `ProviderError`, which become answers (`web.answers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from urllib.parse import parse_qs, unquote

from virtual_kubelet.web.transport import Transport

__all__ = ["Body", "Handler", "Headers", "Request", "Response", "Upgrade", "text"]

TEXT = "text/plain; charset=utf-8"


class Headers:
    """Header fields in the order of their arrival; names compare without case."""

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items = tuple(items)

    def get(self, name: str, default: str = "") -> str:
        """Return the first value of `name`."""
        name = name.lower()
        return next((value for key, value in self._items if key.lower() == name), default)

    def get_all(self, name: str) -> list[str]:
        """Return every value of `name`, one an occurrence."""
        name = name.lower()
        return [value for key, value in self._items if key.lower() == name]

    def tokens(self, name: str) -> list[str]:
        """Return the comma-separated words of every `name` field, in order (RFC 9110, 5.6.1)."""
        words = (word.strip() for value in self.get_all(name) for word in value.split(","))
        return [word for word in words if word]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self.get_all(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        # Values may be credentials.
        return f"Headers({', '.join(name for name, _ in self._items)})"


class Body(Protocol):
    """Where a request's body comes from."""

    def read(self, limit: int | None) -> bytes:
        """Return all of it; `RequestError` 413 when it is longer than `limit` bytes."""

    def pieces(self) -> Iterator[bytes]:
        """Yield it as it arrives, unbounded."""


class _NoBody:
    def read(self, limit: int | None) -> bytes:
        return b""

    def pieces(self) -> Iterator[bytes]:
        return iter(())


@dataclass(eq=False)
class Request:
    """One request, its head parsed and its body still on the wire."""

    method: str
    target: str
    """The request target as sent: path and query, percent-encoded."""
    headers: Headers = field(default_factory=Headers)
    client: tuple[str, int] = ("", 0)
    """The peer's address and port."""
    peer_certificate: bytes | None = None
    """The client's certificate, DER, verified against the server's client CA; None: it showed none."""
    secure: bool = False
    """Whether it came over TLS."""
    body: Body = field(default_factory=_NoBody, repr=False)

    # Filled in on the way to the handler.
    route: dict[str, str] = field(default_factory=dict)
    """The pattern's parameters, percent-decoded (the rest of a path excepted, see `routing`)."""
    pattern: str = ""
    """The pattern that matched, "" where none did: a metric's label."""
    user: Any = None
    """Who calls, set by authentication."""

    def __post_init__(self) -> None:
        target = self.target
        if not target.startswith("/") and "://" in target:  # absolute form, as sent through a proxy
            _, _, rest = target.partition("://")
            target = "/" + rest.partition("/")[2]
        self.raw_path, _, self.query_string = target.partition("?")
        self.path = unquote(self.raw_path)
        # Bytes that are no UTF-8 survive as surrogates, and os.fsencode gives them back: exec's `command`.
        self.query: dict[str, list[str]] = parse_qs(
            self.query_string, keep_blank_values=True, errors="surrogateescape"
        )

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a query parameter."""
        values = self.query.get(name)
        return values[0] if values else default

    def read(self, limit: int | None = None) -> bytes:
        """Return the whole body; `RequestError` 413 above `limit` bytes (None: the server's own limit)."""
        return self.body.read(limit)

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives, of any length; all of it before the answer begins."""
        return self.body.pieces()

    def wants_upgrade(self, protocol: str) -> bool:
        """Tell whether the client asks to switch to `protocol`, for example `websocket` or `SPDY/3.1`."""
        connection = {word.lower() for word in self.headers.tokens("Connection")}
        offered = {word.lower() for word in self.headers.tokens("Upgrade")}
        return "upgrade" in connection and protocol.lower() in offered


@dataclass(eq=False)
class Response:
    """An answer. Content-Length, Transfer-Encoding, Date and Connection are the server's to add."""

    status: int = 200
    body: bytes | Iterable[bytes] = b""
    """Bytes, or pieces: each is sent as it comes, chunked.

    Pieces with a `close()` are closed when they ended, when the client went away, or when the server stops; it
    is then called from another thread while `__next__` may be waiting, and has to wake it. (A generator
    cannot be woken: its client's leaving is noticed when it yields the next piece.)
    """
    content_type: str = ""
    headers: Sequence[tuple[str, str]] = ()
    endless: bool = True
    """Of pieces: they may go on for ever (a watch, a followed log), so a stopping server cuts them at once
    instead of waiting for their end."""


@dataclass(eq=False)
class Upgrade:
    """The server answers 101 and then calls `run(transport)`, on the connection's thread.

    When `run` returns or raises, the transport is closed. It is closed too when the server stops.
    """

    protocol: str
    """The value of the Upgrade field, for example `SPDY/3.1`."""
    run: Callable[[Transport], None]
    headers: Sequence[tuple[str, str]] = ()
    """Fields of the 101 beside Connection and Upgrade, for example Sec-WebSocket-Accept."""
    refused: Callable[[], None] = lambda: None
    """Called in place of `run` when the server cannot switch, for example with too many streams open."""
    stopping: Callable[[float], None] = lambda _patience: None
    """Called when the server stops, from another thread and just before the transport is closed; may wait, but for
    no more than `patience` seconds."""


Handler: TypeAlias = "Callable[[Request], Response | Upgrade]"


def text(status: int, message: str, headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()) -> Response:
    """Return a plain-text answer that ends with a newline."""
    pairs = tuple(headers.items()) if isinstance(headers, Mapping) else tuple(headers)
    return Response(status, message.rstrip("\n").encode("utf-8", "replace") + b"\n", TEXT, pairs)
