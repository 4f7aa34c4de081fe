"""Whether a pod still fits on the node, as the kubelet decides it once more after the scheduler.

The reasons and messages are the kubelet's (OutOfcpu, OutOfmemory, OutOfpods); a pod that does not fit has failed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtual_kubelet.objects import Container, Pod
from virtual_kubelet.podruntime.record import Verdict
from virtual_kubelet.pure import quantity

__all__ = ["admit", "requests_of"]

COUNTED = ("cpu", "memory", "ephemeral-storage")


def requests_of(pod: Pod) -> dict[str, int]:
    """Return what a pod asks for, in billionths: its containers together, or its hungriest init container, whichever is more.

    Sidecars count with the containers, and with each init container after them.
    """
    spec = pod["spec"]
    running: dict[str, int] = {}
    peak: dict[str, int] = {}
    for container in spec.get("initContainers") or ():
        asked = _container(container)
        if container.get("restartPolicy") == "Always":
            _add(running, asked)
            _raise(peak, running)
        else:
            together = dict(running)
            _add(together, asked)
            _raise(peak, together)
    for container in spec.get("containers") or ():
        _add(running, _container(container))
    _raise(peak, running)
    whole = (spec.get("resources") or {}).get("requests") or {}
    for name, amount in whole.items():
        peak[name] = quantity.parse(amount).nanos
    _add(peak, {name: quantity.parse(amount).nanos for name, amount in (spec.get("overhead") or {}).items()})
    return peak


def _container(container: Container) -> dict[str, int]:
    requests = (container.get("resources") or {}).get("requests") or {}
    return {name: quantity.parse(amount).nanos for name, amount in requests.items()}


def _add(total: dict[str, int], more: Mapping[str, int]) -> None:
    for name, amount in more.items():
        total[name] = total.get(name, 0) + amount


def _raise(peak: dict[str, int], other: Mapping[str, int]) -> None:
    for name, amount in other.items():
        peak[name] = max(peak.get(name, 0), amount)


def admit(pod: Pod, others: Sequence[Pod], allocatable: Mapping[str, str]) -> Verdict | None:
    """Return why a pod cannot be taken in beside `others`, which have not ended; None: it can."""
    limit = allocatable.get("pods")
    if limit is not None and len(others) + 1 > quantity.parse(limit).value:
        return _verdict("pods", 1, len(others), quantity.parse(limit).value)
    asked = requests_of(pod)
    used: dict[str, int] = {}
    for other in others:
        _add(used, requests_of(other))
    for name, amount in asked.items():
        if amount <= 0:
            continue
        have = allocatable.get(name)
        if have is None and name not in COUNTED:
            return _verdict(name, _units(name, amount), 0, 0)
        if have is None:
            continue
        capacity, taken = quantity.parse(have).nanos, used.get(name, 0)
        if taken + amount > capacity:
            return _verdict(name, _units(name, amount), _units(name, taken), _units(name, capacity))
    return None


def _units(name: str, nanos: int) -> int:
    """Return an amount as the kubelet's messages count it: CPU in thousandths."""
    return nanos // 10**6 if name == "cpu" else nanos // 10**9


def _verdict(name: str, requested: int, used: int, capacity: int) -> Verdict:
    return Verdict(
        f"OutOf{name}",
        f"Pod was rejected: Node didn't have enough resource: {name}, "
        f"requested: {requested}, used: {used}, capacity: {capacity}",
    )
