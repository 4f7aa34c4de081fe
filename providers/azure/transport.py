"""One HTTP exchange with Azure Resource Manager: authorised, timed, throttled, and repeated where that is safe.

Only idempotent calls are repeated here: three attempts within fifteen seconds, as long as Retry-After says,
woken by stop. A PUT is not: after an answer that leaves open whether ARM took it, somebody has to look first
(`creation`).
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying, retry_if_exception

from virtual_kubelet import codec
from virtual_kubelet.errors import ProviderError, Unauthorized, Unavailable
from virtual_kubelet.providers.azure import arm_errors, auth
from virtual_kubelet.providers.azure.budget import ReadBudget
from virtual_kubelet.providers.azure.health import Health
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import StopSignal

__all__ = ["Answer", "NoAnswer", "Transport", "new_session", "trusted"]

logger = logging.getLogger(__name__)

# Longer than the agent repeats a call at once: the refusal shows in the pod's status, and ARM counts each PUT.
REFUSED_PAUSE = 20.0  # seconds before a PUT that was refused for now is sent again
TIMEOUT = (5.0, 30.0)  # seconds: connect, read
ATTEMPTS = 3
WITHIN = 15.0  # seconds from the first attempt to the start of the last
POOL = 32  # connections that are kept: workers, readers and people who look at logs
PAUSES = Backoff(initial=0.25, maximum=5.0, jitter=0.5)
THROTTLED_PAUSES = Backoff(initial=1.0, maximum=60.0)  # after a 429 that names none
READS_LEFT = "x-ms-ratelimit-remaining-subscription-reads"


@dataclass(frozen=True)
class Answer:
    """A 2xx answer."""

    status: int
    headers: Mapping[str, str]
    body: Any  # decoded JSON; None where there was none

    @property
    def operation(self) -> str:
        """The address at which ARM tells how a long-running operation ended; "" where there is none."""
        return self.headers.get("Azure-AsyncOperation") or self.headers.get("Location") or ""


class NoAnswer(Unavailable):
    """Nobody knows whether the peer took the request: it timed out, was cut, or ended in a 5xx."""


def new_session(endpoint: str) -> requests.Session:
    """Return a session for many threads: a larger pool, no cookies, retries left to us.

    Proxy and CA bundle are taken from the environment once: requests would search it for each request, which
    costs more than the request's own code.
    """
    session = requests.Session()
    session.trust_env = False
    session.proxies = requests.utils.get_environ_proxies(endpoint)
    session.verify = trusted()
    adapter = HTTPAdapter(pool_connections=4, pool_maxsize=POOL, max_retries=0)
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    return session


def trusted() -> str:
    """Return the file or folder of certificates that peers must be signed by: of the environment, else certifi's."""
    given = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"))
    return next(filter(None, given), requests.utils.DEFAULT_CA_BUNDLE_PATH)


class Transport:
    """Sends requests to one ARM endpoint; safe from any thread."""

    def __init__(
        self,
        endpoint: str,
        tokens: auth.Tokens,
        session: requests.Session,
        *,
        budget: ReadBudget,
        health: Health,
        user_agent: str,
        clock: Clock = SYSTEM,
    ) -> None:
        self._endpoint = endpoint
        self._prefix = urlsplit(endpoint).path  # "" but behind a gateway that puts ARM into a folder
        self._tokens = tokens
        self._session = session
        self._budget = budget
        self._health = health
        self._user_agent = user_agent
        self._clock = clock
        self._stop = StopSignal(clock)
        self._lock = threading.Lock()
        # By kind of call, under the lock:
        self._closed_until: dict[str, float] = {}  # monotonic
        self._throttles: dict[str, int] = {}  # pauses in a row after which ARM asked for another

    def close(self) -> None:
        """Wake calls that wait, refuse new ones, let go of idle connections."""
        self._stop.set()
        self._session.close()

    def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        *,
        what: str,
        counted: bool = False,
        vital: bool = True,
        refusals: bool = False,
    ) -> Answer:
        """Send one request and return its 2xx answer.

        Args:
            method: GET and DELETE are repeated here, others are not.
            path: below the endpoint, or a whole address that ARM gave: only its path and query are used, for a
                token goes nowhere else.
            query: added to those of `path`.
            body: a JSON value.
            what: the thing, for errors, as in `GET container group web`.
            counted: the caller has taken this read from the budget already.
            vital: what becomes of it says something about the node's health.
            refusals: return a refusal (4xx) as the answer that it is.

        Raises:
            NoAnswer: nobody knows whether ARM took it.
            ProviderError: ARM refused; the class says what that means.
        """
        wanted = {**dict(_query(path)), **(query or {})}
        call = _Call(method, self._url(path), wanted, body, f"{method} {what}", refusals)
        if method == "GET" and not counted:
            self._budget.spend()
        try:
            if method in {"GET", "DELETE"}:
                answer: Answer = self._retrying()(self._once, call)
            else:
                answer = self._once(call)
        except ProviderError as error:
            if vital:
                self._judge(method, error)
            raise
        if vital:
            self._health.succeeded()
        return answer

    def _judge(self, method: str, error: ProviderError) -> None:
        # A 5xx to one PUT may be about one pod; to a GET it is about ARM, or what all groups are in.
        silent = isinstance(error, Unavailable) and not isinstance(error, arm_errors.Throttled)
        if isinstance(error, Unauthorized) or (silent and method == "GET"):
            self._health.failed(error)
        elif not isinstance(error, NoAnswer):
            self._health.succeeded()

    def _url(self, path: str) -> str:
        parts = urlsplit(path)
        return self._endpoint + (parts.path.removeprefix(self._prefix) if parts.netloc else parts.path)

    def _retrying(self) -> Retrying:
        end = self._clock.monotonic() + WITHIN

        def enough(state: RetryCallState) -> bool:
            late = self._clock.monotonic() + self._pause_length(state) > end
            return state.attempt_number >= ATTEMPTS or late or self._stop.is_set()

        return Retrying(
            retry=retry_if_exception(lambda error: isinstance(error, Unavailable)),
            stop=enough,
            wait=self._pause_length,
            sleep=self._pause,
            reraise=True,
        )

    @staticmethod
    def _pause_length(state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, Unavailable) else None
        return asked if asked is not None else PAUSES.delay(state.attempt_number, 0.5)

    def _pause(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Unavailable("the agent stops")

    def _once(self, call: _Call) -> Answer:
        if self._stop.is_set():
            raise Unavailable("the agent stops")
        self._respect(call)
        token = self._tokens.get()
        response = self._exchange(call, token)
        if response.status_code == requests.codes.unauthorized:
            # Tokens can end early: a rotated secret, a revoked session. One fresh one, then it is final.
            self._tokens.reject(token)
            response = self._exchange(call, self._tokens.get())
        return self._understand(call, response)

    def _exchange(self, call: _Call, token: str) -> requests.Response:
        headers = {"User-Agent": self._user_agent, "Accept": "application/json"}
        data = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            data = codec.dumps(call.body)
        try:
            return self._session.request(
                call.method,
                call.url,
                params=call.query,
                data=data,
                headers=headers,
                auth=auth.Bearer(token),
                timeout=TIMEOUT,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise NoAnswer(f"{call.what}: {_reason(error)}") from error

    def _understand(self, call: _Call, response: requests.Response) -> Answer:
        self._budget.heed(response.headers.get(READS_LEFT))
        status = response.status_code
        refused = status in range(400, 500) and status not in {401, 403, 408, 429}
        if 200 <= status < 300 or (call.refusals and refused):
            try:
                body = codec.loads(response.content) if response.content.strip() else None
            except ValueError as error:
                raise NoAnswer(f"{call.what}: {status} with a body that is not JSON") from error
            with self._lock:
                self._throttles.pop(call.kind, None)
            return Answer(status, response.headers, body)
        wait = arm_errors.retry_after(response.headers, self._clock.now())
        if status == requests.codes.too_many_requests:
            wait = self._throttled(call, wait)
        refusal = arm_errors.to_error(call.what, arm_errors.from_response(status, response.content), wait)
        logger.debug("%s (request %s)", refusal, response.headers.get("x-ms-request-id", "unknown"))
        if status >= 500 or status == requests.codes.request_timeout:
            raise NoAnswer(str(refusal), retry_after=wait)
        if call.method == "PUT":
            refusal.retry_after = refusal.retry_after or REFUSED_PAUSE
        raise refusal

    def _throttled(self, call: _Call, wait: float | None) -> float:
        """Hold all calls of this kind back, not just the one that was told; return for how many seconds.

        Where ARM does not say how long, longer each time that it says so again after the pause.
        """
        with self._lock:
            now, closed = self._clock.monotonic(), self._closed_until.get(call.kind, 0.0)
            if closed <= now:
                self._throttles[call.kind] = self._throttles.get(call.kind, 0) + 1
            if wait is None:
                wait = THROTTLED_PAUSES.delay(self._throttles.get(call.kind, 1))
            self._closed_until[call.kind] = max(now + wait, closed)
            return wait

    def _respect(self, call: _Call) -> None:
        with self._lock:
            rest = self._closed_until.get(call.kind, 0.0) - self._clock.monotonic()
        if rest <= 0:
            return
        if rest > WITHIN:
            text = f"{call.what}: Azure asked for a pause of {rest:.0f} more seconds"
            raise Unavailable(text, retry_after=rest)
        self._pause(rest)


@dataclass(frozen=True)
class _Call:
    method: str
    url: str
    query: Mapping[str, str]
    body: Any
    what: str
    refusals: bool

    @property
    def kind(self) -> str:
        """What ARM counts apart: reads, writes and deletes."""
        return self.method if self.method in {"GET", "DELETE"} else "write"


def _query(path: str) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(path).query, keep_blank_values=True)


def _reason(error: requests.RequestException) -> str:
    # The whole text repeats the address and names objects by their place in memory.
    if isinstance(error, requests.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, requests.Timeout):
        return f"no answer within {TIMEOUT[1]:g} seconds"
    if isinstance(error, requests.ConnectionError):
        return "the connection failed or was cut"
    return type(error).__name__
