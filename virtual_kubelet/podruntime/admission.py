"""Whether a pod may be on the node and there is room for it, as the kubelet decides it once more after the scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtual_kubelet.objects import Node, Pod
from virtual_kubelet.pure import node_admission
from virtual_kubelet.pure.node_admission import Rejection

__all__ = ["admit"]


def admit(
    pod: Pod, others: Sequence[Pod], capacity: Mapping[str, str], node: Node | None
) -> Rejection | None:
    """Return why a pod cannot be taken in beside `others`, which have not ended; None: it can.

    Args:
        pod: the newcomer.
        others: what is on the node.
        capacity: what the backend has, which is newer than what the Node says.
        node: with its labels and taints; None while it is not known: then only the room counts.
    """
    if node is None:
        return node_admission.insufficient(pod, capacity, others)
    status = node.get("status") or {}
    known: Node = {
        **node,
        "status": {**status, "allocatable": {**(status.get("allocatable") or {}), **capacity}},
    }
    return node_admission.admit(pod, known, others)
