"""Whether a user may: SubjectAccessReviews with the kubelet's attributes.

Kubernetes v1.36, pkg/kubelet/server/auth.go and KEP-2862: the resource is `nodes`, the name this node's, the
verb that of the HTTP method, and the subresource depends on the path: stats, metrics, or proxy for all else;
pods, healthz and configz are asked for before proxy, so that readers need no right to exec.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from virtual_kubelet.kubelet.identity import User
from virtual_kubelet.kubelet.review_cache import ReviewCache
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["AccessReviewer", "AlwaysAllow", "Authorization", "NodeAuthorization"]

ALLOWED_LIFETIME = 300.0  # the kubelet's authorization.webhook.cacheAuthorizedTTL
DENIED_LIFETIME = 30.0  # and cacheUnauthorizedTTL
VERDICTS_KEPT = 8192


class Authorization(Protocol):
    """Decides about requests to this node."""

    def allows(self, user: User, verb: str, subresources: Sequence[str]) -> bool:
        """Tell whether `user` may `verb` one of the node's `subresources`, asked in turn."""


class AccessReviewer(Protocol):
    """The part of `Reviews` that knows rights."""

    def access(self, user: User, attributes: JsonObject) -> bool:
        """Tell whether `user` may; `ReviewFailed` when that could not be found out."""


class AlwaysAllow:
    """Everybody may do everything: for trials."""

    def allows(self, user: User, verb: str, subresources: Sequence[str]) -> bool:
        """Say yes."""
        del user, verb, subresources
        return True


class NodeAuthorization:
    """Asks the API server, and remembers."""

    def __init__(self, reviews: AccessReviewer, node_name: str, *, clock: Clock = SYSTEM) -> None:
        self._reviews = reviews
        self._node_name = node_name
        self._verdicts: ReviewCache[bool] = ReviewCache(
            VERDICTS_KEPT, lambda allowed: ALLOWED_LIFETIME if allowed else DENIED_LIFETIME, clock
        )

    def allows(self, user: User, verb: str, subresources: Sequence[str]) -> bool:
        """Tell whether `user` may; `ReviewFailed` when that could not be found out."""
        return any(self._may(user, verb, subresource) for subresource in subresources)

    def _may(self, user: User, verb: str, subresource: str) -> bool:
        extra = tuple(sorted(user.extra.items()))
        key = (user.name, user.uid, user.groups, extra, verb, subresource)
        attributes = {
            "verb": verb,
            "version": "v1",
            "resource": "nodes",
            "subresource": subresource,
            "name": self._node_name,
        }
        return self._verdicts.get(key, lambda: self._reviews.access(user, attributes))
