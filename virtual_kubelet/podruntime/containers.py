"""The containers of a pod's spec: which there are, of what kind, in what order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from virtual_kubelet.objects import Container, Pod

__all__ = ["APP", "EPHEMERAL", "INIT", "SIDECAR", "Slot", "find", "grace_period", "restart_policy", "slots"]

INIT = "init"
SIDECAR = "sidecar"  # an init container with restartPolicy Always
APP = "app"
EPHEMERAL = "ephemeral"


@dataclass(frozen=True)
class Slot:
    """A container of the spec."""

    kind: str
    container: Container

    @property
    def name(self) -> str:
        """The container's name, unique in the pod."""
        return self.container["name"]


def slots(pod: Pod) -> Iterator[Slot]:
    """Yield the containers: init and sidecars in their order, then the others, then ephemeral ones."""
    spec = pod["spec"]
    for container in spec.get("initContainers") or ():
        yield Slot(SIDECAR if container.get("restartPolicy") == "Always" else INIT, container)
    for container in spec.get("containers") or ():
        yield Slot(APP, container)
    for container in spec.get("ephemeralContainers") or ():
        yield Slot(EPHEMERAL, container)


def find(pod: Pod, name: str) -> Slot | None:
    """Return the container called `name`."""
    return next((slot for slot in slots(pod) if slot.name == name), None)


def restart_policy(pod: Pod) -> str:
    """Return the pod's restartPolicy."""
    return pod["spec"].get("restartPolicy") or "Always"


def grace_period(pod: Pod) -> float:
    """Return the pod's terminationGracePeriodSeconds."""
    seconds = pod["spec"].get("terminationGracePeriodSeconds")
    return 30.0 if seconds is None else float(seconds)
