"""What was asked of the server, for tests: of which rights does an agent make use, how often does it ask."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Any

from virtual_kubelet.devapi.http.request_info import RequestInfo

__all__ = ["RecordedRequest", "RequestLog"]

LIMIT = 10_000  # requests kept


@dataclass(frozen=True)
class RecordedRequest:
    """One request, in the terms of RBAC, and its answer."""

    time: float
    user: str
    groups: tuple[str, ...]
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    path: str
    query: str
    user_agent: str
    status: int


class RequestLog:
    """The latest requests, oldest first. Watches appear when they begin; safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[RecordedRequest] = deque(maxlen=LIMIT)  # guarded by _lock

    def add(
        self,
        *,
        time: float,
        user: str,
        groups: tuple[str, ...],
        info: RequestInfo,
        query: str,
        agent: str,
        status: int,
    ) -> None:
        """Take down one request."""
        request = RecordedRequest(
            time,
            user,
            groups,
            info.verb,
            info.group,
            info.resource,
            info.subresource,
            info.namespace,
            info.name,
            info.path,
            query,
            agent,
            status,
        )
        with self._lock:
            self._requests.append(request)

    def all(self, **wanted: Any) -> list[RecordedRequest]:
        """Return the requests whose attributes are those named: `all(verb="patch", subresource="status")`."""
        with self._lock:
            requests = list(self._requests)
        return [
            request
            for request in requests
            if all(getattr(request, name) == value for name, value in wanted.items())
        ]

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._requests.clear()
