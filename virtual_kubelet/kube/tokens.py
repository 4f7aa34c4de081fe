"""Service account tokens bound to pods (TokenRequest), kept and renewed before they end.

The numbers are the kubelet's (pkg/kubelet/token, Kubernetes 1.36): a token is renewed after 80 % of its life
or after a day, whichever comes first, minus up to ten seconds of chance; while the API server is away, the old
one is given out as long as it is valid.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import NamedTuple

from virtual_kubelet.errors import ApiError, ApiUnavailable
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import SERVICE_ACCOUNTS
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Tokens"]

logger = logging.getLogger(__name__)

LIFE_SHARE = 0.8
MAX_USE = 24 * 3600.0
MAX_JITTER = 10.0
SWEEP = 60.0  # seconds between two removals of tokens that have ended


class _Key(NamedTuple):
    namespace: str
    account: str
    pod: str
    uid: str
    audience: str
    seconds: int


class _Token:
    """One token; fields but for `asking` are under the lock of `Tokens`."""

    def __init__(self) -> None:
        self.asking = threading.Lock()  # held by whoever asks the server
        self.text = ""
        self.renew_at = 0.0  # seconds since the epoch, as the server's own times are
        self.ends_at = 0.0


class Tokens:
    """Gives service account tokens to pods."""

    def __init__(
        self, client: Client, clock: Clock = SYSTEM, *, chance: Callable[[], float] = random.random
    ) -> None:
        self._client = client
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._tokens: dict[_Key, _Token] = {}  # under the lock
        self._swept_at = 0.0  # under the lock

    def token(self, pod: Pod, audience: str, expiration_seconds: int) -> str:
        """Return a token of the pod's service account for `audience` ("": the API server's own).

        It is bound to the pod and ends with it. Raises `ApiError` when there is none to give.
        """
        metadata, spec = pod["metadata"], pod.get("spec", {})
        key = _Key(
            metadata["namespace"],
            spec.get("serviceAccountName") or "default",
            metadata["name"],
            metadata["uid"],
            audience,
            expiration_seconds,
        )
        with self._lock:
            self._sweep()
            token = self._tokens.setdefault(key, _Token())
            if self._clock.now() < token.renew_at:
                return token.text
        with token.asking:
            with self._lock:
                if self._clock.now() < token.renew_at:
                    return token.text  # renewed while we waited
            return self._renew(key, token)

    def forget(self, uid: str) -> None:
        """Drop the tokens of the pod with this UID, which are of no use after it."""
        with self._lock:
            for key in [key for key in self._tokens if key.uid == uid]:
                del self._tokens[key]

    def _renew(self, key: _Key, token: _Token) -> str:
        try:
            answer = self._client.create(
                SERVICE_ACCOUNTS, _request(key), key.namespace, name=key.account, subresource="token"
            )
            text, ends_at = _granted(answer)
        except ApiError as error:
            with self._lock:
                if self._clock.now() >= token.ends_at:
                    self._tokens.pop(key, None)
                    raise
                text = token.text
            logger.warning(
                "the token of service account %s/%s could not be renewed, the old one is used: %s",
                key.namespace,
                key.account,
                error,
            )
            return text
        now = self._clock.now()
        use = min((ends_at - now) * LIFE_SHARE, MAX_USE) - MAX_JITTER * self._chance()
        with self._lock:
            token.text, token.ends_at, token.renew_at = text, ends_at, now + use
        return text

    def _sweep(self) -> None:
        now = self._clock.now()
        if now - self._swept_at < SWEEP:
            return
        self._swept_at = now
        for key in [key for key, token in self._tokens.items() if 0 < token.ends_at <= now]:
            del self._tokens[key]


def _request(key: _Key) -> JsonObject:
    spec: JsonObject = {
        "expirationSeconds": key.seconds,
        "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": key.pod, "uid": key.uid},
    }
    if key.audience:
        spec["audiences"] = [key.audience]
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}


def _granted(answer: JsonObject) -> tuple[str, float]:
    status = answer.get("status") or {}
    try:
        return str(status["token"]), times.parse(status["expirationTimestamp"])
    except (KeyError, TypeError, ValueError) as error:
        # Not the answer itself: it may hold the token.
        raise ApiUnavailable("the answer to a TokenRequest has no token with an end") from error
