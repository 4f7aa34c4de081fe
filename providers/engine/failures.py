"""Answers that are failures, and broken connections, as the package's errors. What engines say differently is here.

| what                    | Docker                  | Podman                            | Hyper             |
|-------------------------|-------------------------|-----------------------------------|-------------------|
| the text                | {"message"}             | {"cause", "message", "response"}  | plain text        |
| a name is taken         | 409                     | 500 "already in use"              | 409               |
| a volume is there       | 201                     | 201 or 500 "already exists"       | 500               |
| signal to an ended one  | 409                     | 500 or 409 "can only kill"        | 500 "not running" |
| no such image at create | 404 "No such image"     | 404 "no such image", "not known"  | 404               |
"""

from __future__ import annotations

import json

import requests
import urllib3

from virtual_kubelet.errors import (
    Conflict,
    InvalidInput,
    NotFound,
    NotSupported,
    ProviderError,
    Unauthorized,
    Unavailable,
)

__all__ = ["BROKEN", "failure", "message_of", "unreachable"]

BROKEN = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)

CONFLICTS = (
    "in use",
    "already exists",
    "can only kill running",
    "is not running",
    "container state improper",
    "already in progress",
    "dependent containers",
    "is being removed",
    "removal of container",
)
BY_STATUS: dict[int, type[ProviderError]] = {
    400: InvalidInput,
    401: Unauthorized,
    403: Unauthorized,
    404: NotFound,
    405: NotSupported,
    406: InvalidInput,
    409: Conflict,
    429: Unavailable,
    501: NotSupported,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}
MAX_TEXT = 1000


def message_of(body: bytes) -> str:
    """Return what an engine says in the body of a failure, on one line."""
    text = body.decode("utf-8", "replace").strip()
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if isinstance(value, dict):
        text = str(value.get("message") or value.get("error") or value.get("cause") or text)
    return " ".join(text.split())[:MAX_TEXT]


def failure(status: int, body: bytes, what: str) -> ProviderError:
    """Return the error for an answer of `status`; `what` was asked for, for example `GET /info`."""
    message = message_of(body) or f"{what}: the engine answered {status}"
    kind = BY_STATUS.get(status, ProviderError)
    if status in {409, 500} and any(text in message.lower() for text in CONFLICTS):
        kind = Conflict
    elif status == 500 and "no such container" in message.lower():
        kind = NotFound
    return kind(message)


def unreachable(error: Exception, where: str) -> Unavailable:
    """Return the error for a connection that cannot be made, or broke."""
    return Unavailable(f"the container engine at {where} cannot be reached: {_reason(error)}")


def _reason(error: BaseException) -> str:
    """Return the innermost words: `requests` and urllib3 wrap them several times, with addresses of objects."""
    seen = 0
    while seen < 10:
        inner = getattr(error, "reason", None) or error.__cause__ or error.__context__
        if not isinstance(inner, BaseException):
            break
        error, seen = inner, seen + 1
    return (error.strerror if isinstance(error, OSError) and error.strerror else str(error)) or type(
        error
    ).__name__
