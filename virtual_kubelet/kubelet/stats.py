"""/stats/summary and /metrics/resource: what pods use, for metrics-server, the HPA and `kubectl top`."""

from __future__ import annotations

from virtual_kubelet.errors import NotSupported
from virtual_kubelet.kubelet import resource_metrics
from virtual_kubelet.kubelet.answers import json
from virtual_kubelet.kubelet.summary import complete, cpu_and_memory
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.provider import Measuring, Provider, ResourceMetrics
from virtual_kubelet.runtime.metrics import CONTENT_TYPE
from virtual_kubelet.web.messages import Request, Response
from virtual_kubelet.web.routing import Router

__all__ = ["add_routes"]


def add_routes(router: Router, provider: Provider, node_name: str) -> None:
    """Serve both where the provider measures, else 501."""
    measuring = provider if isinstance(provider, Measuring) else None
    text_of_its_own = provider if isinstance(provider, ResourceMetrics) else None

    def summary() -> JsonObject:
        if measuring is None:
            raise NotSupported("the provider of this node measures nothing")
        return complete(measuring.stats_summary(), node_name)

    def stats(request: Request) -> Response:
        whole = summary()
        if request.first("only_cpu_and_memory").lower() in {"true", "1", "t"}:
            whole = cpu_and_memory(whole)
        return json(whole)

    def metrics(_: Request) -> Response:
        if text_of_its_own is not None:
            text = text_of_its_own.resource_metrics()
        else:
            text = resource_metrics.render(summary())
        return Response(200, text.encode(), CONTENT_TYPE)

    router.add("GET", "/stats/summary", stats, subresources=("stats",))
    router.add("GET", "/metrics/resource", metrics, subresources=("metrics",))
