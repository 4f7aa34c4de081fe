"""What went wrong with a request to the API server, as one of our errors."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    ReadTimeoutError,
)

from virtual_kubelet import codec
from virtual_kubelet.errors import (
    ApiAlreadyExists,
    ApiConflict,
    ApiError,
    ApiExpired,
    ApiForbidden,
    ApiInvalid,
    ApiNotFound,
    ApiTooManyRequests,
    ApiUnauthorized,
    ApiUnavailable,
)

__all__ = [
    "NONSENSE",
    "NOT_TRUSTED",
    "NO_ANSWER",
    "broken",
    "from_answer",
    "from_status",
    "no_answer",
    "retry_after",
]

NO_ANSWER = "NoAnswer"
"""The `reason` of an `ApiUnavailable` for a server that cannot be reached, or whose connection broke."""

NONSENSE = "Nonsense"
"""The `reason` of an error for an answer that cannot be understood."""

NOT_TRUSTED = "NotTrusted"
"""The `reason` of an `ApiUnavailable` for a server whose certificate is refused: waiting will not help."""

MAX_TEXT = 500  # characters of an answer that is no Status

_BY_STATUS: dict[int, type[ApiError]] = {
    401: ApiUnauthorized,
    403: ApiForbidden,
    404: ApiNotFound,
    409: ApiConflict,
    410: ApiExpired,
    422: ApiInvalid,
    429: ApiTooManyRequests,
}


def from_answer(code: int, body: bytes, headers: Mapping[str, str], doing: str) -> ApiError:
    """Return the error for an answer that is no success; `doing` names the request ("GET /api/v1/pods")."""
    try:
        status = codec.loads(body)
    except ValueError:
        status = None
    wait = retry_after(headers)
    if isinstance(status, dict) and status.get("kind") == "Status":
        return from_status(status, code=code, wait=wait)
    text = " ".join(body[: 4 * MAX_TEXT].decode("utf-8", "replace").split())[:MAX_TEXT]
    return _error(code, f"{doing}: {code} {text}".rstrip(), reason="", details={}, wait=wait)


def from_status(status: Mapping[str, Any], *, code: int | None = None, wait: float | None = None) -> ApiError:
    """Return the error for a `metav1.Status`, from an answer or from an ERROR event of a watch."""
    if code is None:
        number = status.get("code")
        code = number if isinstance(number, int) else 500
    details = status.get("details")
    if not isinstance(details, dict):
        details = {}
    if wait is None and isinstance(details.get("retryAfterSeconds"), (int, float)):
        wait = float(details["retryAfterSeconds"]) or None
    reason = str(status.get("reason") or "")
    message = str(status.get("message") or reason or f"status {code}")
    return _error(code, message, reason=reason, details=details, wait=wait)


def _error(code: int, message: str, *, reason: str, details: dict[str, Any], wait: float | None) -> ApiError:
    kind = _BY_STATUS.get(code)
    if code == 409 and reason == "AlreadyExists":
        kind = ApiAlreadyExists
    if kind is None:
        kind = ApiUnavailable if code >= 500 else ApiError
    return kind(message, status=code, reason=reason, details=details, retry_after=wait)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds of Retry-After; the API server never sends the form with a date."""
    value = headers.get("Retry-After", "")
    return float(value) if value.isdecimal() else None


def no_answer(error: HTTPError, host: str) -> ApiUnavailable:
    """Return the error for a request that got no answer."""
    cause = _root(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return ApiUnavailable(
            f"the API server {host} is not trusted: {cause.verify_message or 'certificate verify failed'}",
            reason=NOT_TRUSTED,
        )
    return ApiUnavailable(
        f"the API server {host} cannot be reached: {_words(error, cause)}", reason=NO_ANSWER
    )


def broken(error: Exception, host: str) -> ApiUnavailable:
    """Return the error for an answer that broke off in the middle."""
    if isinstance(error, ReadTimeoutError):
        text = f"the API server {host} has been silent for too long"
    else:
        words = _words(error, _root(error))
        text = f"the connection to the API server {host} broke: {words}"
    return ApiUnavailable(text, reason=NO_ANSWER)


def _words(error: Exception, cause: BaseException) -> str:
    if isinstance(error, NameResolutionError):
        return "its name cannot be resolved"
    # Every failed connection is a ConnectTimeoutError to urllib3; those with a cause are none to us.
    if isinstance(error, ConnectTimeoutError) and not isinstance(error, NewConnectionError):
        return "no connection within the timeout"
    if isinstance(error, ReadTimeoutError):
        return "no answer within the timeout"
    prefix = "through the proxy: " if isinstance(error, ProxyError) else ""
    if isinstance(cause, OSError):
        return prefix + (cause.strerror or str(cause))
    return prefix + str(error.args[0] if error.args else error)


def _root(error: BaseException) -> BaseException:
    """Follow an error to where it came from: the text of the first says least to a reader."""
    seen = error
    while True:
        inner = seen.__cause__ or seen.__context__
        if inner is None:
            nested = [arg for arg in seen.args if isinstance(arg, BaseException)]
            inner = nested[0] if nested else None
        if inner is None or inner is error:
            return seen
        seen = inner
