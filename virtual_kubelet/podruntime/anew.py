"""How a pod begins anew because of how one of its containers ended (rule action RestartAllContainers).

All containers are ended together, then everything starts again in its order, init containers first; sandbox, volumes
and ephemeral containers stay. Only the container that was the cause waits for its back-off.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from virtual_kubelet.objects import Pod
from virtual_kubelet.podruntime import endings
from virtual_kubelet.podruntime.actions import Action, BeginAnew, StopContainer
from virtual_kubelet.podruntime.containers import EPHEMERAL, Slot, grace_period, slots
from virtual_kubelet.podruntime.record import ContainerRecord, PodRecord
from virtual_kubelet.pure.restart_policy import restarts_all

__all__ = ["advance", "cause"]


def cause(pod: Pod, record: PodRecord) -> str:
    """Return the container that has ended, in the pod's present life, in a way that all are restarted for."""
    for slot, container in _lasting(pod, record):
        ended = container.info is not None and container.exited and not container.restart_wanted
        if ended and container.place == record.place and restarts_all(slot.container, _exit_code(container)):
            return slot.name
    return ""


def _exit_code(container: ContainerRecord) -> int:
    return container.info.exit_code if container.info is not None else 0


def _lasting(pod: Pod, record: PodRecord) -> list[tuple[Slot, ContainerRecord]]:
    return [
        (slot, record.containers.get(slot.name) or ContainerRecord())
        for slot in slots(pod)
        if slot.kind != EPHEMERAL
    ]


def advance(
    pod: Pod,
    record: PodRecord,
    now: float,
    busy: Collection[str],
    actions: list[Action],
    wake: Callable[[float], None],
) -> None:
    """Add what ends the containers; when none runs, what lets them begin anew."""
    lasting = _lasting(pod, record)
    alive = [(slot, container) for slot, container in lasting if container.running]
    for slot, container in alive:
        if container.stopping is not None:
            endings.advance_stop(slot, container, now, actions, wake)
        else:
            text = f"Container {slot.name} will be restarted with all others, because of {record.restarting}"
            actions.append(StopContainer(slot.name, grace_period(pod), "Killing", text))
    if not alive and not busy:
        actions.append(BeginAnew(tuple(slot.name for slot, _ in lasting)))
