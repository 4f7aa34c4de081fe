"""The door: every request is authenticated, then authorized, before its route runs; in doubt it stays closed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from virtual_kubelet.errors import RequestError
from virtual_kubelet.kubelet.authentication import Authentication
from virtual_kubelet.kubelet.authorization import Authorization
from virtual_kubelet.kubelet.reviews import ReviewFailed
from virtual_kubelet.web.messages import Request

__all__ = ["Guard"]

logger = logging.getLogger(__name__)

VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Guard:
    """A router's guard; it knows two of a route's attributes.

    `subresources`: what to ask for, in turn; ("proxy",) where a route says nothing, and for unknown paths.
    `verb`: instead of the HTTP method's. Exec, attach and portForward ask for `create`, since a WebSocket
    begins with a GET, and the right to read must not be enough to run commands.
    """

    def __init__(self, authentication: Authentication, authorization: Authorization) -> None:
        self._authentication = authentication
        self._authorization = authorization

    def __call__(self, request: Request, attributes: Mapping[str, Any]) -> None:
        """Let `request` pass, with its `user` set, or raise `RequestError` 401, 403 or 500."""
        try:
            user = self._authentication.user(request)
        except ReviewFailed as error:
            logger.warning("a caller could not be authenticated: %s", error)
            raise RequestError(500, "Authentication error: the token could not be reviewed") from error
        if user is None:
            raise RequestError(401, "Unauthorized", headers=(("WWW-Authenticate", "Bearer"),))
        request.user = user
        verb = attributes.get("verb") or VERBS.get(request.method, "")
        subresources: Sequence[str] = attributes.get("subresources") or ("proxy",)
        about = f"user={user.name}, verb={verb}, resource=nodes"
        try:
            allowed = bool(verb) and self._authorization.allows(user, verb, subresources)
        except ReviewFailed as error:
            logger.warning("the rights of %s could not be reviewed: %s", user.name, error)
            raise RequestError(
                500, f"Authorization error ({about}, subresource={subresources[0]})"
            ) from error
        if not allowed:
            asked = " ".join(subresources)
            raise RequestError(403, f"Forbidden ({about}, subresource(s)=[{asked}])")
