"""Every request's way: who is it, what does it want, may it, then do it; errors become `metav1.Status`."""

from __future__ import annotations

import logging
from collections.abc import Callable

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.http.replies import failure, json_reply
from virtual_kubelet.devapi.http.request_info import RequestInfo, parse
from virtual_kubelet.devapi.http.resources import Resources
from virtual_kubelet.devapi.identity import Tokens, User, user_of_certificate
from virtual_kubelet.errors import ApiError, RequestError
from virtual_kubelet.version import KUBERNETES_VERSION
from virtual_kubelet.web.messages import Request, Response, Upgrade

__all__ = ["Handler"]

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz"})


class Handler:
    """The API server as a function of requests."""

    def __init__(self, resources: Resources, tokens: Tokens) -> None:
        self._resources = resources
        self._tokens = tokens

    def __call__(self, request: Request) -> Response | Upgrade:
        """Answer a request."""
        try:
            info = parse(request.method, request.path, request.query)
            if info.path in OPEN_PATHS:
                return Response(200, b"ok", "text/plain; charset=utf-8")
            request.user = self._authenticate(request)
            return self._serve(request, info)
        except ApiError as error:
            return failure(error)
        except RequestError as error:
            return failure(ApiError(error.message, status=error.status))
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path)
            return failure(failures.internal(type(error).__name__))

    def _authenticate(self, request: Request) -> User:
        authorization = request.headers.get("Authorization")
        scheme, _, token = authorization.partition(" ")
        user: User | None = None
        if scheme.lower() == "bearer":
            user = self._tokens.user(token.strip())
        elif request.peer_certificate is not None:
            user = user_of_certificate(request.peer_certificate)
        if user is None:
            raise failures.unauthorized()
        return user

    def _serve(self, request: Request, info: RequestInfo) -> Response | Upgrade:
        if info.is_resource:
            return self._resources.serve(request, info)
        if info.path == "/version":
            return json_reply(version())
        raise failures.unknown_path()


def version() -> dict[str, str]:
    """Return what GET /version says."""
    major, minor, _ = KUBERNETES_VERSION.split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"v{KUBERNETES_VERSION}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "python",
        "platform": "linux/amd64",
    }


Authorize = Callable[[User, RequestInfo], None]
