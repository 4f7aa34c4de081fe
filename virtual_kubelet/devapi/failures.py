"""The API server's refusals, in the words of the real one, and the `metav1.Status` that carries them.

Code that serves a request raises one of these; `http.handler` turns it into the answer. Texts and reasons are
those of apimachinery's `api/errors` (Kubernetes 1.36), since clients and people match on them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from virtual_kubelet import errors
from virtual_kubelet.objects import JsonObject

__all__ = [
    "FieldError",
    "already_exists",
    "bad_request",
    "conflict",
    "expired",
    "forbidden",
    "internal",
    "invalid",
    "method_not_allowed",
    "not_acceptable",
    "not_found",
    "not_ready",
    "precondition_failed",
    "status_object",
    "too_large_version",
    "too_many_requests",
    "unauthorized",
    "unavailable",
    "unknown_path",
    "unsupported_media_type",
]

OPTIMISTIC_LOCK = (
    "the object has been modified; please apply your changes to the latest version and try again"
)


@dataclass(frozen=True)
class FieldError:
    """One complaint of validation: a cause in the answer's details."""

    field: str
    reason: str  # FieldValueInvalid, FieldValueRequired, ...
    message: str  # without the field

    @classmethod
    def required(cls, field: str, detail: str = "") -> FieldError:
        """Say that `field` must be there."""
        return cls(field, "FieldValueRequired", f"Required value: {detail}" if detail else "Required value")

    @classmethod
    def invalid(cls, field: str, value: Any, detail: str) -> FieldError:
        """Say that `value` cannot be what `field` holds."""
        return cls(field, "FieldValueInvalid", f"Invalid value: {_shown(value)}: {detail}")

    @classmethod
    def not_supported(cls, field: str, value: Any, allowed: Iterable[str]) -> FieldError:
        """Say that `value` is not one of `allowed`."""
        names = ", ".join(f'"{name}"' for name in allowed)
        return cls(
            field, "FieldValueNotSupported", f"Unsupported value: {_shown(value)}: supported values: {names}"
        )

    @classmethod
    def duplicate(cls, field: str, value: Any) -> FieldError:
        """Say that `value` is there twice."""
        return cls(field, "FieldValueDuplicate", f"Duplicate value: {_shown(value)}")

    @classmethod
    def not_found(cls, field: str, value: Any) -> FieldError:
        """Say that what `field` refers to does not exist."""
        return cls(field, "FieldValueNotFound", f"Not found: {_shown(value)}")

    @classmethod
    def forbidden(cls, field: str, detail: str) -> FieldError:
        """Say that `field` may not be set or changed."""
        return cls(field, "FieldValueForbidden", f"Forbidden: {detail}")

    @classmethod
    def too_long(cls, field: str, limit: int) -> FieldError:
        """Say that `field` holds more than `limit` bytes."""
        return cls(field, "FieldValueTooLong", f"Too long: may not be more than {limit} bytes")


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return str(value)


def bad_request(message: str) -> errors.ApiError:
    """400: the request cannot be understood."""
    return errors.ApiError(message, status=400, reason="BadRequest")


def unauthorized() -> errors.ApiError:
    """401: no credentials, or none that are known."""
    return errors.ApiUnauthorized("Unauthorized", reason="Unauthorized")


def forbidden(message: str, *, details: JsonObject | None = None) -> errors.ApiError:
    """403: the user may not do that."""
    return errors.ApiForbidden(message, reason="Forbidden", details=details)


def not_found(resource: str, name: str) -> errors.ApiError:
    """404: no such object; `resource` is the plural with its group, as in `leases.coordination.k8s.io`."""
    return errors.ApiNotFound(
        f'{resource} "{name}" not found', reason="NotFound", details=_resource_details(resource, name)
    )


def unknown_path() -> errors.ApiError:
    """404: no such resource type or path."""
    return errors.ApiNotFound(
        "the server could not find the requested resource", reason="NotFound", details={}
    )


def method_not_allowed() -> errors.ApiError:
    """405: the resource has no such verb."""
    return errors.ApiError(
        "the server does not allow this method on the requested resource",
        status=405,
        reason="MethodNotAllowed",
    )


def not_acceptable(media_types: str) -> errors.ApiError:
    """406: the client takes nothing that the server can write."""
    return errors.ApiError(
        f"only the following media types are accepted: {media_types}", status=406, reason="NotAcceptable"
    )


def already_exists(resource: str, name: str) -> errors.ApiError:
    """409, reason AlreadyExists."""
    return errors.ApiAlreadyExists(
        f'{resource} "{name}" already exists',
        reason="AlreadyExists",
        details=_resource_details(resource, name),
    )


def conflict(resource: str, name: str, why: str = OPTIMISTIC_LOCK) -> errors.ApiError:
    """409, reason Conflict."""
    return errors.ApiConflict(
        f'Operation cannot be fulfilled on {resource} "{name}": {why}',
        reason="Conflict",
        details=_resource_details(resource, name),
    )


def precondition_failed(resource: str, name: str, field: str, wanted: str, found: str) -> errors.ApiError:
    """409: `preconditions.uid` or `.resourceVersion` of a delete does not hold."""
    return conflict(
        resource,
        name,
        f"the {field} in the precondition ({wanted}) does not match the {field} in record ({found}). "
        "The object might have been deleted and then recreated"
        if field == "UID"
        else f"the {field} in the precondition ({wanted}) does not match the {field} in record ({found}). "
        "The object might have been modified",
    )


def expired(message: str) -> errors.ApiError:
    """410: the resourceVersion or continue token is older than the history."""
    return errors.ApiExpired(message, reason="Expired")


def unsupported_media_type(accepted: str) -> errors.ApiError:
    """415: the body's Content-Type cannot be read."""
    return errors.ApiError(
        f"the body of the request was in an unknown format - accepted media types include: {accepted}",
        status=415,
        reason="UnsupportedMediaType",
    )


def invalid(kind: str, name: str, complaints: list[FieldError]) -> errors.ApiError:
    """422: validation; `kind` with its group, as in `Lease.coordination.k8s.io`."""
    texts = [f"{complaint.field}: {complaint.message}" for complaint in complaints]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    name_of_kind, _, group = kind.partition(".")
    details: JsonObject = {"name": name, "kind": name_of_kind}
    if group:
        details["group"] = group
    details["causes"] = [
        {"reason": complaint.reason, "message": complaint.message, "field": complaint.field}
        for complaint in complaints
    ]
    return errors.ApiInvalid(f'{kind} "{name}" is invalid: {text}', reason="Invalid", details=details)


def too_many_requests(message: str, retry_after: int) -> errors.ApiError:
    """429: try again after so many seconds."""
    return errors.ApiTooManyRequests(
        message,
        reason="TooManyRequests",
        details={"retryAfterSeconds": retry_after},
        retry_after=retry_after,
    )


def internal(message: str) -> errors.ApiError:
    """500: our own fault."""
    return errors.ApiError(f"Internal error occurred: {message}", status=500, reason="InternalError")


def unavailable(message: str) -> errors.ApiError:
    """503: something behind the server does not answer."""
    return errors.ApiUnavailable(message, status=503, reason="ServiceUnavailable")


def not_ready(message: str) -> errors.ApiError:
    """500 with the text of a failed proxy to a node."""
    return errors.ApiError(message, status=500, reason="InternalError")


def too_large_version(wanted: int, current: int) -> errors.ApiError:
    """504: the resourceVersion asked for has not been reached."""
    return errors.ApiUnavailable(
        f"Too large resource version: {wanted}, current: {current}",
        status=504,
        reason="Timeout",
        details={
            "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
            "retryAfterSeconds": 1,
        },
        retry_after=1,
    )


def _resource_details(resource: str, name: str) -> JsonObject:
    plural, _, group = resource.partition(".")
    details = {"name": name, "kind": plural}
    if group:
        details["group"] = group
    return details


def status_object(error: errors.ApiError) -> JsonObject:
    """Return the `metav1.Status` of a refusal."""
    status: JsonObject = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": error.message,
        "code": error.status,
    }
    if error.reason:
        status["reason"] = error.reason
    if error.details:
        status["details"] = error.details
    return status
