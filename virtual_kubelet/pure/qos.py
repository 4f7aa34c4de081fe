"""The quality-of-service class of a pod, for API servers that do not set it themselves."""

from __future__ import annotations

from virtual_kubelet.objects import PodSpec, ResourceRequirements
from virtual_kubelet.pure import quantity

__all__ = ["qos_class"]

COMPUTE = ("cpu", "memory")


def qos_class(spec: PodSpec) -> str:
    """Return `Guaranteed`, `Burstable` or `BestEffort` (Kubernetes v1.36, `ComputePodQOS`)."""
    pod_level = spec.get("resources")
    if pod_level and (pod_level.get("requests") or pod_level.get("limits")):
        claims = [pod_level]
    else:
        claims = [c.get("resources", {}) for c in (*spec["containers"], *spec.get("initContainers", ()))]
    if not any(_asks(claim) for claim in claims):
        return "BestEffort"
    return "Guaranteed" if all(_is_fixed(claim) for claim in claims) else "Burstable"


def _asks(claim: ResourceRequirements) -> bool:
    return any(
        quantity.parse(amounts[name]) > quantity.ZERO
        for amounts in (claim.get("requests", {}), claim.get("limits", {}))
        for name in COMPUTE
        if name in amounts
    )


def _is_fixed(claim: ResourceRequirements) -> bool:
    """Tell whether both resources have a limit, and requests that equal it (where there are any)."""
    limits, requests = claim.get("limits", {}), claim.get("requests", {})
    return all(
        name in limits
        and quantity.parse(limits[name]) > quantity.ZERO
        and quantity.parse(requests.get(name, limits[name])) == quantity.parse(limits[name])
        for name in COMPUTE
    )
