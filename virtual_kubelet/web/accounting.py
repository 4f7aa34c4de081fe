"""Counting requests, under the kubelet's names; a path is what comes before its first parameter."""

from __future__ import annotations

from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.web.messages import Request

__all__ = ["Accounting"]


class Accounting:
    """What one server counts; without `metrics` nothing."""

    def __init__(self, metrics: Metrics | None, server: str) -> None:
        """`server` is the label `server_type`."""
        self._metrics = metrics
        self._server = server

    def done(self, request: Request, seconds: float, *, stream: bool) -> None:
        """Count an answered request; a stream counts when it ends."""
        if self._metrics is not None:
            labels = self._labels(request, stream=stream)
            self._metrics.http_requests.labels(*labels).inc()
            self._metrics.http_duration.labels(*labels).observe(seconds)

    def stream(self, request: Request, change: int) -> None:
        """Count a stream that begins (1) or ends (-1)."""
        if self._metrics is not None:
            labels = self._labels(request, stream=True)
            self._metrics.http_inflight.labels(*labels).inc(change)
            self._metrics.streams.labels(labels[1]).inc(change)

    def _labels(self, request: Request, *, stream: bool) -> tuple[str, str, str, str]:
        # From the pattern and never from the path, and only methods that a route knows: labels must stay few.
        path = request.pattern.partition("/{")[0].strip("/") or "other"
        method = request.method if request.pattern else "other"
        return method, path, self._server, "true" if stream else "false"
