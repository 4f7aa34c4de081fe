"""What a pod may ask of plain processes: what is honoured, what is refused by name, what is left aside.

Refused is what would run, and be something else than was asked for: a container without a command (there is no
image to take one from), more rights than the supervisor's user has, another user where that cannot be, block
devices. Left aside is what only confines or describes: dropped capabilities, seccomp and the like, read-only root,
DNS settings, resource limits (said once). Where the mounts stand is in `layout`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime.containers import EPHEMERAL, slots

__all__ = ["check_container", "check_pod", "identity", "limited"]

_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
LIMITABLE = frozenset({"cpu", "memory"})
OTHER_PROVIDERS = 'containers from images need another provider, such as "docker"'


def check_pod(pod: Pod) -> None:
    """Raise `InvalidInput`, naming the field, for a pod that processes cannot be."""
    metadata, spec = pod["metadata"], pod["spec"]
    if not _UID.fullmatch(metadata["uid"]):
        raise InvalidInput(f"metadata.uid {metadata['uid']!r} cannot name a directory")
    if (spec.get("securityContext") or {}).get("sysctls"):
        raise InvalidInput("spec.securityContext.sysctls: processes share the machine's kernel settings")
    for slot in slots(pod):
        if slot.kind != EPHEMERAL:  # one of these comes later, and must not take the pod down
            check_container(pod, slot.container)


def check_container(pod: Pod, container: Container) -> None:
    """Raise `InvalidInput`, naming the field, for a container that a process cannot be."""
    name = container["name"]
    if not container.get("command"):
        raise InvalidInput(
            f'container "{name}" has no command: this node runs commands of its machine, not images;'
            f" set command, or note that {OTHER_PROVIDERS}"
        )
    if container.get("volumeDevices"):
        raise InvalidInput(f'container "{name}": volumeDevices are not supported by processes')
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        raise InvalidInput(f'container "{name}": a process cannot be privileged')
    added = (context.get("capabilities") or {}).get("add")
    if added:
        raise InvalidInput(
            f'container "{name}": capabilities {", ".join(added)} cannot be added to a process'
        )
    identity(pod, container)


def identity(pod: Pod, container: Container) -> JsonObject:
    """Return whom a container runs as, as the supervisor takes it; raise `InvalidInput` where that cannot be."""
    user = _setting(pod, container, "runAsUser")
    group = _setting(pod, container, "runAsGroup")
    root = os.geteuid() == 0
    name = container["name"]
    if user is not None and user != os.geteuid() and not root:
        raise InvalidInput(
            f'container "{name}" asks for user {user}; this node runs as user {os.geteuid()} and cannot change that'
        )
    if group is not None and group != os.getegid() and not root:
        raise InvalidInput(
            f'container "{name}" asks for group {group}; this node runs as group {os.getegid()} and cannot change'
        )
    effective = user if user is not None else os.geteuid()
    if _setting(pod, container, "runAsNonRoot") and effective == 0:
        raise InvalidInput(f'container "{name}" has runAsNonRoot and would run as root; set runAsUser')
    if not root or (user is None and group is None):
        return {}
    groups = _groups(pod, user, group)
    return {"user": user, "group": groups[0] if group is None else group, "groups": groups}


def _setting(pod: Pod, container: Container, name: str) -> int | None:
    own = (container.get("securityContext") or {}).get(name)
    value: int | None = (pod["spec"].get("securityContext") or {}).get(name) if own is None else own
    return value


def _groups(pod: Pod, user: int | None, group: int | None) -> list[int]:
    context = pod["spec"].get("securityContext") or {}
    more = [*context.get("supplementalGroups", ()), *([context["fsGroup"]] if "fsGroup" in context else ())]
    first = group if group is not None else (user or 0)
    return [first, *(item for item in more if item != first)]


def limited(pod: Pod) -> frozenset[str]:
    """Return the resources that a container of the pod has a limit on, of those that cgroups can limit."""
    limits = ((container.get("resources") or {}).get("limits") or {} for container in _containers(pod))
    return frozenset(name for limit in limits for name in limit) & LIMITABLE


def _containers(pod: Pod) -> Iterator[Container]:
    return (slot.container for slot in slots(pod))
