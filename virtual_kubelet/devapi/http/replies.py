"""Answers as `web` wants them."""

from __future__ import annotations

from collections.abc import Iterable

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Response

__all__ = ["encoded", "failure", "json_reply", "success", "warning_headers"]

JSON = "application/json"


def encoded(body: bytes, status: int = 200, *, warnings: Iterable[str] = ()) -> Response:
    """Return JSON that is already bytes."""
    return Response(status, body, JSON, warning_headers(warnings))


def json_reply(body: JsonObject, status: int = 200) -> Response:
    """Return a JSON object."""
    return Response(status, codec.dumps(body), JSON)


def failure(error: ApiError) -> Response:
    """Return the `metav1.Status` of a refusal."""
    headers = []
    if error.retry_after is not None:
        headers.append(("Retry-After", str(int(error.retry_after))))
    return Response(error.status, codec.dumps(failures.status_object(error)), JSON, headers)


def success(resource: str, name: str, uid: str) -> Response:
    """Return the `metav1.Status` that tells of a deleted object."""
    plural, _, group = resource.partition(".")
    details = {"name": name, "kind": plural, "uid": uid}
    if group:
        details["group"] = group
    return json_reply(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    )


def warning_headers(warnings: Iterable[str]) -> list[tuple[str, str]]:
    """Return what clients show their users, one header each (RFC 7234, 5.5)."""
    return [("Warning", f'299 - "{_quoted(text)}"') for text in warnings]


def _quoted(text: str) -> str:
    """Escape quotes, and what no header can hold: names of unknown fields are the client's to choose."""
    text = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(
        c if c.isascii() and c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )
