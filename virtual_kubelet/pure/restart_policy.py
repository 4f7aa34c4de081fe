"""Whether a container that ended is to run again: by its own rules, its own policy, its pod's (Kubernetes 1.36)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from virtual_kubelet.objects import Container

__all__ = ["restarts", "restarts_all"]

RESTART_ALL = "RestartAllContainers"


def restarts(container: Container, pod_policy: str, exit_code: int, *, init: bool = False) -> bool:
    """Tell whether a container that ended with `exit_code` is to run again.

    `init`: it is an init container (no sidecar): one that succeeded has done its work, whatever the policy.
    """
    if _action(container, exit_code):
        return True  # each action is a restart of it, at least
    policy = container.get("restartPolicy") or pod_policy
    if init or policy == "OnFailure":
        return policy != "Never" and exit_code != 0
    return policy == "Always"


def restarts_all(container: Container, exit_code: int) -> bool:
    """Tell whether the whole pod begins anew, init containers and all, because the container ended so."""
    return _action(container, exit_code) == RESTART_ALL


def _action(container: Container, exit_code: int) -> str:
    """Return the action of the first rule that fits, "" where none does."""
    for rule in container.get("restartPolicyRules") or ():
        if _matches(rule.get("exitCodes") or {}, exit_code):
            return str(rule.get("action") or "Restart")
    return ""


def _matches(exit_codes: Mapping[str, Any], exit_code: int) -> bool:
    values: Sequence[int] = exit_codes.get("values") or ()
    if exit_codes.get("operator") == "In":
        return exit_code in values
    return exit_codes.get("operator") == "NotIn" and exit_code not in values
