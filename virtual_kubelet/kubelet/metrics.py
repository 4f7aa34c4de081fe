"""/metrics: the agent's own numbers."""

from __future__ import annotations

from virtual_kubelet.runtime.metrics import CONTENT_TYPE, Metrics
from virtual_kubelet.web.messages import Request, Response
from virtual_kubelet.web.routing import Router

__all__ = ["add_routes"]


def add_routes(router: Router, metrics: Metrics) -> None:
    """Serve the text format for Prometheus."""

    def handler(_: Request) -> Response:
        return Response(200, metrics.render(), CONTENT_TYPE)

    router.add("GET", "/metrics", handler, subresources=("metrics",))
