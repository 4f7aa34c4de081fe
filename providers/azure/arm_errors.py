"""What Azure Resource Manager says when it says no, as errors of ours. Pure.

An error body is `{"error": {"code": ..., "message": ..., "details": [...]}}` (ARM's common API contracts); some
layers in front of it answer with the inner object alone, or with HTML.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, ProviderError, Unauthorized, Unavailable

__all__ = ["ArmError", "Throttled", "from_response", "is_passing", "parse", "retry_after", "to_error"]

LONGEST_MESSAGE = 1000  # characters; a pod's status and events are no place for a page

# Codes by which ARM and ACI say "not now" with a status that says "never": the image may be pushed, room
# may be made, the registry may answer.
_PASSING = re.compile(
    r"quota|capacity|inaccessibleimage|registryerror|resourcenotavailable|serviceunavailable|retryable"
    r"|timeout|temporarily|toomanyrequests|operationnotallowed|skunotavailable|dockerregistry",
    re.IGNORECASE,
)
# The container group cannot be looked at because what it is in is not there: no word about the group itself.
_MISSING_SCOPES = frozenset(
    {
        "resourcegroupnotfound",
        "subscriptionnotfound",
        "invalidsubscriptionid",
        "missingsubscription",
        "missingsubscriptionregistration",
        "noregisteredproviderfound",
        "invalidresourcetype",
    }
)


class Throttled(Unavailable):
    """Too many requests: slow down."""


class ArmError:
    """One refusal: HTTP status, ARM's code and message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message

    def __str__(self) -> str:
        said = self.message[:LONGEST_MESSAGE] or "no reason given"
        return f"{self.status} {self.code}: {said}" if self.code else f"{self.status}: {said}"

    @property
    def is_about_scope(self) -> bool:
        """Whether the resource group or subscription is missing, not what is in it."""
        return self.code.lower() in _MISSING_SCOPES


def parse(document: Any) -> tuple[str, str]:
    """Return code and message of an error body, as deep as ARM hid them; "" where there is none."""
    inner = document.get("error", document) if isinstance(document, Mapping) else None
    if not isinstance(inner, Mapping):
        return "", str(inner) if isinstance(inner, str) else ""
    code = str(inner.get("code") or inner.get("Code") or "")
    message = str(inner.get("message") or inner.get("Message") or "")
    details = inner.get("details")
    if isinstance(details, list):
        extra = [text for item in details if (text := _detail(item)) and text not in message]
        message = " ".join([message, *extra]).strip()
    return code, message


def _detail(item: Any) -> str:
    code, message = parse(item)
    return f"({code}: {message})" if code and message else message or code


def from_response(status: int, body: bytes) -> ArmError:
    """Return the refusal that an answer of `status` with `body` is."""
    try:
        document = codec.loads(body) if body else {}
    except ValueError:
        document = {}
    code, message = parse(document)
    return ArmError(status, code, message)


def to_error(what: str, refusal: ArmError, wait: float | None = None) -> ProviderError:
    """Return the error for a refusal of `what` (method and thing); `wait` is the Retry-After in seconds."""
    text = f"{what}: {refusal}"
    if refusal.status == 404:
        return Unavailable(text) if refusal.is_about_scope else NotFound(text)
    if refusal.status == 429:
        return Throttled(text, retry_after=wait)
    if refusal.status == 408 or refusal.status >= 500 or _PASSING.search(refusal.code):
        return Unavailable(text, retry_after=wait)
    if refusal.status in {409, 412}:
        return Conflict(text)
    if refusal.status == 401 or (refusal.status == 403 and "policy" not in refusal.code.lower()):
        return Unauthorized(text)
    if 400 <= refusal.status < 500:
        return InvalidInput(text)
    return ProviderError(text)


def is_passing(words: str) -> bool:
    """Tell whether a failure told as `Code: message` is one that may pass, such as no room or no quota."""
    return bool(_PASSING.search(words.partition(":")[0]))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that Retry-After asks for: a number, or an HTTP date (RFC 9110 section 10.2.3)."""
    for name, unit in (("retry-after-ms", 0.001), ("x-ms-retry-after-ms", 0.001), ("Retry-After", 1.0)):
        value = headers.get(name)
        if not value:
            continue
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            pass
        try:
            moment = parsedate_to_datetime(value)
        except (TypeError, ValueError):
            continue
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=timezone.utc)
        return max(0.0, moment.timestamp() - now)
    return None
