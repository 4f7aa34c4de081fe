"""Who calls: by client certificate, else by bearer token, else nobody."""

from __future__ import annotations

import hashlib
from typing import Protocol

from virtual_kubelet.kubelet.identity import ANONYMOUS, User, from_certificate
from virtual_kubelet.kubelet.review_cache import ReviewCache
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.web.messages import Request

__all__ = ["Authentication", "TokenReviewer"]

TOKEN_LIFETIME = 120.0  # the kubelet's authentication.webhook.cacheTTL; for refusals too
TOKENS_KEPT = 4096
LONGEST_TOKEN = 64 * 1024  # nothing that an issuer makes is longer


class TokenReviewer(Protocol):
    """The part of `Reviews` that knows tokens."""

    def token(self, token: str) -> User | None:
        """Return whose token it is; None: nobody's; `ReviewFailed` when that could not be found out."""


class Authentication:
    """Names the user of a request."""

    def __init__(
        self, reviews: TokenReviewer | None, *, anonymous: bool = False, clock: Clock = SYSTEM
    ) -> None:
        """Without `reviews` tokens are not accepted; `anonymous` lets those in who show nothing."""
        self._reviews = reviews
        self._anonymous = anonymous
        self._clock = clock
        self._tokens: ReviewCache[User | None] = ReviewCache(TOKENS_KEPT, lambda _: TOKEN_LIFETIME, clock)

    def user(self, request: Request) -> User | None:
        """Return who calls, None when that is not known; `ReviewFailed` when it could not be found out.

        A wrong token is not turned into an anonymous caller.
        """
        if request.peer_certificate is not None:
            user = from_certificate(request.peer_certificate, self._clock)
            if user is not None:
                return user
        if "Authorization" in request.headers:
            return self._by_token(request.headers.get("Authorization"))
        return ANONYMOUS if self._anonymous else None

    def _by_token(self, header: str) -> User | None:
        scheme, _, token = header.strip().partition(" ")
        token = token.strip()
        reviews = self._reviews
        if reviews is None or scheme.lower() != "bearer" or not 0 < len(token) <= LONGEST_TOKEN:
            return None
        # The cache holds no token that a dump of memory or a careless log could give away.
        digest = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        return self._tokens.get(digest, lambda: reviews.token(token))
