from __future__ import annotations

import pytest

from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, ProviderError, Unauthorized, Unavailable
from virtual_kubelet.providers.azure.arm_errors import (
    Throttled,
    from_response,
    is_passing,
    parse,
    retry_after,
    to_error,
)

NOW = 1_767_225_600.0


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "InvalidRequestContent", InvalidInput),
        (400, "InaccessibleImage", Unavailable),
        (400, "ServiceTimeout", Unavailable),
        (401, "AuthenticationFailed", Unauthorized),
        (403, "AuthorizationFailed", Unauthorized),
        (403, "RequestDisallowedByPolicy", InvalidInput),
        (403, "QuotaExceeded", Unavailable),
        (404, "ResourceNotFound", NotFound),
        (404, "ResourceGroupNotFound", Unavailable),
        (404, "SubscriptionNotFound", Unavailable),
        (408, "", Unavailable),
        (409, "ContainerGroupTransitioning", Conflict),
        (409, "ContainerGroupQuotaReached", Unavailable),
        (409, "ServiceUnavailable", Unavailable),
        (409, "RegistryErrorResponse", Unavailable),
        (412, "PreconditionFailed", Conflict),
        (413, "RequestTooLarge", InvalidInput),
        (429, "RetryableError", Throttled),
        (500, "InternalServerError", Unavailable),
        (503, "ServerTimeout", Unavailable),
        (302, "", ProviderError),
    ],
)
def test_the_class_says_what_can_be_done(status, code, expected):
    refusal = from_response(status, f'{{"error": {{"code": "{code}", "message": "words"}}}}'.encode())
    error = to_error("PUT container group web", refusal)
    assert type(error) is expected
    assert str(error) == f"PUT container group web: {status} {code}: words".replace("  ", " ").replace(
        " :", ":"
    )


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"error": {"code": "A", "message": "m", "details": [{"code": "B", "message": "n"}]}}',
            ("A", "m (B: n)"),
        ),
        (b'{"code": "A", "message": "m"}', ("A", "m")),
        (b'{"error": "words"}', ("", "words")),
        (b'{"error": {"code": "A", "details": [{"message": "n"}, {"code": "C"}, 3]}}', ("A", "n C")),
        (b"<html>Bad gateway</html>", ("", "")),
        (b"[]", ("", "")),
        (b"", ("", "")),
    ],
)
def test_bodies(body, said):
    refusal = from_response(502, body)
    assert (refusal.code, refusal.message) == said


def test_a_long_message_is_cut():
    assert len(str(from_response(400, b'{"message": "' + b"x" * 5000 + b'"}'))) < 1100
    assert parse(None) == ("", "")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "17"}, 17.0),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:01:00 GMT"}, 60.0),
        ({"Retry-After": "Wed, 31 Dec 2025 00:01:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"retry-after-ms": "250", "Retry-After": "1"}, 0.25),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after(headers, NOW) == seconds


def test_failures_that_may_pass():
    assert is_passing("ContainerGroupQuotaReached: none left")
    assert is_passing("ServiceUnavailable: no room")
    assert not is_passing("InvalidVolume: the quota of words is used up")
    assert not is_passing("")
