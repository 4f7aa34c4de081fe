"""Prints the table of docs/metrics.md from the registry: `python metrics_table.py`."""

from __future__ import annotations

from virtual_kubelet.runtime.metrics import Metrics

FOREIGN = ("process_", "python_")


def rows() -> list[str]:
    """Return the table's rows."""
    found = []
    for metric in Metrics().registry.collect():
        if metric.name.startswith(FOREIGN):
            continue
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        found.append(f"| `{name}` | {metric.type} | {metric.documentation} |")
    return sorted(found)


if __name__ == "__main__":
    print("\n".join(rows()))
