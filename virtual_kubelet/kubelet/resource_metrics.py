"""The text of /metrics/resource, made from a Summary: what metrics-server and the HPA read.

Names and units are the kubelet's (pkg/kubelet/metrics/collectors/resource_metrics.go, Kubernetes v1.36).
Times are explicit, in milliseconds: readers compute rates between the moments of measuring, not of asking.
Labels are printed in a fixed order, since some readers go by position.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["render"]

NANO = 1e9


@dataclass
class _Family:
    kind: str
    help: str
    samples: list[str] = field(default_factory=list)


def render(summary: JsonObject) -> str:
    """Return the Prometheus text (version 0.0.4) of a completed summary."""
    families = _families()
    _measured(families, "node", summary.get("node") or {}, ())
    for pod in summary.get("pods") or []:
        reference = pod.get("podRef") or {}
        name, namespace = reference.get("name", ""), reference.get("namespace", "")
        for container in pod.get("containers") or []:
            labels = (("container", container.get("name", "")), ("pod", name), ("namespace", namespace))
            _measured(families, "container", container, labels)
            _start_time(families, container, labels)
        _measured(families, "pod", pod, (("namespace", namespace), ("pod", name)))
    families["scrape_error"].samples.append(" 0")
    families["resource_scrape_error"].samples.append(" 0")
    return "".join(_lines(families))


def _families() -> dict[str, _Family]:
    families = {}
    for what in ("node", "container", "pod"):
        families[f"{what}_cpu_usage_seconds_total"] = _Family(
            "counter", f"Cumulative cpu time consumed by the {what} in core-seconds"
        )
        families[f"{what}_memory_working_set_bytes"] = _Family(
            "gauge", f"Current working set of the {what} in bytes"
        )
        families[f"{what}_swap_usage_bytes"] = _Family("gauge", f"Current swap usage of the {what} in bytes")
    families["container_start_time_seconds"] = _Family(
        "gauge", "Start time of the container since unix epoch in seconds"
    )
    wrong = "1 if there was an error while getting container metrics, 0 otherwise"
    families["scrape_error"] = _Family("gauge", wrong)
    families["resource_scrape_error"] = _Family("gauge", wrong)
    return families


Labels = tuple[tuple[str, str], ...]


def _measured(families: Mapping[str, _Family], what: str, item: Mapping[str, Any], labels: Labels) -> None:
    cpu, memory, swap = (item.get(kind) or {} for kind in ("cpu", "memory", "swap"))
    if (nanoseconds := cpu.get("usageCoreNanoSeconds")) is not None:
        name = f"{what}_cpu_usage_seconds_total"
        # Never 0, which is below what a provider can measure of a quiet container: metrics-server takes it for a
        # number that is missing, and drops the whole pod.
        families[name].samples.append(_sample(labels, max(nanoseconds, 1) / NANO, cpu.get("time")))
    if (size := memory.get("workingSetBytes")) is not None:
        name = f"{what}_memory_working_set_bytes"
        families[name].samples.append(_sample(labels, size, memory.get("time")))
    if (size := swap.get("swapUsageBytes")) is not None:
        name = f"{what}_swap_usage_bytes"
        families[name].samples.append(_sample(labels, size, swap.get("time")))


def _start_time(families: Mapping[str, _Family], container: Mapping[str, Any], labels: Labels) -> None:
    if start := container.get("startTime"):
        seconds = times.parse(start)
        if seconds > 0:
            families["container_start_time_seconds"].samples.append(_sample(labels, seconds, None))


def _sample(labels: Labels, value: float, time: str | None) -> str:
    printed = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels)
    stamp = f" {round(times.parse(time) * 1000)}" if time else ""
    return f"{printed and '{' + printed + '}'} {value!r}{stamp}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _lines(families: Mapping[str, _Family]) -> Iterator[str]:
    for name, family in families.items():
        if family.samples:
            yield f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"
            for sample in family.samples:
                yield f"{name}{sample}\n"
