"""What the service cannot do, refused by name. Pure.

Each container is a virtual machine of its own: what containers of a pod share elsewhere, they do not share there.
"""

from __future__ import annotations

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime.containers import slots
from virtual_kubelet.pure import quantity

__all__ = ["check", "volume_options"]

POD_FIELDS = {
    "hostNetwork": "containers are virtual machines with networks of their own",
    "hostPID": "there is no host to see",
    "hostIPC": "there is no host to share with",
    "shareProcessNamespace": "containers are virtual machines and cannot share processes",
    "hostAliases": "the service writes the hosts file",
    "ephemeralContainers": "nothing can join a running virtual machine",
}
SMALLEST, LARGEST = 10, 1000  # GB, of a volume
GB = 10**9


def check(pod: Pod) -> None:
    """Raise `InvalidInput`, naming the field, for a pod that the service can never run."""
    owners = pod["metadata"].get("ownerReferences") or ()
    if any(owner.get("kind") == "DaemonSet" for owner in owners):
        raise InvalidInput(
            "pods of DaemonSets do not run here: they look after a machine, and this node has none; keep them away"
            " by the node's taint"
        )
    spec = pod["spec"]
    for field, reason in POD_FIELDS.items():
        if spec.get(field):
            raise InvalidInput(f"spec.{field}: {reason}")
    if (spec.get("securityContext") or {}).get("sysctls"):
        raise InvalidInput("spec.securityContext.sysctls: the service has no kernel settings")
    for volume in spec.get("volumes") or ():
        if volume.get("hostPath") is not None:
            raise InvalidInput(f'volume "{volume.get("name")}" is a hostPath: the service has no host paths')
    names = [slot for slot in slots(pod) if _serves_others(slot.container)]
    for slot in slots(pod):
        _check_container(slot.container)
    if len(names) > 1:
        _check_ports([slot.container for slot in names])


def volume_options(volume: JsonObject) -> JsonObject:
    """Return what the service's driver makes an emptyDir from: the smallest size that its sizeLimit fits in."""
    limit = (volume.get("emptyDir") or {}).get("sizeLimit")
    size = -(-quantity.parse(str(limit)).value // GB) if limit else SMALLEST
    if size > LARGEST:
        raise InvalidInput(
            f'volume "{volume.get("name")}": sizeLimit {limit}: the largest volume has {LARGEST} GB'
        )
    return {"size": str(max(SMALLEST, size)), "snapshot": ""}


def _serves_others(container: Container) -> bool:
    return bool(container.get("ports"))


def _check_ports(containers: list[Container]) -> None:
    """Refuse two containers that publish the same port: each has its own address, but they count as one pod."""
    seen: dict[object, str] = {}
    for container in containers:
        for port in container.get("ports") or ():
            number = (port.get("hostPort") or port["containerPort"], port.get("protocol") or "TCP")
            other = seen.setdefault(number, container["name"])
            if other != container["name"]:
                raise InvalidInput(
                    f'containers "{other}" and "{container["name"]}" both have port {number[0]}'
                )


def _check_container(container: Container) -> None:
    where = f'container "{container["name"]}"'
    context = container.get("securityContext") or {}
    if context.get("privileged"):
        raise InvalidInput(f"{where}: securityContext.privileged: the service has no privileged containers")
    if context.get("procMount") == "Unmasked":
        raise InvalidInput(f"{where}: securityContext.procMount: the service cannot unmask /proc")
    if container.get("volumeDevices"):
        raise InvalidInput(f"{where}: volumeDevices: the service has no block devices")
    for field in ("seccompProfile", "appArmorProfile", "seLinuxOptions"):
        profile = context.get(field)
        if isinstance(profile, dict) and profile.get("type") == "Localhost":
            raise InvalidInput(
                f"{where}: securityContext.{field}: the service cannot read profiles of this node"
            )
