"""The status of a pod, made whole: from what a provider says to what the API server is to hold.

`{"phase": "Running"}` is a good enough answer from a provider. `complete` fills in the rest: container statuses,
conditions, addresses, times. The other functions make the answers that the agent gives in a provider's stead
(lost, refused, waiting, ended); their results are as incomplete as a provider's and go through `complete` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from virtual_kubelet.objects import Container, ContainerStatus, Pod, PodIP, PodStatus
from virtual_kubelet.pure import container_statuses
from virtual_kubelet.pure.pod_conditions import conditions
from virtual_kubelet.pure.pod_phase import ended_phase, phase_of
from virtual_kubelet.pure.qos import qos_class

__all__ = ["PROVIDER_FAILED", "complete", "ended", "failed", "lost", "waiting"]

PROVIDER_FAILED = "ProviderFailed"
"""The status reason of a pod that its provider refused."""

_ContainerList = Literal["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]
_CONTAINERS: Final[tuple[_ContainerList, ...]] = (
    "containerStatuses",
    "initContainerStatuses",
    "ephemeralContainerStatuses",
)


def complete(pod: Pod, reported: PodStatus, *, host_ips: Sequence[str] = (), now: str) -> PodStatus:
    """Return the whole status of `pod` that the provider's `reported` one stands for.

    Changes neither argument; the result shares parts with both. Times of what has not changed since are
    those that the API server holds, so that the same report gives the same status for ever.

    Args:
        pod: the pod as the API server has it, with its status.
        reported: what the provider says: any part of a `PodStatus`.
        host_ips: the node's addresses, the primary one first.
        now: the time of what changes now, RFC 3339 (`times.rfc3339`).
    """
    current = pod.get("status", {})
    spec, metadata = pod["spec"], pod["metadata"]
    wanted: PodStatus = {**reported}
    phase = wanted["phase"] = reported.get("phase") or phase_of(spec, reported)
    wanted["containerStatuses"] = container_statuses.whole(
        spec["containers"],
        reported.get("containerStatuses"),
        current.get("containerStatuses"),
        phase=phase,
        now=now,
    )
    if spec.get("initContainers"):
        wanted["initContainerStatuses"] = container_statuses.whole_init(
            spec["initContainers"],
            reported.get("initContainerStatuses"),
            current.get("initContainerStatuses"),
            phase=phase,
            now=now,
        )
    _complete_addresses(wanted, host_ips, host_network=bool(spec.get("hostNetwork")))
    wanted["startTime"] = current.get("startTime") or reported.get("startTime") or now
    # The API server refuses a changed class.
    wanted["qosClass"] = current.get("qosClass") or qos_class(spec)
    if metadata.get("generation"):
        wanted.setdefault("observedGeneration", metadata["generation"])
    wanted["conditions"] = conditions(pod, wanted, now)
    return wanted


def waiting(
    pod: Pod, reason: str, message: str, *, container: str = "", status_reason: str = ""
) -> PodStatus:
    """Return the status of a pod that cannot start yet, or as it is written.

    Args:
        pod: the pod.
        reason: why the containers wait, for example `CreateContainerConfigError`.
        message: the whole story.
        container: the one container that is the cause; "": all of them.
        status_reason: the reason of the pod's own status, which then carries the message too.
    """
    spec = pod["spec"]
    status: PodStatus = {
        "phase": "Pending",
        "containerStatuses": [_waiting(c, container, reason, message) for c in spec["containers"]],
    }
    if spec.get("initContainers"):
        status["initContainerStatuses"] = [
            _waiting(c, container, reason, message) for c in spec["initContainers"]
        ]
    if status_reason:
        status["reason"] = status_reason
        status["message"] = message
    return status


def failed(reason: str, message: str) -> PodStatus:
    """Return the status of a pod that will never start."""
    return {"phase": "Failed", "reason": reason, "message": message}


def lost(pod: Pod, now: str) -> PodStatus:
    """Return the status of a pod that ran and that its provider no longer has."""
    status = _without_verdicts(pod.get("status", {}))
    status["phase"] = "Failed"
    status["reason"] = "NotFound"
    status["message"] = "The pod status was not found and may have been deleted from the provider"
    for key in _CONTAINERS:
        if status.get(key):
            status[key] = container_statuses.lose(status[key], now)
    return status


def ended(pod: Pod, reported: PodStatus | None, now: str) -> PodStatus:
    """Return the last status of a pod that was told to end and has.

    Args:
        pod: the pod as the API server has it.
        reported: the provider's last word, or None when the pod just vanished from it.
        now: the time for containers whose end nobody saw, RFC 3339.
    """
    last = _without_verdicts(pod.get("status", {}) if reported is None else reported)
    for key in _CONTAINERS:
        if last.get(key):
            last[key] = container_statuses.settle(last[key], now)
    last["phase"] = ended_phase(last)
    return last


def _waiting(container: Container, culprit: str, reason: str, message: str) -> ContainerStatus:
    name = container["name"]
    if culprit in {"", name}:
        return {"name": name, "state": {"waiting": {"reason": reason, "message": message}}}
    return {"name": name, "state": {"waiting": {"reason": "ContainerCreating"}}}


def _without_verdicts(status: PodStatus) -> PodStatus:
    """Return a copy without what `complete` computes from the rest."""
    plain: PodStatus = {**status}
    plain.pop("conditions", None)
    plain.pop("observedGeneration", None)
    return plain


def _complete_addresses(wanted: PodStatus, host_ips: Sequence[str], *, host_network: bool) -> None:
    """Make the singular and the plural of hostIP and podIP agree, as the API server demands."""
    hosts = _both_forms(wanted.get("hostIP"), wanted.get("hostIPs")) or [{"ip": ip} for ip in host_ips if ip]
    if hosts:
        wanted["hostIP"], wanted["hostIPs"] = hosts[0]["ip"], hosts
    pods = _both_forms(wanted.get("podIP"), wanted.get("podIPs"))
    if not pods and host_network:
        pods = hosts
    if pods:
        wanted["podIP"], wanted["podIPs"] = pods[0]["ip"], pods


def _both_forms(one: str | None, many: list[PodIP] | None) -> list[PodIP]:
    if many and (not one or many[0].get("ip") == one):
        return many
    return [{"ip": one}] if one else []
