"""The only place that speaks to an engine: one request, one answer; or a stream.

    Client(endpoint, version="", auth=None, probe="/_ping")
        .json(method, path, ...)     the decoded answer
        .send(method, path, ...)     the answer's status
        .stream(method, path, ...)   a Stream of bytes, closed from any thread
        .hijack(path, ...)           a connection that is the container's own from then on

Idempotent calls are tried three times within 15 seconds. The API version is negotiated at the first call and
again after the engine was away; an engine that is upgraded keeps its agent.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

import requests
import tenacity
from requests.auth import AuthBase

from virtual_kubelet import codec
from virtual_kubelet.errors import ProviderError, Unavailable
from virtual_kubelet.providers.engine import dialect, failures, hijack
from virtual_kubelet.providers.engine.adapter import UnixAdapter
from virtual_kubelet.providers.engine.dialect import Engine
from virtual_kubelet.providers.engine.endpoint import Endpoint
from virtual_kubelet.providers.engine.streams import Stream
from virtual_kubelet.runtime.threads import StopSignal
from virtual_kubelet.version import __version__
from virtual_kubelet.web.transport import Transport

__all__ = ["Client", "quoted"]

logger = logging.getLogger(__name__)

POOL = 32
CONNECT_TIMEOUT = 5.0
READ_TIMEOUT = 60.0
ATTEMPTS, ALL_ATTEMPTS = 3, 15.0
Headers = Mapping[str, str]
Query = Mapping[str, Any]


class Client:
    """A client of one engine; safe from any thread."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        version: str = "",
        auth: AuthBase | None = None,
        stop: StopSignal | None = None,
        probe: str = "/_ping",
    ) -> None:
        """`version` (`1.23`) is used as it is; without one it is negotiated. `stop` ends waits between tries.

        `probe` is what an engine is asked to see whether it answers, and who it is.
        """
        self.endpoint = endpoint
        self.probe = probe
        self._version = version.removeprefix("v")
        self._stop = stop or StopSignal()
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy and no .netrc between an agent and its engine
        self._session.auth = auth
        self._session.headers["User-Agent"] = f"virtual-kubelet/{__version__}"
        if endpoint.path:
            self._session.mount("http+unix://", UnixAdapter(endpoint, pool_maxsize=POOL))
        else:
            adapter = requests.adapters.HTTPAdapter(pool_maxsize=POOL)
            self._session.mount(endpoint.base_url, adapter)
        if endpoint.tls is not None:
            self._session.verify = endpoint.tls.roots
            if endpoint.tls.cert:
                self._session.cert = (endpoint.tls.cert, endpoint.tls.key or endpoint.tls.cert)
        self._lock = threading.Lock()
        self._engine: Engine | None = None  # under the lock
        self._connections = 0  # the same: how many have been lost

    def close(self) -> None:
        """Close idle connections; streams are their users' to close."""
        self._stop.set()
        self._session.close()

    @property
    def stopping(self) -> StopSignal:
        """Set by `close`."""
        return self._stop

    # -- which engine ---------------------------------------------------------------------------------

    def engine(self) -> Engine:
        """Return who answers; asked for once."""
        with self._lock:
            engine, connection = self._engine, self._connections
        if engine is None:
            engine = dialect.negotiate(self._ping(), self._version)
            logger.info("%s is %s, API version %s", self.endpoint, engine, engine.api)
            with self._lock:
                if connection == self._connections:  # else another engine may be there by now
                    self._engine = engine
        return engine

    def _ping(self) -> Mapping[str, str]:
        prefix = f"/v{self._version}" if self._version else ""
        return self._try("GET", f"{prefix}{self.probe}", None, {}, READ_TIMEOUT).headers

    def forget_engine(self) -> None:
        """Ask again who answers: the connection was lost."""
        with self._lock:
            self._engine = None
            self._connections += 1

    # -- calls ----------------------------------------------------------------------------------------

    def json(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Headers | None = None,
        timeout: float = READ_TIMEOUT,
        again: bool | None = None,
    ) -> Any:
        """Return the answer; None for one without a body. Raises `ProviderError`.

        Args:
            method: GET, POST, DELETE.
            path: below the version, for example `/containers/json`; its parts quoted by the caller (`quoted`).
            query: parameters; true and false become 1 and 0, None is left out.
            body: what is sent as JSON.
            headers: more of them.
            timeout: seconds without a byte.
            again: whether to try again when the engine does not answer; by default GET and DELETE.
        """
        answer = self._request(method, path, query, body, headers, timeout, again)
        if not answer.content.strip():
            return None
        try:
            return codec.loads(answer.content)
        except ValueError as error:
            raise ProviderError(f"{method} {path}: the engine's answer is not JSON") from error

    def send(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        timeout: float = READ_TIMEOUT,
        again: bool | None = None,
    ) -> int:
        """Return the status of an answer whose body does not matter: 200, 204 or 304."""
        return self._request(method, path, query, body, None, timeout, again).status_code

    def _request(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: Any,
        headers: Headers | None,
        timeout: float,
        again: bool | None,  # noqa: FBT001 - private, all positional
    ) -> requests.Response:
        url = self._path(path, query)
        data, content = _encoded(method, body)
        sent = {**content, **(headers or {})}
        if again if again is not None else method in {"GET", "DELETE"}:
            retrying = tenacity.Retrying(
                stop=tenacity.stop_after_attempt(ATTEMPTS) | tenacity.stop_after_delay(ALL_ATTEMPTS),
                wait=tenacity.wait_random_exponential(multiplier=0.2, max=2),
                retry=tenacity.retry_if_exception_type(Unavailable),
                sleep=self._pause,
                reraise=True,
            )
            answer: requests.Response = retrying(self._try, method, url, data, sent, timeout)
            return answer
        return self._try(method, url, data, sent, timeout)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Unavailable("the provider is stopping")

    def _path(self, path: str, query: Query | None) -> str:
        return f"/v{self.engine().api}{path}{_query(query)}"

    def _try(
        self, method: str, url: str, data: bytes | None, headers: Headers, timeout: float
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method,
                self.endpoint.base_url + url,
                data=data,
                headers=dict(headers),
                timeout=(CONNECT_TIMEOUT, timeout),
                allow_redirects=False,
            )
        except failures.BROKEN as error:
            raise failures.unreachable(error, str(self.endpoint)) from error
        if answer.status_code >= 400 or 300 <= answer.status_code < 304:
            raise failures.failure(answer.status_code, answer.content, f"{method} {url.partition('?')[0]}")
        return answer

    # -- streams --------------------------------------------------------------------------------------

    def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Headers | None = None,
        timeout: float | None = None,
        begin: float | None = None,
    ) -> Stream:
        """Return the bytes of an answer as they come; `timeout` seconds without a byte end it with an error.

        When the answer has not begun within `begin` seconds, `TimeoutError` is raised: ask again.
        """
        _, content = _encoded(method, None)
        # The connection is the stream's alone: one that went back to the pool at the answer's end might be another
        # call's when the stream is closed, which shuts it down.
        sent = {**content, "Connection": "close", **(headers or {})}
        url = self._path(path, query)
        try:
            answer = self._session.request(
                method,
                self.endpoint.base_url + url,
                data=b"" if method == "POST" else None,
                headers=sent,
                timeout=(CONNECT_TIMEOUT, timeout if begin is None else begin),
                stream=True,
                allow_redirects=False,
            )
            if begin is not None:
                _socket_of(answer).settimeout(timeout)
            if answer.status_code >= 400:
                raise failures.failure(answer.status_code, answer.content, f"{method} {path}")
        except requests.ReadTimeout as error:
            if begin is None:
                raise failures.unreachable(error, str(self.endpoint)) from error
            raise TimeoutError(f"{method} {path}: no answer within {begin:g} s") from error
        except failures.BROKEN as error:
            raise failures.unreachable(error, str(self.endpoint)) from error
        return Stream(answer, str(self.endpoint))

    def hijack(self, path: str, *, query: Query | None = None, body: Any = None) -> Transport:
        """POST, and return the connection: from then on it is the container's streams. Raises `ProviderError`."""
        data, headers = _encoded("POST", body)
        url = self._path(path, query)
        prepared = self._session.prepare_request(
            requests.Request("POST", self.endpoint.base_url + url, data=data or b"", headers=headers)
        )
        try:
            return hijack.open_stream(self.endpoint, prepared, url)
        except failures.BROKEN as error:
            raise failures.unreachable(error, str(self.endpoint)) from error


def quoted(text: str, safe: str = "") -> str:
    """Return one part of a path; more than one where "/" is `safe`, as in names of images."""
    return quote(text, safe=safe)


def _query(query: Query | None) -> str:
    if not query:
        return ""
    pairs = [(key, _parameter(value)) for key, value in query.items() if value is not None]
    return f"?{urlencode(pairs, quote_via=quote)}" if pairs else ""


def _parameter(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (dict, list)):
        return codec.dumps(value).decode()
    return str(value)


def _socket_of(answer: requests.Response) -> socket.socket:
    """Return the socket that an answer's body comes from."""
    raw: Any = answer.raw
    if raw.connection is not None and raw.connection.sock is not None:
        found: socket.socket = raw.connection.sock
    else:  # one that ends with its answer ("Connection: close") has handed its socket over to that
        found = raw._fp.fp.raw._sock  # noqa: SLF001 - there is no other way to it
    return found


def _encoded(method: str, body: Any) -> tuple[bytes | None, dict[str, str]]:
    if body is not None:
        return codec.dumps(body), {"Content-Type": "application/json"}
    if method == "POST":
        # What the engine's own clients send for no body; a signature covers it.
        return b"", {"Content-Type": "text/plain"}
    return None, {}
