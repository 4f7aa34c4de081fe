"""A request on its way to a handler of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from virtual_kubelet.devapi.http.bodies import Decoder
from virtual_kubelet.devapi.http.request_info import RequestInfo
from virtual_kubelet.devapi.identity import User
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.verbs.options import first
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

    def body(self, group: str, kind: str) -> JsonObject:
        """Decode the body, of version v1; `ApiError` 400 when it is something else."""
        request = self.request
        validation = first(request.query, "fieldValidation") or "Warn"
        decoder = Decoder(group, "v1", kind, validation=validation)
        return decoder.read(request.read(), request.headers.get("Content-Type"))


CallHandler: TypeAlias = "Callable[[Call], Response | Upgrade]"
