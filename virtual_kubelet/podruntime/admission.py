"""Whether there is room for a pod, as the kubelet decides it once more after the scheduler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from virtual_kubelet.objects import Pod
from virtual_kubelet.podruntime.record import Verdict
from virtual_kubelet.pure import node_admission

__all__ = ["admit"]


def admit(pod: Pod, others: Sequence[Pod], allocatable: Mapping[str, str]) -> Verdict | None:
    """Return why a pod cannot be taken in beside `others`, which have not ended; None: it can."""
    rejection = node_admission.insufficient(pod, allocatable, others)
    return None if rejection is None else Verdict(rejection.reason, rejection.status_message)
