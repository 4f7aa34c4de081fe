"""What `kubectl top` is told."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.provider import Measuring, ResourceMetrics
from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.node import MAIN, ConformanceNode, reference, supported

__all__ = ["TestNumbers"]

RATES = (("cpu", "usageNanoCores"), ("cpu", "usageCoreNanoSeconds"), ("memory", "workingSetBytes"))


class TestNumbers(Conformance):
    """`stats_summary` and `resource_metrics`."""

    def test_a_pod_that_runs_has_numbers(self, node: ConformanceNode) -> None:
        """Its containers are in the summary, under their names, with numbers that can be."""
        provider = node.need(Measuring)
        pod = node.run()
        namespace, name, uid = reference(pod)

        def entry() -> JsonObject | None:
            with supported():
                pods = provider.stats_summary().get("pods") or []
            found = [item for item in pods if item["podRef"]["uid"] == uid]
            assert len(found) <= 1
            return next((item for item in found if item.get("containers")), None)

        measured = node.expect(entry, lambda: f"no numbers of {name}: {provider.stats_summary()}")
        assert measured is not None
        assert (measured["podRef"]["namespace"], measured["podRef"]["name"]) == (namespace, name)
        assert MAIN in [item["name"] for item in measured["containers"]]
        for part in (measured, *measured["containers"]):
            for kind, number in RATES:
                assert (part.get(kind) or {}).get(number, 0) >= 0

    def test_work_that_was_done_only_grows(self, node: ConformanceNode) -> None:
        """CPU time (usageCoreNanoSeconds) is a sum."""
        provider = node.need(Measuring)
        pod = node.run()

        def used() -> int:
            with supported():
                pods = provider.stats_summary().get("pods") or []
            containers = [c for p in pods if p["podRef"]["uid"] == reference(pod)[2] for c in p["containers"]]
            return sum((item.get("cpu") or {}).get("usageCoreNanoSeconds", 0) for item in containers)

        seen = [used() for _ in range(3)]
        assert seen == sorted(seen)

    def test_the_node_has_numbers(self, node: ConformanceNode) -> None:
        """There is a summary of the node, also when no pod runs."""
        with supported():
            summary = node.need(Measuring).stats_summary()
        assert isinstance(summary.get("node"), dict)

    def test_resource_metrics_are_prometheus_text(self, node: ConformanceNode) -> None:
        """The text can be parsed."""
        provider = node.need(ResourceMetrics)
        node.run()
        with supported():
            assert list(text_string_to_metric_families(provider.resource_metrics()))
