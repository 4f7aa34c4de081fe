"""CPU, memory and GPUs of containers, in ACI's units and by its rules. Pure.

ACI counts CPU in steps of 0.01 and memory in steps of 0.1 "GB", which are GiB. Amounts are rounded up, so that a
container never gets less than it asked for. A container that asks for nothing gets ACI's own defaults, 1 CPU
and 1.5 GB. A limit may not exceed what all containers of the group request together (ACI's error
ContainerLimitGreaterThanContainerGroupTotalRequest), so it is capped to that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject
from virtual_kubelet.pure import quantity

__all__ = ["GPU", "translate"]

GPU = "nvidia.com/gpu"
DEFAULT_CPU = Decimal(1)
DEFAULT_MEMORY = Decimal("1.5")
CPU_STEP = Decimal("0.01")
MEMORY_STEP = Decimal("0.1")
GIB = Decimal(2**30)
_UNDERSTOOD = frozenset({"cpu", "memory", GPU})
_IGNORED = frozenset({"ephemeral-storage"})  # admission plugins add it; container groups have 50 GB


@dataclass
class _Amounts:
    cpu: Decimal
    memory: Decimal
    gpus: int = 0


def translate(containers: Sequence[Container], gpu_type: str) -> list[JsonObject]:
    """Return `resources` for each container of a pod.

    Raises:
        InvalidInput: an amount cannot be had; names the field.
    """
    requests = []
    for index, container in enumerate(containers):
        path = f"spec.containers[{index}].resources"
        requests.append(_requests(path, container))
    total = _Amounts(
        cpu=sum((item.cpu for item in requests), Decimal(0)),
        memory=sum((item.memory for item in requests), Decimal(0)),
    )
    result = []
    for index, (container, asked) in enumerate(zip(containers, requests, strict=True)):
        path = f"spec.containers[{index}].resources"
        gpu = _gpu(path, asked.gpus, gpu_type)
        resources: JsonObject = {"requests": {**_numbers(asked), **gpu}}
        limits = _limits(path, container, asked, total)
        if limits is not None:
            resources["limits"] = {**_numbers(limits), **gpu}
        result.append(resources)
    return result


def _requests(path: str, container: Container) -> _Amounts:
    resources = container.get("resources") or {}
    asked, limits = resources.get("requests") or {}, resources.get("limits") or {}
    for kind, table in (("requests", asked), ("limits", limits)):
        for name in table:
            if name not in _UNDERSTOOD | _IGNORED:
                raise InvalidInput(f"{path}.{kind}[{name}]: container groups have no such resource")
    # The API server fills requests in from limits; a pod made without it may have limits alone.
    both: dict[str, Any] = {**limits, **asked}
    cpu = _amount(f"{path}.requests[cpu]", both.get("cpu"), Decimal(1), CPU_STEP)
    memory = _amount(f"{path}.requests[memory]", both.get("memory"), GIB, MEMORY_STEP)
    gpus = _count(f"{path}.limits[{GPU}]", both.get(GPU))
    return _Amounts(DEFAULT_CPU if cpu is None else cpu, DEFAULT_MEMORY if memory is None else memory, gpus)


def _limits(path: str, container: Container, asked: _Amounts, total: _Amounts) -> _Amounts | None:
    limits = (container.get("resources") or {}).get("limits") or {}
    if not any(name in limits for name in ("cpu", "memory", GPU)):
        return None
    cpu = _amount(f"{path}.limits[cpu]", limits.get("cpu"), Decimal(1), CPU_STEP)
    memory = _amount(f"{path}.limits[memory]", limits.get("memory"), GIB, MEMORY_STEP)
    return _Amounts(
        asked.cpu if cpu is None else max(asked.cpu, min(cpu, total.cpu)),
        asked.memory if memory is None else max(asked.memory, min(memory, total.memory)),
    )


def _amount(path: str, value: Any, unit: Decimal, step: Decimal) -> Decimal | None:
    """Return `value` in units, rounded up to a step; None where it is not set, or zero."""
    if value is None:
        return None
    try:
        parsed = quantity.parse(value)
    except ValueError as error:
        raise InvalidInput(f"{path}: {error}") from error
    if parsed.nanos <= 0:
        return None
    steps = (parsed.decimal / unit / step).to_integral_value(ROUND_CEILING)
    return steps * step


def _count(path: str, value: Any) -> int:
    if value is None:
        return 0
    try:
        return quantity.parse(value).value
    except ValueError as error:
        raise InvalidInput(f"{path}: {error}") from error


def _gpu(path: str, count: int, sku: str) -> JsonObject:
    if not count:
        return {}
    if not sku:
        raise InvalidInput(
            f"{path}.limits[{GPU}]: which GPU? Annotate the pod with virtual-kubelet.io/gpu-type"
            " (K80, P100 or V100), or set GpuType in the provider's configuration"
        )
    return {"gpu": {"count": count, "sku": sku.upper()}}


def _numbers(amounts: _Amounts) -> Mapping[str, float]:
    return {"cpu": float(amounts.cpu), "memoryInGB": float(amounts.memory)}
