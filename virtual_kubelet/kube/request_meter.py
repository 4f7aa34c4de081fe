"""What is counted of requests to the API server."""

from __future__ import annotations

from typing import Any

from virtual_kubelet.runtime.metrics import Metrics

__all__ = ["RequestMeter"]


class RequestMeter:
    """Counts requests to one API server; keeps the labelled children, which are costly to look up."""

    def __init__(self, metrics: Metrics, host: str) -> None:
        self._metrics = metrics
        self._host = host
        # Without a lock: two threads may look the same child up at once, and get the same one.
        self._counters: dict[tuple[str, str], Any] = {}
        self._durations: dict[str, Any] = {}

    def count(self, method: str, code: str, seconds: float) -> None:
        """Count a request that was answered with `code` after `seconds`."""
        counter = self._counters.get((method, code))
        if counter is None:
            counter = self._metrics.requests.labels(code, method, self._host)
            self._counters[method, code] = counter
        counter.inc()
        duration = self._durations.get(method)
        if duration is None:
            duration = self._durations[method] = self._metrics.request_duration.labels(method, self._host)
        duration.observe(seconds)

    def waited(self, method: str, seconds: float) -> None:
        """Count a wait for our own rate limit."""
        self._metrics.limiter_duration.labels(method, self._host).observe(seconds)
