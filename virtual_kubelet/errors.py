"""Every error that crosses a floor of this package.

    VirtualKubeletError
    ├── ConfigError                 what the user wrote: flag, file, environment
    ├── RequestError                what a caller of our HTTP servers did wrong (carries the HTTP status)
    ├── ProviderError               the backend failed; tried again (500)
    │   ├── NotFound                no such pod, container, log (404, final)
    │   ├── InvalidInput            this pod can never work as it is written (400, final until it changes)
    │   ├── Conflict                the backend is busy with it; tried again (409)
    │   ├── Unavailable             unreachable, throttled, out of quota; tried again (503)
    │   ├── Unauthorized            the backend refuses our credentials; tried again (401)
    │   └── NotSupported            the provider has no such ability (501, final)
    └── ApiError                    the Kubernetes API server said no, or nothing
        ├── ApiUnauthorized         401
        ├── ApiForbidden            403
        ├── ApiNotFound             404
        ├── ApiConflict             409, reason Conflict: an old resourceVersion or another UID
        ├── ApiAlreadyExists        409, reason AlreadyExists
        ├── ApiExpired              410: list again
        ├── ApiInvalid              422
        ├── ApiTooManyRequests      429
        └── ApiUnavailable          no answer, or 5xx

Each class says which HTTP status it is (`status`) and whether trying again can help (`retryable`), so that
controllers decide by class and never by text. Errors of libraries are translated where they enter, with
`raise ... from`.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ApiAlreadyExists",
    "ApiConflict",
    "ApiError",
    "ApiExpired",
    "ApiForbidden",
    "ApiInvalid",
    "ApiNotFound",
    "ApiTooManyRequests",
    "ApiUnauthorized",
    "ApiUnavailable",
    "ConfigError",
    "Conflict",
    "InvalidInput",
    "NotFound",
    "NotSupported",
    "ProviderError",
    "RequestError",
    "Unauthorized",
    "Unavailable",
    "VirtualKubeletError",
]


class VirtualKubeletError(Exception):
    """The root of this package's errors."""

    status: int = 500
    retryable: bool = False


class ConfigError(VirtualKubeletError):
    """Something that the user wrote cannot be used; the text is one line that names it and the remedy."""


class RequestError(VirtualKubeletError):
    """A request to one of our HTTP servers cannot be served; becomes the answer."""

    def __init__(self, status: int, message: str, *, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


class ProviderError(VirtualKubeletError):
    """The backend failed in a way that may pass. The text reaches the pod's status and events."""

    retryable = True

    retry_after: float | None = None
    """Seconds to wait before the next try, where the backend said so or its provider knows."""

    def __init__(self, *args: object, retry_after: float | None = None) -> None:
        super().__init__(*args)
        self.retry_after = retry_after


class NotFound(ProviderError):
    """The backend has no such pod, container or log."""

    status = 404
    retryable = False


class InvalidInput(ProviderError):
    """The pod can never work as it is written: not tried again until it changes."""

    status = 400
    retryable = False


class Conflict(ProviderError):
    """The backend is still busy with an earlier operation."""

    status = 409


class Unavailable(ProviderError):
    """The backend cannot be reached, throttles us, or has no room."""

    status = 503


class Unauthorized(ProviderError):
    """The backend refuses our credentials."""

    status = 401


class NotSupported(ProviderError):
    """The provider does not have this ability."""

    status = 501
    retryable = False


class ApiError(VirtualKubeletError):
    """The Kubernetes API server refused a request; see `metav1.Status`."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        reason: str = "",
        details: dict[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        if status is not None:
            self.status = status
        self.reason = reason
        """`metav1.Status.reason`, for example `NotFound`."""
        self.details = details or {}
        """`metav1.Status.details`."""
        self.retry_after = retry_after
        """Seconds, from Retry-After or `details.retryAfterSeconds`."""


class ApiUnauthorized(ApiError):
    """401: the credentials are missing, wrong or expired."""

    status = 401


class ApiForbidden(ApiError):
    """403: a right is missing."""

    status = 403


class ApiNotFound(ApiError):
    """404: no such object."""

    status = 404


class ApiConflict(ApiError):
    """409, reason Conflict: the object has another resourceVersion or UID by now."""

    status = 409
    retryable = True


class ApiAlreadyExists(ApiError):
    """409, reason AlreadyExists."""

    status = 409


class ApiExpired(ApiError):
    """410: the resourceVersion is too old; list again."""

    status = 410
    retryable = True


class ApiInvalid(ApiError):
    """422: the API server's validation refused the object."""

    status = 422


class ApiTooManyRequests(ApiError):
    """429: slow down."""

    status = 429
    retryable = True


class ApiUnavailable(ApiError):
    """No answer, or a 5xx one."""

    status = 503
    retryable = True
