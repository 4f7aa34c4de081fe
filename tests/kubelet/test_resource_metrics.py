from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from virtual_kubelet.kubelet.resource_metrics import render

T = "2026-01-02T03:04:05.250Z"
MILLISECONDS = 1767323045250


def measured(**more):
    return {
        "cpu": {"time": T, "usageCoreNanoSeconds": 1_234_567_890},
        "memory": {"time": T, "workingSetBytes": 4096},
        "swap": {"time": T, "swapUsageBytes": 0},
        **more,
    }


SUMMARY = {
    "node": measured(nodeName="n"),
    "pods": [
        measured(
            podRef={"name": "web", "namespace": "default"},
            containers=[measured(name="app", startTime="2026-01-02T03:04:05Z")],
        )
    ],
}

EXPECTED = f"""\
# HELP node_cpu_usage_seconds_total Cumulative cpu time consumed by the node in core-seconds
# TYPE node_cpu_usage_seconds_total counter
node_cpu_usage_seconds_total 1.23456789 {MILLISECONDS}
# HELP node_memory_working_set_bytes Current working set of the node in bytes
# TYPE node_memory_working_set_bytes gauge
node_memory_working_set_bytes 4096 {MILLISECONDS}
# HELP node_swap_usage_bytes Current swap usage of the node in bytes
# TYPE node_swap_usage_bytes gauge
node_swap_usage_bytes 0 {MILLISECONDS}
# HELP container_cpu_usage_seconds_total Cumulative cpu time consumed by the container in core-seconds
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{{container="app",pod="web",namespace="default"}} 1.23456789 {MILLISECONDS}
# HELP container_memory_working_set_bytes Current working set of the container in bytes
# TYPE container_memory_working_set_bytes gauge
container_memory_working_set_bytes{{container="app",pod="web",namespace="default"}} 4096 {MILLISECONDS}
# HELP container_swap_usage_bytes Current swap usage of the container in bytes
# TYPE container_swap_usage_bytes gauge
container_swap_usage_bytes{{container="app",pod="web",namespace="default"}} 0 {MILLISECONDS}
# HELP pod_cpu_usage_seconds_total Cumulative cpu time consumed by the pod in core-seconds
# TYPE pod_cpu_usage_seconds_total counter
pod_cpu_usage_seconds_total{{namespace="default",pod="web"}} 1.23456789 {MILLISECONDS}
# HELP pod_memory_working_set_bytes Current working set of the pod in bytes
# TYPE pod_memory_working_set_bytes gauge
pod_memory_working_set_bytes{{namespace="default",pod="web"}} 4096 {MILLISECONDS}
# HELP pod_swap_usage_bytes Current swap usage of the pod in bytes
# TYPE pod_swap_usage_bytes gauge
pod_swap_usage_bytes{{namespace="default",pod="web"}} 0 {MILLISECONDS}
# HELP container_start_time_seconds Start time of the container since unix epoch in seconds
# TYPE container_start_time_seconds gauge
container_start_time_seconds{{container="app",pod="web",namespace="default"}} 1767323045.0
# HELP scrape_error 1 if there was an error while getting container metrics, 0 otherwise
# TYPE scrape_error gauge
scrape_error 0
# HELP resource_scrape_error 1 if there was an error while getting container metrics, 0 otherwise
# TYPE resource_scrape_error gauge
resource_scrape_error 0
"""


def test_the_text():
    assert render(SUMMARY) == EXPECTED


def test_prometheus_can_read_it():
    samples = {
        sample.name: sample
        for family in text_string_to_metric_families(render(SUMMARY))
        for sample in family.samples
    }
    assert samples["node_memory_working_set_bytes"].value == 4096
    assert float(samples["container_cpu_usage_seconds_total"].timestamp) == MILLISECONDS / 1000
    assert samples["container_start_time_seconds"].timestamp is None


def test_what_is_not_measured_is_left_out():
    text = render(
        {"node": {"nodeName": "n"}, "pods": [{"podRef": {"name": "a"}, "containers": [{"name": "b"}]}]}
    )
    assert [line for line in text.splitlines() if not line.startswith("#")] == [
        "scrape_error 0",
        "resource_scrape_error 0",
    ]


def test_labels_are_escaped():
    text = render({"pods": [{"podRef": {"name": 'a"b\\c\nd'}, "memory": {"workingSetBytes": 1}}]})
    assert 'pod="a\\"b\\\\c\\nd"} 1\n' in text


def test_a_container_that_has_hardly_worked_has_not_worked_for_nothing():
    """metrics-server drops a pod with a container whose CPU time is 0 (pkg/scraper/client/resource/decode.go)."""
    quiet = measured(name="app")
    quiet["cpu"]["usageCoreNanoSeconds"] = 0
    text = render({"pods": [{"podRef": {"name": "web", "namespace": "default"}, "containers": [quiet]}]})
    families = {family.name: family for family in text_string_to_metric_families(text)}
    (sample,) = families["container_cpu_usage_seconds"].samples
    assert 1 <= sample.value * 1e9 < 2
