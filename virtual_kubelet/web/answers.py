"""From an error to an answer."""

from __future__ import annotations

import logging

from virtual_kubelet.errors import ProviderError, RequestError, Unauthorized
from virtual_kubelet.web.messages import Request, Response, text

__all__ = ["from_error"]

logger = logging.getLogger(__name__)


def from_error(error: Exception, request: Request) -> Response:
    """Return the answer for an error that left a handler; what nobody expected is logged and says nothing.

    The path is logged without its query, which may hold a command line with secrets.
    """
    if isinstance(error, RequestError):
        return text(error.status, error.message, error.headers)
    if isinstance(error, Unauthorized):
        # 401 would tell the caller that its own credentials are wrong.
        return text(502, f"the backend refuses the provider's credentials: {error}")
    if isinstance(error, ProviderError):
        return text(error.status, str(error) or type(error).__name__)
    logger.error("%s %s failed", request.method, request.path, exc_info=error)
    return text(500, "Internal Server Error")
