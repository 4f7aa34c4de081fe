"""Answers that several routes give alike."""

from __future__ import annotations

from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.web.messages import Response

__all__ = ["json"]


def json(value: Any, status: int = 200) -> Response:
    """Return a JSON answer."""
    return Response(status, codec.dumps(value), "application/json")
