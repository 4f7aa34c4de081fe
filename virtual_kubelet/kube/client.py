"""Requests to the API server, on dicts: one pool of connections, one rate limit, our errors.

Every request has timeouts. A request that the server turned away unseen (429, 503 with Retry-After) is sent
again a few times, and so is an idempotent one whose kept connection turned out to be dead; everything else is
the caller's to try again, who knows best when (`errors`: `retryable`).
"""

from __future__ import annotations

import threading
from http.client import RemoteDisconnected
from typing import Any, NamedTuple
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError, ProtocolError

from virtual_kubelet import codec
from virtual_kubelet.errors import ApiUnavailable
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.failures import NONSENSE, from_answer, no_answer, retry_after
from virtual_kubelet.kube.request_meter import RequestMeter
from virtual_kubelet.kube.resources import Resource
from virtual_kubelet.kube.transport import Transport
from virtual_kubelet.kube.watch import ByteStream, Watch
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.token_bucket import TokenBucket
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import StopSignal
from virtual_kubelet.version import __version__

__all__ = ["JSON_PATCH", "MERGE_PATCH", "STRATEGIC_MERGE", "Client", "Query"]

STRATEGIC_MERGE = "application/strategic-merge-patch+json"
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"  # server-side apply; JSON is YAML too

Query = dict[str, str]

USER_AGENT = f"virtual-kubelet/{__version__}"
TIMEOUT = 30.0  # seconds to wait for an answer
MAX_TRIES = 4  # of a request that the server turns away with Retry-After
MAX_PAUSE = 10.0  # seconds that one request waits altogether because of Retry-After


class _Call(NamedTuple):
    """One request as its caller meant it."""

    method: str
    path: str
    query: Query | None
    body: Any
    content_type: str
    limited: bool
    timeout: float
    cancel: StopSignal | None
    stream: bool = False

    @property
    def idempotent(self) -> bool:
        # A JSON patch may add to a list; our other patches say how things are to be.
        return self.method != "POST" and self.content_type != JSON_PATCH

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Client:
    """A client of one API server for many threads.

    `qps` requests a second with bursts of `burst`; a `qps` of 0 or less is no limit. `limited=False` exempts
    one request, for heartbeats. Answers are dicts as on the wire. Failures are `errors.ApiError`.

    `stop`, once set, ends the waits for the rate limit and for Retry-After: what is in hand then is finished
    without them, and those who have something in hand are few. `close` ends everything.
    """

    def __init__(
        self,
        access: ApiAccess,
        *,
        pool_size: int = 16,
        qps: float = 50,
        burst: int = 100,
        clock: Clock = SYSTEM,
        metrics: Metrics | None = None,
        stop: StopSignal | None = None,
    ) -> None:
        self._access = access
        self._clock = clock
        self._stop = stop or StopSignal(clock)
        self._transport = Transport(access, pool_size=pool_size, clock=clock)
        self._bucket_lock = threading.Lock()
        self._bucket = TokenBucket(qps, max(1, burst)) if qps > 0 else None  # under its lock
        self._meter = RequestMeter(metrics or Metrics(), self._transport.host)

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._access.server

    @property
    def host(self) -> str:
        """The API server's host and port."""
        return self._transport.host

    def close(self) -> None:
        """Close every connection; requests and watches under way fail."""
        self._transport.close()

    # -- requests -------------------------------------------------------------------------------------

    def get(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        query: Query | None = None,
        limited: bool = True,
        timeout: float = TIMEOUT,
        cancel: StopSignal | None = None,
    ) -> JsonObject:
        """Return one object. For `cancel`, here and below, see `list`."""
        path = resource.path(namespace, name)
        return self._object("GET", path, query=query, limited=limited, timeout=timeout, cancel=cancel)

    def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        query: Query | None = None,
        limited: bool = True,
        timeout: float = TIMEOUT,
        cancel: StopSignal | None = None,
    ) -> JsonObject:
        """Return a list object (`items`, `metadata`), of all namespaces where none is named.

        Setting `cancel` ends the request at once.
        """
        path = resource.path(namespace)
        return self._object("GET", path, query=query, limited=limited, timeout=timeout, cancel=cancel)

    def create(
        self,
        resource: Resource,
        body: Any,
        namespace: str | None = None,
        *,
        name: str | None = None,
        subresource: str | None = None,
        query: Query | None = None,
        limited: bool = True,
        timeout: float = TIMEOUT,
        cancel: StopSignal | None = None,
    ) -> JsonObject:
        """Create an object, or POST to a subresource of the object `name`; return the answer."""
        path = resource.path(namespace, name, subresource)
        return self._object(
            "POST", path, query=query, body=body, limited=limited, timeout=timeout, cancel=cancel
        )

    def update(
        self,
        resource: Resource,
        name: str,
        body: Any,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        query: Query | None = None,
        limited: bool = True,
        timeout: float = TIMEOUT,
        cancel: StopSignal | None = None,
    ) -> JsonObject:
        """Replace an object; return it as it is now."""
        path = resource.path(namespace, name, subresource)
        return self._object(
            "PUT", path, query=query, body=body, limited=limited, timeout=timeout, cancel=cancel
        )

    def patch(
        self,
        resource: Resource,
        name: str,
        body: Any,
        namespace: str | None = None,
        *,
        subresource: str | None = None,
        content_type: str = STRATEGIC_MERGE,
        query: Query | None = None,
        limited: bool = True,
        timeout: float = TIMEOUT,
        cancel: StopSignal | None = None,
    ) -> JsonObject:
        """Patch an object; return it as it is now."""
        path = resource.path(namespace, name, subresource)
        return self._object(
            "PATCH",
            path,
            query=query,
            body=body,
            content_type=content_type,
            limited=limited,
            timeout=timeout,
            cancel=cancel,
        )

    def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        options: JsonObject | None = None,
        limited: bool = True,
        timeout: float = TIMEOUT,
    ) -> JsonObject:
        """Delete an object with `metav1.DeleteOptions`; return the object, or the Status of success."""
        path = resource.path(namespace, name)
        return self._object("DELETE", path, body=options, limited=limited, timeout=timeout)

    def get_path(
        self, path: str, *, query: Query | None = None, limited: bool = True, timeout: float = TIMEOUT
    ) -> Any:
        """Return what is at `path`, for example `/version`: JSON decoded, other content as text."""
        response = self._exchange(
            _Call("GET", path, query, None, "application/json", limited, timeout, cancel=None)
        )
        if "json" in response.headers.get("Content-Type", ""):
            return _decode(response.data, path)
        return response.data.decode("utf-8", "replace")

    def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        query: Query | None = None,
        read_timeout: float = 660.0,
        limited: bool = True,
        cancel: StopSignal | None = None,
    ) -> Watch:
        """Begin a watch; silence of more than `read_timeout` seconds counts as a broken connection.

        Setting `cancel` ends the request as long as it is not answered; later `close` the watch.
        """
        response = self._exchange(
            _Call(
                "GET",
                resource.path(namespace),
                {**(query or {}), "watch": "true"},
                None,
                "application/json",
                limited,
                read_timeout,
                cancel,
                stream=True,
            )
        )
        return Watch(response, self.host)

    def stream_path(
        self, path: str, *, query: Query | None = None, read_timeout: float = 660.0
    ) -> ByteStream:
        """Begin to read what is at `path` piece by piece, for example a log that is followed."""
        call = _Call("GET", path, query, None, "application/json", True, read_timeout, None, stream=True)
        return ByteStream(self._exchange(call), self.host)

    # -- how ------------------------------------------------------------------------------------------

    def _object(
        self,
        method: str,
        path: str,
        *,
        limited: bool,
        timeout: float,
        query: Query | None = None,
        body: Any = None,
        content_type: str = "application/json",
        cancel: StopSignal | None = None,
    ) -> JsonObject:
        call = _Call(method, path, query, body, content_type, limited, timeout, cancel)
        value = _decode(self._exchange(call).data, path)
        if not isinstance(value, dict):
            raise ApiUnavailable(f"{call}: the answer is no JSON object", reason=NONSENSE)
        return value

    def _exchange(self, call: _Call) -> urllib3.BaseHTTPResponse:
        """Send a request, again where the server asks for that; return an answer of success."""
        if call.limited:
            self._wait_for_turn(call.method)
        body = None if call.body is None else codec.dumps(call.body)
        path = f"{call.path}?{urlencode(call.query)}" if call.query else call.path
        paused = 0.0
        renewed = False
        for attempt in range(1, MAX_TRIES + 1):
            response = self._send(call, path, body)
            if response.status < 300:
                return response
            if response.status == 401 and not renewed and self._access.credentials.rejected():
                response.drain_conn()
                renewed = True
                continue
            pause = retry_after(response.headers) if response.status in {429, 503} else None
            if pause is None or attempt == MAX_TRIES or paused + pause > MAX_PAUSE:
                break
            response.drain_conn()
            paused += pause
            if self._stop.wait(pause):
                break
        raise from_answer(response.status, response.data, response.headers, str(call))

    def _send(self, call: _Call, path: str, body: bytes | None) -> urllib3.BaseHTTPResponse:
        headers = {"User-Agent": USER_AGENT, "Accept": "application/json"}
        authorization = self._access.authorization()
        if authorization:
            headers["Authorization"] = authorization
        if body is not None:
            headers["Content-Type"] = call.content_type
        began = self._clock.monotonic()
        try:
            response = self._send_alive(call, path, body, headers)
        except HTTPError as error:
            self._meter.count(call.method, "<error>", self._clock.monotonic() - began)
            raise no_answer(error, self.host) from error
        self._meter.count(call.method, str(response.status), self._clock.monotonic() - began)
        return response

    def _send_alive(
        self, call: _Call, path: str, body: bytes | None, headers: dict[str, str]
    ) -> urllib3.BaseHTTPResponse:
        """Send; once more when a kept connection was closed by the server in the moment of its reuse."""
        try:
            return self._send_once(call, path, body, headers)
        except ProtocolError as error:
            if not (call.idempotent and _is_stale(error)) or (call.cancel and call.cancel.is_set()):
                raise
        return self._send_once(call, path, body, headers)

    def _send_once(
        self, call: _Call, path: str, body: bytes | None, headers: dict[str, str]
    ) -> urllib3.BaseHTTPResponse:
        return self._transport.send(
            call.method,
            path,
            body=body,
            headers=headers,
            read_timeout=call.timeout,
            stream=call.stream,
            cancel=call.cancel,
        )

    def _wait_for_turn(self, method: str) -> None:
        if self._bucket is None:
            return
        with self._bucket_lock:
            pause = self._bucket.reserve(self._clock.monotonic())
        if not pause:
            return
        self._stop.wait(pause)
        self._meter.waited(method, pause)


def _is_stale(error: ProtocolError) -> bool:
    causes = (RemoteDisconnected, ConnectionResetError, BrokenPipeError)
    return any(isinstance(arg, causes) for arg in error.args)


def _decode(data: bytes, path: str) -> Any:
    try:
        return codec.loads(data) if data else {}
    except ValueError as error:
        raise ApiUnavailable(f"{path}: the answer is not JSON", reason=NONSENSE) from error
