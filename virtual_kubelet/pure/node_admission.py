"""Would the kubelet take this pod in? It asks once more after the scheduler, whose view may be old.

Reasons and messages are the kubelet's (Kubernetes 1.36). A pod that is refused has failed: its phase becomes
Failed with the reason. Unlike the kubelet, nothing is evicted to make room for a critical pod.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from virtual_kubelet.objects import Node, Pod
from virtual_kubelet.pure.affinity import matches_node
from virtual_kubelet.pure.quantity import Quantity, parse
from virtual_kubelet.pure.resources import Amounts, add, pod_requests
from virtual_kubelet.pure.taints import tolerates

__all__ = ["Rejection", "admit", "insufficient"]

_OS_LABEL: Final = "kubernetes.io/os"
_NATIVE: Final[Mapping[str, int]] = {"cpu": 0, "memory": 1, "ephemeral-storage": 2}
_ENDED: Final = frozenset({"Succeeded", "Failed"})


@dataclass(frozen=True)
class Rejection:
    """Why a pod is not taken in."""

    reason: str
    """For the pod's status and for the event (`Warning`), for example `OutOfcpu`."""

    message: str
    """For the event."""

    @property
    def status_message(self) -> str:
        """For the pod's status."""
        return f"Pod was rejected: {self.message}"


def admit(pod: Pod, node: Node, others: Collection[Pod]) -> Rejection | None:
    """Return why `pod` cannot be taken in; None: it can.

    Args:
        pod: the newcomer.
        node: with its name, labels, taints and `status.allocatable`. An amount that it does not list (the
            kubelet lists all) is not its to count, but for huge pages, of which it then has none.
        others: the pods that are on the node; those that have ended, and `pod` itself, do not count.

    Raises:
        ValueError: an amount is no quantity.
    """
    others = _running_others(pod, others)
    return _unsupported(pod, node) or next(_predicates(pod, node, others), None)


def insufficient(pod: Pod, allocatable: Mapping[str, str], others: Collection[Pod]) -> Rejection | None:
    """Return which resource there is too little of for `pod`; None: there is enough. See `admit`."""
    return next(_insufficient(pod, allocatable, _running_others(pod, others)), None)


def _running_others(pod: Pod, others: Collection[Pod]) -> list[Pod]:
    uid = pod["metadata"].get("uid")
    return [
        other
        for other in others
        if other["metadata"].get("uid") != uid and other.get("status", {}).get("phase") not in _ENDED
    ]


def _unsupported(pod: Pod, node: Node) -> Rejection | None:
    system = (node["metadata"].get("labels") or {}).get(_OS_LABEL, "linux")
    if (pod["metadata"].get("labels") or {}).get(_OS_LABEL, system) != system:
        return Rejection(
            "PodOSSelectorNodeLabelDoesNotMatch",
            "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
        )
    wanted = pod["spec"].get("os")
    if wanted and wanted.get("name", system) != system:
        return Rejection("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
    policy = (pod["spec"].get("securityContext") or {}).get("supplementalGroupsPolicy")
    features = node.get("status", {}).get("features") or {}
    if policy == "Strict" and not features.get("supplementalGroupsPolicy"):
        return Rejection(
            "SupplementalGroupsPolicyNotSupported",
            "SupplementalGroupsPolicy=Strict is not supported in this node",
        )
    return None


def _predicates(pod: Pod, node: Node, others: Collection[Pod]) -> Iterator[Rejection]:
    """Yield what is wrong, in the kubelet's order."""
    yield from _insufficient(pod, node.get("status", {}).get("allocatable") or {}, others)
    if not matches_node(pod, node):
        yield _failed("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
    wanted = pod["spec"].get("nodeName")
    if wanted and wanted != node["metadata"].get("name"):
        yield _failed("NodeName", "node(s) didn't match the requested node name")
    if not _ports_are_free(pod, others):
        yield _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")
    if not tolerates(node.get("spec", {}).get("taints"), pod["spec"].get("tolerations"), {"NoExecute"}):
        yield _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")


def _failed(predicate: str, description: str) -> Rejection:
    return Rejection(predicate, f"Predicate {predicate} failed: {description}")


# ---------------------------------------------------------------------------------------------------------
# Resources


def _insufficient(pod: Pod, allocatable: Mapping[str, str], others: Collection[Pod]) -> Iterator[Rejection]:
    if "pods" in allocatable:
        room = parse(allocatable["pods"]).value
        if len(others) + 1 > room:
            yield _out_of("pods", 1, len(others), room)
    requests = pod_requests(pod)
    used = _used(others)
    for name in sorted(requests, key=lambda name: (_NATIVE.get(name, len(_NATIVE)), name)):
        if name not in allocatable and not name.startswith("hugepages-"):
            continue
        capacity = parse(allocatable.get(name, "0"))
        taken = used.get(name, Quantity(0))
        requested = requests[name]
        if requested.nanos > 0 and requested > capacity - taken:
            yield _out_of(name, _units(name, requested), _units(name, taken), _units(name, capacity))


def _used(pods: Collection[Pod]) -> Amounts:
    used: Amounts = {}
    for pod in pods:
        add(used, pod_requests(pod))
    return used


def _units(name: str, amount: Quantity) -> int:
    return amount.milli if name == "cpu" else amount.value


def _out_of(name: str, requested: int, used: int, capacity: int) -> Rejection:
    return Rejection(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}",
    )


# ---------------------------------------------------------------------------------------------------------
# Ports of the host


def _ports_are_free(pod: Pod, others: Collection[Pod]) -> bool:
    wanted = set(_host_ports(pod))
    if not wanted:
        return True
    taken = {port for other in others for port in _host_ports(other)}
    return not any(_collide(one, other) for one in wanted for other in taken)


def _host_ports(pod: Pod) -> Iterator[tuple[str, str, int]]:
    """Yield address, protocol and number of the ports that a pod has on the host while it runs."""
    spec = pod["spec"]
    sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*sidecars, *(spec.get("containers") or ())]:
        for port in container.get("ports") or ():
            number = port.get("hostPort") or 0
            if number > 0:
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol") or "TCP", number


def _collide(one: tuple[str, str, int], other: tuple[str, str, int]) -> bool:
    everywhere = "0.0.0.0"
    same_address = one[0] == other[0] or everywhere in (one[0], other[0])
    return same_address and one[1:] == other[1:]
