from __future__ import annotations

import pytest

from virtual_kubelet.runtime.metrics import POD_START_BUCKETS, Metrics


def test_two_agents_count_apart():
    one, two = Metrics(), Metrics()
    one.sync_errors.labels("Unavailable").inc()
    assert b'virtual_kubelet_pod_sync_errors_total{error="Unavailable"} 1.0' in one.render()
    assert b'{error="Unavailable"}' not in two.render()


def test_names_that_dashboards_know():
    metrics = Metrics()
    metrics.requests.labels("200", "PATCH", "h:1").inc()
    metrics.pod_start_sli.observe(2.5)
    metrics.workqueue("pods").adds.inc()
    text = metrics.render().decode()
    for line in (
        'rest_client_requests_total{code="200",host="h:1",method="PATCH"} 1.0',
        'kubelet_pod_start_sli_duration_seconds_bucket{le="3.0"} 1.0',
        'workqueue_adds_total{name="pods"} 1.0',
        'workqueue_depth{name="pods"} 0.0',
        "process_resident_memory_bytes",
        "virtual_kubelet_build_info{",
    ):
        assert line in text
    assert "_created" not in text


def test_the_start_latency_has_the_kubelets_buckets():
    assert POD_START_BUCKETS[:4] == (0.5, 1, 2, 3)
    assert POD_START_BUCKETS[-1] == 3600
    assert list(POD_START_BUCKETS) == sorted(set(POD_START_BUCKETS))


def test_others_add_their_own_once():
    metrics = Metrics()
    first = metrics.counter("x_total", "X.", ("a",))
    assert metrics.counter("x_total", "X.", ("a",)) is first
    with pytest.raises(TypeError, match="x_total exists as a Counter"):
        metrics.gauge("x_total", "X.")
    assert metrics.histogram("y_seconds", "Y.", buckets=(1, 2)) is metrics.histogram("y_seconds", "Y.")


def test_provider_calls():
    metrics = Metrics()
    metrics.provider_call("create_pod", "ok", 0.25)
    metrics.provider_call("create_pod", "Unavailable", 0.25)
    value = metrics.registry.get_sample_value
    assert value("virtual_kubelet_provider_calls_total", {"method": "create_pod", "result": "ok"}) == 1
    assert value("virtual_kubelet_provider_call_duration_seconds_sum", {"method": "create_pod"}) == 0.5
