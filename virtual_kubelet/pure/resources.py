"""What a pod as a whole asks for, as the scheduler and the kubelet count it (Kubernetes 1.36).

Containers and sidecars run together, so they are added up. An init container runs alone, but beside the
sidecars that were started before it: the pod needs enough for its hungriest moment. What is said of the whole
pod (`spec.resources`) stands for its containers, and overhead comes on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from virtual_kubelet.objects import Pod, ResourceRequirements
from virtual_kubelet.pure.quantity import Quantity, parse

__all__ = ["Amounts", "add", "parsed", "pod_limits", "pod_requests"]

Amounts: TypeAlias = dict[str, Quantity]
_Reader: TypeAlias = Callable[[ResourceRequirements], Amounts]

_OF_THE_POD: Final = ("cpu", "memory")
_HUGE_PAGES: Final = "hugepages-"


def pod_requests(pod: Pod) -> Amounts:
    """Return the pod's requests by resource; a container's limit stands for a request that it does not make.

    Raises:
        ValueError: an amount is no quantity.
    """
    requests = _hungriest(pod, _requests)
    requests.update(_of_the_pod(pod, _requests))
    add(requests, parsed(pod["spec"].get("overhead")))
    return requests


def pod_limits(pod: Pod) -> Amounts:
    """Return the pod's limits by resource, as far as its containers have them.

    Raises:
        ValueError: an amount is no quantity.
    """
    limits = _hungriest(pod, _limits)
    limits.update(_of_the_pod(pod, _limits))
    overhead = parsed(pod["spec"].get("overhead"))
    add(limits, {name: amount for name, amount in overhead.items() if name in limits})
    return limits


def parsed(amounts: Mapping[str, str] | None) -> Amounts:
    """Return amounts as quantities; raise `ValueError` where one is none."""
    return {name: parse(amount) for name, amount in (amounts or {}).items()}


def add(total: Amounts, more: Mapping[str, Quantity]) -> None:
    """Add `more` to `total`."""
    for name, amount in more.items():
        total[name] = total[name] + amount if name in total else amount


def _requests(resources: ResourceRequirements) -> Amounts:
    return {**parsed(resources.get("limits")), **parsed(resources.get("requests"))}


def _limits(resources: ResourceRequirements) -> Amounts:
    return parsed(resources.get("limits"))


def _hungriest(pod: Pod, amounts: _Reader) -> Amounts:
    """Return what the pod's containers need at the worst moment of its life."""
    spec = pod["spec"]
    sidecars: Amounts = {}
    peak: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = amounts(container.get("resources") or {})
        if container.get("restartPolicy") == "Always":
            add(sidecars, own)
            moment = sidecars
        else:
            moment = dict(sidecars)
            add(moment, own)
        _raise(peak, moment)
    together = dict(sidecars)
    for container in spec.get("containers") or ():
        add(together, amounts(container.get("resources") or {}))
    _raise(together, peak)
    return together


def _raise(total: Amounts, least: Mapping[str, Quantity]) -> None:
    for name, amount in least.items():
        total[name] = max(total.get(name, amount), amount)


def _of_the_pod(pod: Pod, amounts: _Reader) -> Amounts:
    whole = amounts(pod["spec"].get("resources") or {})
    return {
        name: amount for name, amount in whole.items() if name in _OF_THE_POD or name.startswith(_HUGE_PAGES)
    }
