"""Tokens for Azure Resource Manager: got by the credential's kind, cached, refreshed before they expire.

A service principal's token is one POST (OAuth 2.0 client credentials, RFC 6749 section 4.4), made here: to the v1
endpoint of Entra ID, which every cloud has had from its beginning, or to v2.0 where there is no v1. Managed and workload identity have a dozen environments and rules each: those are
azure-identity's, the extra `[azure]`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import requests
from requests.auth import AuthBase

from virtual_kubelet.errors import ConfigError, ProviderError, Unauthorized, Unavailable
from virtual_kubelet.providers.azure import clouds
from virtual_kubelet.providers.azure.credentials import Credential, Kind
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Bearer", "Token", "Tokens", "source"]

logger = logging.getLogger(__name__)

REFRESH_BEFORE = 300.0  # seconds before its end at which a token is replaced
REFUSED_FOR = 10.0  # seconds for which a refusal is believed: every call of every pod would ask again
SHORTEST_LIFE = 30.0  # seconds: what we assume of a token that says nothing believable
ABSENT = frozenset(
    {404, 405, 410}
)  # there is no such endpoint: refusals are 400 and 401 (RFC 6749 section 5.2)
TIMEOUT = (5.0, 15.0)  # seconds: connect, read


@dataclass(frozen=True)
class Token:
    """An access token, its end, and when to ask for the next; seconds since the epoch."""

    value: str = field(repr=False)
    expires_at: float
    refresh_at: float

    @classmethod
    def living(cls, value: str, now: float, life: float) -> Token:
        """Return a token that lives for `life` seconds from `now`."""
        life = max(life, SHORTEST_LIFE)
        return cls(value, now + life, now + life - min(REFRESH_BEFORE, life / 2))


class Bearer(AuthBase):
    """Puts a token into a request.

    As an `auth` of requests, which a ~/.netrc entry for the host cannot replace.
    """

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Set the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


class Tokens:
    """One cached token for many threads.

    While one thread fetches a new one, the others go on with the old one as long as it lives; without one they
    wait, and share the fetch's failure. A refresh that fails is not an error until the old token has ended.
    """

    def __init__(self, fetch: Callable[[], Token], clock: Clock = SYSTEM) -> None:
        self._fetch = fetch
        self._clock = clock
        self._changed = threading.Condition()  # guards what follows
        self._token: Token | None = None
        self._fetching = False
        self._rounds = 0  # fetches that have ended
        self._failure: ProviderError | None = None  # of the last one
        self._ended_at = 0.0  # monotonic: when the last one ended

    def get(self) -> str:
        """Return a token that has not ended.

        Raises:
            Unauthorized: the credential is refused.
            Unavailable: the token endpoint cannot be reached.
        """
        with self._changed:
            round_before = self._rounds
            while True:
                token, refused = self._token, self._is_refused()
                waits = self._fetching or refused
                if token and self._clock.now() < (token.expires_at if waits else token.refresh_at):
                    return token.value
                if self._failure and (self._rounds > round_before or refused):
                    raise self._failure
                if not self._fetching:
                    self._fetching = True
                    break
                self._changed.wait()
        return self._refresh()

    def reject(self, value: str) -> None:
        """Forget the token `value`, which the peer did not accept, unless it was replaced meanwhile."""
        with self._changed:
            if self._token and self._token.value == value:
                self._token = None

    def _is_refused(self) -> bool:
        """Tell whether the last fetch was refused a moment ago; under the lock."""
        late = self._clock.monotonic() - self._ended_at >= REFUSED_FOR
        return isinstance(self._failure, Unauthorized) and not late

    def _refresh(self) -> str:
        fresh: Token | None = None
        failure: ProviderError | None = None
        try:
            fresh = self._fetch()
        except ProviderError as error:
            failure = error
        finally:
            with self._changed:
                self._fetching = False
                self._rounds += 1
                self._failure = failure
                self._ended_at = self._clock.monotonic()
                self._token = token = fresh or self._token
                self._changed.notify_all()
        if failure is not None:
            if token is None or self._clock.now() >= token.expires_at:
                raise failure
            logger.warning("the Azure token could not be refreshed yet: %s", failure)
        assert token is not None
        return token.value


def source(credential: Credential, session: requests.Session, clock: Clock = SYSTEM) -> Tokens:
    """Return the tokens of `credential`.

    Raises:
        ConfigError: it needs azure-identity, which is not installed.
    """
    if credential.kind is Kind.SERVICE_PRINCIPAL:
        return Tokens(_ServicePrincipal(credential, session, clock), clock)
    return Tokens(_Identity(credential, clock), clock)


class _ServicePrincipal:
    """Client credentials: one POST for a token. One fetch at a time (`Tokens` sees to that)."""

    def __init__(self, credential: Credential, session: requests.Session, clock: Clock) -> None:
        self._credential = credential
        self._session = session
        self._clock = clock
        base = f"{credential.active_directory}/{quote(credential.tenant_id, safe='')}/oauth2"
        # Address, and what of the form is not the same at all of them.
        self._endpoints = [
            (f"{base}/token", {"resource": credential.resource}),
            (f"{base}/v2.0/token", {"scope": f"{credential.resource_manager}/.default"}),
        ]

    def __call__(self) -> Token:
        response = self._ask(*self._endpoints[0])
        if response.status_code in ABSENT and len(self._endpoints) > 1:
            other = self._ask(*self._endpoints[1])
            if other.status_code not in ABSENT:
                del self._endpoints[0]
                response = other
        document = _json(response)
        if response.status_code != requests.codes.ok:
            raise self._refusal(response.status_code, document)
        return self._token(document)

    @property
    def _url(self) -> str:
        return self._endpoints[0][0]

    def _ask(self, url: str, audience: dict[str, str]) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._credential.client_id,
            "client_secret": self._credential.client_secret,
            **audience,
        }
        try:
            return self._session.post(url, data=form, timeout=TIMEOUT, allow_redirects=False)
        except requests.RequestException as error:
            raise Unavailable(f"{url} cannot be reached: {_reason(error)}") from error

    def _refusal(self, status: int, document: dict[str, Any]) -> ProviderError:
        # The description goes on with trace ids and times, which would make every failure a new text.
        description = str(document.get("error_description", "")).splitlines()[:1]
        words = ": ".join([str(document.get("error", "no reason given")), *description])
        text = f"{self._url} refuses a token ({status}): {words}"
        refused = status in {400, 401, 403}
        return Unauthorized(text) if refused else Unavailable(text)

    def _token(self, document: dict[str, Any]) -> Token:
        value = document.get("access_token")
        if not value or not isinstance(value, str):
            raise Unavailable(f"{self._url} answered without an access token")
        now = self._clock.now()
        try:
            life = float(document.get("expires_in") or float(document["expires_on"]) - now)
        except (KeyError, TypeError, ValueError):
            life = SHORTEST_LIFE
        return Token.living(value, now, life)


class _Identity:
    """Managed and workload identity through azure-identity."""

    def __init__(self, credential: Credential, clock: Clock) -> None:
        try:
            import azure.identity as library
        except ImportError as error:
            raise ConfigError(
                f"{credential.kind.value} needs azure-identity: pip install 'virtual-kubelet[azure]'"
            ) from error
        self._clock = clock
        self._scope = f"{credential.resource_manager}/.default"
        self._what = credential.kind.value
        self._credential: Any
        try:
            self._credential = self._make(library, credential)
        except ValueError as error:  # what the library knows of this environment forbids it
            raise ConfigError(f"{self._what}: {_first_line(error)}") from error

    @staticmethod
    def _make(library: Any, credential: Credential) -> Any:
        if credential.kind is Kind.WORKLOAD_IDENTITY:
            return library.WorkloadIdentityCredential(
                tenant_id=credential.tenant_id,
                client_id=credential.client_id,
                token_file_path=credential.federated_token_file,
                authority=credential.active_directory,
                # Asking the public cloud about an authority that it does not know would refuse it.
                disable_instance_discovery=not clouds.is_known(credential.active_directory),
            )
        if credential.client_id:
            return library.ManagedIdentityCredential(client_id=credential.client_id)
        return library.ManagedIdentityCredential()

    def __call__(self) -> Token:
        from azure.core.exceptions import ClientAuthenticationError
        from azure.identity import CredentialUnavailableError

        try:
            token = self._credential.get_token(self._scope)
        except CredentialUnavailableError as error:
            raise Unavailable(f"{self._what}: {_first_line(error)}") from error
        except ClientAuthenticationError as error:
            raise Unauthorized(f"{self._what}: {_first_line(error)}") from error
        except Exception as error:  # the library lets its transport's errors through
            raise Unavailable(f"{self._what}: {type(error).__name__}: {_first_line(error)}") from error
        now = self._clock.now()
        return Token.living(token.token, now, float(token.expires_on) - now)


def _json(response: requests.Response) -> dict[str, Any]:
    try:
        document = response.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def _reason(error: requests.RequestException) -> str:
    # The whole text repeats the address and names objects by their place in memory.
    return type(error).__name__
