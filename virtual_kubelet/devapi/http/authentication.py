"""From credentials to a user: bearer token, client certificate, and impersonation on top."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.access.attributes import Attributes
from virtual_kubelet.devapi.access.authorizer import Authorizer
from virtual_kubelet.devapi.identity import AUTHENTICATED, Tokens, User, user_of_certificate
from virtual_kubelet.web.messages import Request

__all__ = ["Authentication"]


class Authentication:
    """Finds out who calls. There is no anonymous user."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def user(self, request: Request) -> User:
        """Return the caller; `ApiError` 401 where there are no credentials, or none that hold."""
        scheme, _, token = request.headers.get("Authorization").partition(" ")
        user: User | None = None
        if scheme.lower() == "bearer":
            user = self._tokens.user(token.strip())
        elif request.peer_certificate is not None:
            user = user_of_certificate(request.peer_certificate)
        if user is None:
            raise failures.unauthorized()
        return user

    @staticmethod
    def impersonated(request: Request, user: User, authorizer: Authorizer) -> User:
        """Return whom the caller wants to act as (`kubectl --as`), or the caller.

        Raises:
            ApiError: 403 when the caller may not.
        """
        name = request.headers.get("Impersonate-User")
        if not name:
            return user
        groups = request.headers.get_all("Impersonate-Group")
        authorizer.check(Attributes(user, "impersonate", resource="users", name=name))
        for group in groups:
            authorizer.check(Attributes(user, "impersonate", resource="groups", name=group))
        if AUTHENTICATED not in groups:
            groups.append(AUTHENTICATED)
        return User(name, tuple(groups), request.headers.get("Impersonate-Uid"))
