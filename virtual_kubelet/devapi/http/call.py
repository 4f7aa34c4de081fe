"""A request on its way to a handler of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.http import bodies
from virtual_kubelet.devapi.http.request_info import RequestInfo
from virtual_kubelet.devapi.identity import User
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Request, Response, Upgrade

__all__ = ["Call", "CallHandler"]


@dataclass(frozen=True)
class Call:
    """A request for a subresource, or for a kind that is not stored."""

    request: Request
    info: RequestInfo
    kind: Kind
    user: User

    def body(self, api_version: str, kind: str, *others: str) -> JsonObject:
        """Decode the body, of `api_version` or one of `others`; `ApiError` 400 when it is something else."""
        value = bodies.read_value(self.request.read(), self.request.headers.get("Content-Type"))
        if not isinstance(value, dict):
            raise failures.bad_request("the object provided is unrecognized (must be an object)")
        if value.get("apiVersion") in others:
            api_version = value["apiVersion"]
        return bodies.expect_kind(value, api_version, kind)


CallHandler: TypeAlias = "Callable[[Call], Response | Upgrade]"
