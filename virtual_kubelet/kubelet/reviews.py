"""Asking the API server who a token is, and what a user may do.

TokenReview (authentication.k8s.io/v1) and SubjectAccessReview (authorization.k8s.io/v1). A review that could
not be made raises `ReviewFailed`: the door stays closed.
"""

from __future__ import annotations

import logging
from typing import Any, Protocol

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    stop_any,
    wait_random_exponential,
)
from tenacity.wait import wait_base

from virtual_kubelet.errors import ApiError, VirtualKubeletError
from virtual_kubelet.kube.resources import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS, Resource
from virtual_kubelet.kubelet.identity import User
from virtual_kubelet.objects import JsonObject

__all__ = ["Creator", "ReviewFailed", "Reviews"]

logger = logging.getLogger(__name__)

ATTEMPTS = 3
PATIENCE = 10.0  # seconds for all attempts together: each holds one of the server's threads
BETWEEN_ATTEMPTS = wait_random_exponential(multiplier=0.2, max=1.0)  # seconds, while a caller waits


class ReviewFailed(VirtualKubeletError):
    """The API server could not be asked, or gave no verdict."""


class Creator(Protocol):
    """The part of `kube.client.Client` that reviews need."""

    def create(
        self, resource: Resource, body: JsonObject, *, limited: bool = True, timeout: float = 30.0
    ) -> Any:
        """POST an object and return the answer."""


class Reviews:
    """Both reviews; each call is a request."""

    def __init__(self, client: Creator, *, wait: wait_base = BETWEEN_ATTEMPTS) -> None:
        self._client = client
        self._wait = wait

    def token(self, token: str) -> User | None:
        """Return whose token it is; None when it is nobody's."""
        status = self._ask(TOKEN_REVIEWS, {"token": token})
        if status.get("authenticated") is not True:
            return None
        user = status.get("user") or {}
        if not user.get("username"):
            raise ReviewFailed("the TokenReview names no user")
        extra = user.get("extra") or {}
        return User(
            user["username"],
            user.get("uid") or "",
            tuple(user.get("groups") or ()),
            {key: tuple(values or ()) for key, values in extra.items()},
        )

    def access(self, user: User, attributes: JsonObject) -> bool:
        """Tell whether `user` may do what `attributes` (`ResourceAttributes`) describe."""
        spec: JsonObject = {
            "user": user.name,
            "groups": list(user.groups),
            "resourceAttributes": attributes,
        }
        if user.uid:
            spec["uid"] = user.uid
        if user.extra:
            spec["extra"] = {key: list(values) for key, values in user.extra.items()}
        status = self._ask(SUBJECT_ACCESS_REVIEWS, spec)
        allowed = status.get("allowed") is True and status.get("denied") is not True
        if not allowed and status.get("evaluationError"):
            logger.warning("authorization of %s was not complete: %s", user.name, status["evaluationError"])
        return allowed

    def _ask(self, resource: Resource, spec: JsonObject) -> JsonObject:
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": {}, "spec": spec}
        retrying = Retrying(
            stop=stop_any(stop_after_attempt(ATTEMPTS), stop_after_delay(PATIENCE)),
            wait=self._wait,
            retry=retry_if_exception(lambda error: isinstance(error, ApiError) and error.retryable),
            reraise=True,
        )
        try:
            # A caller waits at the door: reviews go before the agent's own traffic.
            answer = retrying(self._client.create, resource, body, limited=False, timeout=PATIENCE)
        except ApiError as error:
            raise ReviewFailed(f"{resource.kind} failed: {error}") from error
        status = answer.get("status") if isinstance(answer, dict) else None
        if not isinstance(status, dict):
            raise ReviewFailed(f"{resource.kind} came back without a status")
        return status
