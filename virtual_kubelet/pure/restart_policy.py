"""Whether a container that ended is to run again: by its own rules, its own policy, its pod's (Kubernetes 1.36)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from virtual_kubelet.objects import Container

__all__ = ["restarts"]


def restarts(container: Container, pod_policy: str, exit_code: int, *, init: bool = False) -> bool:
    """Tell whether a container that ended with `exit_code` is to run again.

    `init`: it is an init container (no sidecar): one that succeeded has done its work, whatever the policy.
    """
    for rule in container.get("restartPolicyRules") or ():
        if _matches(rule.get("exitCodes") or {}, exit_code):
            return True
    policy = container.get("restartPolicy") or pod_policy
    if init or policy == "OnFailure":
        return policy != "Never" and exit_code != 0
    return policy == "Always"


def _matches(exit_codes: Mapping[str, Any], exit_code: int) -> bool:
    values: Sequence[int] = exit_codes.get("values") or ()
    if exit_codes.get("operator") == "In":
        return exit_code in values
    return exit_codes.get("operator") == "NotIn" and exit_code not in values
