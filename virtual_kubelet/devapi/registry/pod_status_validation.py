"""What a pod's status may say, and may not take back."""

from __future__ import annotations

import ipaddress
from typing import Any

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import names

__all__ = ["pair_addresses", "validate_status_update"]

SYSTEM_CONDITIONS = frozenset(
    {
        "PodScheduled",
        "Ready",
        "Initialized",
        "ContainersReady",
        "DisruptionTarget",
        "PodReadyToStartContainers",
        "PodResizePending",
        "PodResizeInProgress",
    }
)


def pair_addresses(status: JsonObject) -> None:
    """Make podIP and podIPs agree: the singular one wins, for clients that know nothing of the other."""
    single, many = status.get("podIP"), status.get("podIPs")
    if many and (not single or single == many[0].get("ip")):
        status["podIP"] = many[0].get("ip", "")
    elif single:
        status["podIPs"] = [{"ip": single}]
    else:
        status.pop("podIP", None)
        status.pop("podIPs", None)


def validate_status_update(new: JsonObject, old: JsonObject) -> list[FieldError]:
    """Return what is wrong with a new status, given the one before."""
    status = new.get("status", {})
    before = old.get("status", {})
    found = _validate_addresses(status) + _validate_conditions(status)
    policy = new["spec"].get("restartPolicy", "Always")
    found += _validate_transitions(status, before, "containerStatuses", policy)
    # Init containers run to their end under Always, too: only those that failed may run again.
    init_policy = "OnFailure" if policy == "Always" else policy
    sidecars = {
        container["name"]
        for container in new["spec"].get("initContainers", ())
        if container.get("restartPolicy") == "Always"
    }
    found += _validate_transitions(status, before, "initContainerStatuses", init_policy, exempt=sidecars)
    found += _validate_transitions(status, before, "ephemeralContainerStatuses", "Never")
    return found


def _validate_transitions(
    status: JsonObject, before: JsonObject, field: str, policy: str, *, exempt: set[str] | None = None
) -> list[FieldError]:
    """A container that will not be restarted stays terminated."""
    if policy == "Always":
        return []
    new_by_name = {each.get("name"): (i, each) for i, each in enumerate(status.get(field) or ())}
    found = []
    for held in before.get(field) or ():
        ended = (held.get("state") or {}).get("terminated")
        if ended is None or held.get("name") in (exempt or ()):
            continue
        if policy == "OnFailure" and ended.get("exitCode", 0) != 0:
            continue
        index, item = new_by_name.get(held.get("name"), (0, None))
        if item is not None and (item.get("state") or {}).get("terminated") is None:
            found.append(
                FieldError.forbidden(
                    f"status.{field}[{index}].state", "may not be transitioned to non-terminated state"
                )
            )
    return found


def _validate_conditions(status: JsonObject) -> list[FieldError]:
    found = []
    for index, condition in enumerate(status.get("conditions") or ()):
        path = f"status.conditions[{index}]"
        type_ = condition.get("type", "")
        if type_ not in SYSTEM_CONDITIONS:
            found += [FieldError.invalid(f"{path}.type", type_, text) for text in names.label_key(type_)]
        if condition.get("observedGeneration", 0) < 0:
            found.append(
                FieldError.invalid(
                    f"{path}.observedGeneration",
                    condition["observedGeneration"],
                    "must be greater than or equal to 0",
                )
            )
    return found


def _validate_addresses(status: JsonObject) -> list[FieldError]:
    found = _validate_family(status.get("podIPs") or (), "status.podIPs", "podIP")
    host_ips = status.get("hostIPs") or ()
    found += _validate_family(host_ips, "status.hostIPs", "hostIP")
    if host_ips and host_ips[0].get("ip") != status.get("hostIP"):
        found.append(
            FieldError.invalid("status.hostIPs[0].ip", host_ips[0].get("ip"), "must be equal to `hostIP`")
        )
    return found


def _validate_family(addresses: Any, path: str, what: str) -> list[FieldError]:
    """At most two addresses, one a family."""
    found = []
    families = []
    for index, address in enumerate(addresses):
        text = address.get("ip", "")
        try:
            families.append(ipaddress.ip_address(text).version)
        except ValueError:
            found.append(
                FieldError.invalid(
                    f"{path}[{index}]", text, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
                )
            )
    if len(addresses) > 1 and len(families) != len(set(families)):
        shown = [address.get("ip", "") for address in addresses]
        found.append(
            FieldError.invalid(path, shown, f"may specify no more than one {what} for each IP family")
        )
    return found
