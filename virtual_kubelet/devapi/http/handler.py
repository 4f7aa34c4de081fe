"""Every request's way: who is it, may it, what does it want, do it; errors become `metav1.Status`."""

from __future__ import annotations

import logging

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.access.attributes import Attributes
from virtual_kubelet.devapi.access.authorizer import Authorizer
from virtual_kubelet.devapi.faults import Faults, lost_answer
from virtual_kubelet.devapi.http.authentication import Authentication
from virtual_kubelet.devapi.http.replies import failure
from virtual_kubelet.devapi.http.request_info import RequestInfo, parse
from virtual_kubelet.devapi.http.resources import Resources
from virtual_kubelet.devapi.identity import User
from virtual_kubelet.devapi.recording import RequestLog
from virtual_kubelet.errors import ApiError, RequestError
from virtual_kubelet.runtime.clock import Clock
from virtual_kubelet.web.messages import Handler as WebHandler
from virtual_kubelet.web.messages import Request, Response, Upgrade

__all__ = ["Handler"]

logger = logging.getLogger(__name__)

OPEN_PATHS = frozenset({"/healthz", "/livez", "/readyz"})
NOBODY = User("")


class Handler:
    """The API server as a function of requests."""

    def __init__(
        self,
        *,
        authentication: Authentication,
        authorizer: Authorizer,
        resources: Resources,
        others: WebHandler,
        faults: Faults,
        log: RequestLog,
        clock: Clock,
    ) -> None:
        """`others` serves what is no resource: discovery, versions."""
        self._authentication = authentication
        self._authorizer = authorizer
        self._resources = resources
        self._others = others
        self._faults = faults
        self._log = log
        self._clock = clock

    def __call__(self, request: Request) -> Response | Upgrade:
        """Answer a request."""
        info = parse(request.method, request.path, request.query)
        if info.path in OPEN_PATHS or info.path.startswith(("/livez/", "/readyz/")):
            return Response(200, b"ok", "text/plain; charset=utf-8")
        try:
            answer = self._serve(request, info)
        except ApiError as error:
            answer = failure(error)
        except RequestError as error:
            answer = failure(ApiError(error.message, status=error.status))
        except Exception as error:
            logger.exception("%s %s failed", request.method, request.path)
            answer = failure(failures.internal(type(error).__name__))
        self._record(request, info, answer)
        return answer

    def _serve(self, request: Request, info: RequestInfo) -> Response | Upgrade:
        request.user = user = self._authentication.user(request)
        lose = self._faults.hit(info, user.name)
        if lose == "before":
            return lost_answer()
        request.user = user = self._authentication.impersonated(request, user, self._authorizer)
        self._authorizer.check(Attributes.of_request(user, info, request.query))
        answer = self._resources.serve(request, info) if info.is_resource else self._others(request)
        return lost_answer() if lose == "after" else answer

    def _record(self, request: Request, info: RequestInfo, answer: Response | Upgrade) -> None:
        user = request.user if isinstance(request.user, User) else NOBODY
        self._log.add(
            time=self._clock.now(),
            user=user.name,
            groups=user.groups,
            info=info,
            query=request.query_string,
            agent=request.headers.get("User-Agent"),
            status=answer.status if isinstance(answer, Response) else 101,
        )
