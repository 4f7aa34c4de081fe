"""The mock provider's settings: JSON, one section for each node name, as the Go original reads it.

    {"my-node": {"cpu": "20", "memory": "100Gi", "pods": "110", "others": {"nvidia.com/gpu": "1"},
                 "providerID": "mock://my-node", "latency": 0.05, "failureRate": 0.1, "seed": 7}}

`latency` (seconds) and `failureRate` (0 to 1) make every create, update and delete slow or fail, for tests
and benchmarks; a `seed` makes the failures the same each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.pure import quantity

__all__ = ["MockConfig", "load"]

KEYS = frozenset({"cpu", "memory", "pods", "others", "providerID", "latency", "failureRate", "seed"})


@dataclass(frozen=True)
class MockConfig:
    """What one mock node offers and how badly it behaves."""

    cpu: str = "20"
    memory: str = "100Gi"
    pods: str = "110"
    others: Mapping[str, str] = field(default_factory=dict)
    provider_id: str = ""
    latency: float = 0.0
    failure_rate: float = 0.0
    seed: int | None = None

    def capacity(self) -> dict[str, str]:
        """Return the node's capacity as resource quantities."""
        return {"cpu": self.cpu, "memory": self.memory, "pods": self.pods, **self.others}


def load(path: str, node_name: str) -> MockConfig:
    """Read the section `node_name` of the file at `path`; "" or a file without it gives the defaults."""
    if not path:
        return MockConfig()
    try:
        document = codec.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"mock provider config {path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"mock provider config {path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"mock provider config {path}: write an object with a section for each node name")
    return _parse(document.get(node_name, {}), f"mock provider config {path}, node {node_name}")


def _parse(section: Any, where: str) -> MockConfig:
    if not isinstance(section, dict):
        raise ConfigError(f"{where}: write an object")
    if unknown := sorted(set(section) - KEYS):
        raise ConfigError(f"{where}: unknown setting {unknown[0]}; known are {', '.join(sorted(KEYS))}")
    others = section.get("others", {})
    if not isinstance(others, dict):
        raise ConfigError(f"{where}: others must be an object of resource quantities")
    default = MockConfig()
    return MockConfig(
        cpu=_quantity(section.get("cpu", default.cpu), f"{where}: cpu"),
        memory=_quantity(section.get("memory", default.memory), f"{where}: memory"),
        pods=_quantity(section.get("pods", default.pods), f"{where}: pods"),
        others={name: _quantity(value, f"{where}: others.{name}") for name, value in others.items()},
        provider_id=_text(section.get("providerID", ""), f"{where}: providerID"),
        latency=_number(section.get("latency", 0), f"{where}: latency", most=3600),
        failure_rate=_number(section.get("failureRate", 0), f"{where}: failureRate", most=1),
        seed=section.get("seed"),
    )


def _quantity(value: Any, where: str) -> str:
    text = str(value)
    try:
        quantity.parse(text)
    except ValueError as error:
        raise ConfigError(
            f'{where}: "{text}" is not a resource quantity, such as 20, 500m or 100Gi'
        ) from error
    return text


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ConfigError(f"{where} must be a string")
    return value


def _number(value: Any, where: str, *, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
        raise ConfigError(f"{where} must be a number from 0 to {most:g}")
    return float(value)
