"""The agent's own numbers, one registry an agent, so that several agents live in one process.

Names are the kubelet's, client-go's or component-base's where one exists, so that dashboards made for those
work; the agent's own begin with `virtual_kubelet_`. Whoever counts on a hot path keeps the labelled child
(`metrics.workqueue(name)`, `metrics.requests.labels(...)`) instead of looking it up each time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.metrics_core import Metric
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from virtual_kubelet.version import KUBERNETES_VERSION, __version__

__all__ = ["CONTENT_TYPE", "POD_START_BUCKETS", "Metrics", "WorkQueueMetrics"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# kubelet: pkg/kubelet/metrics, podStartupDurationBuckets (Kubernetes 1.36)
POD_START_BUCKETS = (
    *(0.5, 1, 2, 3, 4, 5, 6, 8, 10, 20, 30, 45, 60, 120, 180, 240, 300, 360, 480, 600, 900, 1200, 1800),
    *(2700, 3600),
)
# component-base: metrics/prometheus/restclient (Kubernetes 1.36)
REQUEST_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60)
# component-base: metrics/prometheus/workqueue has 10 ns to 1000 s; Python cannot see the first three
QUEUE_BUCKETS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100, 1000)

M = TypeVar("M", Counter, Gauge, Histogram)


class WorkQueueMetrics:
    """The numbers of one work queue, labelled once."""

    def __init__(self, metrics: Metrics, name: str) -> None:
        self.adds = metrics.queue_adds.labels(name)
        self.retries = metrics.queue_retries.labels(name)
        self.waited = metrics.queue_duration.labels(name)
        self.worked = metrics.queue_work.labels(name)
        self.depth = metrics.queue_depth.labels(name)
        self.unfinished = metrics.queue_unfinished.labels(name)
        self.longest = metrics.queue_longest.labels(name)


class Metrics:
    """One registry and what the agent counts in it; other modules add theirs by `counter` and its kin."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._lock = threading.Lock()
        self._known: dict[str, Counter | Gauge | Histogram] = {}  # under the lock
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        build = self.gauge("virtual_kubelet_build_info", "Always 1.", ("version", "kubernetes_version"))
        build.labels(__version__, KUBERNETES_VERSION).set(1)
        self._define_queues()
        self._define_requests()
        self._define_pods()
        self._define_provider()

    # -- making ---------------------------------------------------------------------------------------

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Return the counter `name`, made at the first call (`_total` is added to the name)."""
        return self._make(Counter, name, lambda: Counter(name, text, labels, registry=self.registry))

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Return the gauge `name`, made at the first call."""
        return self._make(Gauge, name, lambda: Gauge(name, text, labels, registry=self.registry))

    def histogram(
        self, name: str, text: str, labels: Sequence[str] = (), buckets: Sequence[float] = REQUEST_BUCKETS
    ) -> Histogram:
        """Return the histogram `name`, made at the first call."""
        return self._make(
            Histogram, name, lambda: Histogram(name, text, labels, buckets=buckets, registry=self.registry)
        )

    def _make(self, kind: type[M], name: str, make: Callable[[], M]) -> M:
        with self._lock:
            known = self._known.get(name)
            if known is None:
                known = self._known[name] = make()
        if not isinstance(known, kind):
            raise TypeError(f"metric {name} exists as a {type(known).__name__}")
        return known

    # -- what there is --------------------------------------------------------------------------------

    def _define_queues(self) -> None:
        queue = ("name",)
        self.queue_depth = self.gauge("workqueue_depth", "Keys that wait for a worker now.", queue)
        self.queue_adds = self.counter("workqueue_adds_total", "Keys added.", queue)
        self.queue_retries = self.counter("workqueue_retries_total", "Keys added again to retry.", queue)
        self.queue_duration = self.histogram(
            "workqueue_queue_duration_seconds", "How long keys waited once due.", queue, QUEUE_BUCKETS
        )
        self.queue_work = self.histogram(
            "workqueue_work_duration_seconds", "How long a key was in hand.", queue, QUEUE_BUCKETS
        )
        self.queue_unfinished = self.gauge(
            "workqueue_unfinished_work_seconds", "Sum of the ages of keys in hand.", queue
        )
        self.queue_longest = self.gauge(
            "workqueue_longest_running_processor_seconds", "Age of the oldest key in hand.", queue
        )

    def _define_requests(self) -> None:
        self.requests = self.counter(
            "rest_client_requests_total", "Requests to the API server.", ("code", "method", "host")
        )
        self.request_duration = self.histogram(
            "rest_client_request_duration_seconds", "Time to the answer of the API server.", ("verb", "host")
        )
        self.limiter_duration = self.histogram(
            "rest_client_rate_limiter_duration_seconds",
            "How long requests waited for our own rate limit.",
            ("verb", "host"),
        )
        kind = ("resource",)
        self.informer_objects = self.gauge("virtual_kubelet_informer_objects", "Objects held.", kind)
        self.informer_synced = self.gauge(
            "virtual_kubelet_informer_synced", "1 when the first list has been taken in.", kind
        )
        self.informer_lists = self.counter("virtual_kubelet_informer_lists_total", "Lists made.", kind)
        self.informer_watches = self.counter("virtual_kubelet_informer_watches_total", "Watches begun.", kind)
        self.informer_events = self.counter(
            "virtual_kubelet_informer_events_total", "Watch events by type.", ("resource", "type")
        )
        self.informer_failures = self.counter(
            "virtual_kubelet_informer_failures_total", "Lists and watches that failed.", kind
        )
        self.events = self.counter(
            "virtual_kubelet_events_total",
            "Kubernetes events by what became of them: sent, dropped, filtered, failed.",
            ("result",),
        )

    def _define_pods(self) -> None:
        self.pod_start_sli = self.histogram(
            "kubelet_pod_start_sli_duration_seconds",
            "From a pod's creation to its running containers as the API holds them, image pulls excluded.",
            buckets=POD_START_BUCKETS,
        )
        self.pod_start = self.histogram(
            "kubelet_pod_start_duration_seconds",
            "From the moment that the agent first saw a pod to its running containers.",
            buckets=POD_START_BUCKETS,
        )
        self.pod_work = self.histogram(
            "kubelet_pod_worker_duration_seconds", "One look at one pod.", ("operation_type",)
        )
        self.node_name = self.gauge("kubelet_node_name", "Always 1.", ("node",))
        self.running_pods = self.gauge("kubelet_running_pods", "Pods with a running container.")
        self.running_containers = self.gauge(
            "kubelet_running_containers", "Containers by state.", ("container_state",)
        )
        self.sync_errors = self.counter(
            "virtual_kubelet_pod_sync_errors_total", "Looks at a pod that failed, by error class.", ("error",)
        )
        self.status_patches = self.counter(
            "virtual_kubelet_pod_status_patches_total", "Pod status writes by result.", ("result",)
        )
        self.lease_renewals = self.counter(
            "virtual_kubelet_lease_renewals_total", "Node lease renewals by result.", ("result",)
        )

    def _define_provider(self) -> None:
        self.provider_calls = self.counter(
            "virtual_kubelet_provider_calls_total", "Calls to the provider by result.", ("method", "result")
        )
        self.provider_duration = self.histogram(
            "virtual_kubelet_provider_call_duration_seconds", "Duration of provider calls.", ("method",)
        )
        self.provider_in_flight = self.gauge(
            "virtual_kubelet_provider_calls_in_flight", "Provider calls under way.", ("method",)
        )
        self.http_requests = self.counter(
            "kubelet_http_requests_total",
            "Requests to the agent's own server.",
            ("method", "path", "server_type", "long_running"),
        )
        self.http_duration = self.histogram(
            "kubelet_http_requests_duration_seconds",
            "Time to answer, of requests to the agent's own server.",
            ("method", "path", "server_type", "long_running"),
        )
        self.http_inflight = self.gauge(
            "kubelet_http_inflight_requests",
            "Requests under way in the agent's own server.",
            ("method", "path", "server_type", "long_running"),
        )
        self.streams = self.gauge(
            "virtual_kubelet_streams", "Open exec, attach, port-forward and log streams.", ("kind",)
        )

    # -- using ----------------------------------------------------------------------------------------

    def workqueue(self, name: str) -> WorkQueueMetrics:
        """Return the numbers of the work queue `name`."""
        return WorkQueueMetrics(self, name)

    def provider_call(self, method: str, result: str, seconds: float) -> None:
        """Count one finished call to the provider; `result` is "ok" or the name of the error's class."""
        self.provider_calls.labels(method, result).inc()
        self.provider_duration.labels(method).observe(seconds)

    def render(self) -> bytes:
        """Return everything in the Prometheus text format, version 0.0.4."""
        return generate_latest(_WithoutCreated(self.registry))


class _WithoutCreated(CollectorRegistry):
    """A view of a registry that leaves out the `_created` series, which double the size for no reader.

    prometheus_client can do that by itself only for the whole process, which is not ours to set.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._source = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._source.collect():
            metric.samples = [s for s in metric.samples if not _is_created(metric, s.name)]
            yield metric


def _is_created(metric: Metric, sample: str) -> bool:
    return metric.type in _WITH_CREATED and sample.endswith("_created")


_WITH_CREATED: Iterable[str] = frozenset({"counter", "histogram", "summary"})
