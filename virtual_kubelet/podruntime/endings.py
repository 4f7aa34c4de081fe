"""How containers and pods are ended: preStop hook, signal, and when the grace is over, the kill.

A pod's containers are told together; its sidecars after them, one by one in the reverse of their order, because
the others may need them to the last. When the pod's grace is over nobody waits for anybody.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence

from virtual_kubelet.objects import Pod
from virtual_kubelet.podruntime.actions import (
    Action,
    KillContainer,
    RunPreStop,
    SignalContainer,
    StopContainer,
    TearDown,
)
from virtual_kubelet.podruntime.containers import SIDECAR, Slot, slots
from virtual_kubelet.podruntime.record import (
    HOOK_NONE,
    HOOK_RUNNING,
    ContainerRecord,
    PodRecord,
    Termination,
)

__all__ = ["MINIMUM_GRACE", "advance", "advance_stop", "deadline"]

MINIMUM_GRACE = 2.0  # seconds that a container has after its signal, however long its preStop hook took
KILL_AGAIN = 5.0


def deadline(record: PodRecord) -> float:
    """Return when the grace of a pod that is being ended is over."""
    termination = record.termination
    assert termination is not None
    end = termination.since + termination.grace
    if record.deleted_at:
        return min(end, record.deleted_at + record.grace)
    return end


def advance(
    pod: Pod,
    record: PodRecord,
    now: float,
    busy: Collection[str],
    actions: list[Action],
    wake: Callable[[float], None],
) -> None:
    """Add what is to be done next for a pod that is being ended."""
    end = deadline(record)
    forced = end <= (record.deleted_at or _termination(record).since)
    alive = [(slot, item) for slot, item in _containers(pod, record) if item.running]
    for slot, item in alive:
        if item.stopping is not None:
            limit = max(end, item.stopping.since + _least(slot, forced=forced))
            advance_stop(slot, item, now, actions, wake, limit=limit)
    for slot in _to_stop(alive, everybody=now >= end):
        grace = max(end - now, _least(slot, forced=forced))
        actions.append(StopContainer(slot.name, grace, "Killing", f"Stopping container {slot.name}"))
    if now < end and any(item.stopping is None for _, item in alive):
        wake(end)
    if not alive and not busy:
        actions.append(TearDown())


def _least(slot: Slot, *, forced: bool) -> float:
    """Return how long a container has at least: a sidecar is not to blame for the time that others took."""
    return MINIMUM_GRACE if slot.kind == SIDECAR and not forced else 0.0


def _termination(record: PodRecord) -> Termination:
    assert record.termination is not None
    return record.termination


def _containers(pod: Pod, record: PodRecord) -> list[tuple[Slot, ContainerRecord]]:
    known = record.containers
    return [(slot, known[slot.name]) for slot in slots(pod) if slot.name in known]


def _to_stop(alive: Sequence[tuple[Slot, ContainerRecord]], *, everybody: bool) -> list[Slot]:
    """Return the containers whose turn to end it is, and that are not being ended."""
    first = [(slot, item) for slot, item in alive if slot.kind != SIDECAR]
    sidecars = [(slot, item) for slot, item in reversed(alive) if slot.kind == SIDECAR]
    turn = [*first, *sidecars] if everybody else first or sidecars[:1]
    return [slot for slot, item in turn if item.stopping is None]


def advance_stop(
    slot: Slot,
    container: ContainerRecord,
    now: float,
    actions: list[Action],
    wake: Callable[[float], None],
    *,
    limit: float = math.inf,
) -> None:
    """Add the next step of ending one container, which is to be over by `limit` even if it was given longer."""
    stopping = container.stopping
    assert stopping is not None
    end = min(stopping.deadline, limit)
    if stopping.killed_at:
        # A process in the middle of a system call dies when that returns; a lost request is made again.
        again = stopping.killed_at + KILL_AGAIN
        _kill_or_wake(slot, again, now, actions, wake)
    elif stopping.signalled_at:
        floor = stopping.signalled_at + MINIMUM_GRACE if stopping.hook else 0.0
        _kill_or_wake(slot, max(end, floor), now, actions, wake)
    elif now >= end and stopping.hook == HOOK_NONE:
        actions.append(KillContainer(slot.name))
    elif now < end and stopping.hook == HOOK_NONE and has_pre_stop(slot):
        actions.append(RunPreStop(slot.name, end - now))
    elif now < end and stopping.hook == HOOK_RUNNING:
        wake(end)
    elif now >= end + MINIMUM_GRACE:
        actions.append(KillContainer(slot.name))  # the signal does not get through
    else:
        actions.append(SignalContainer(slot.name))


def _kill_or_wake(
    slot: Slot, moment: float, now: float, actions: list[Action], wake: Callable[[float], None]
) -> None:
    if now >= moment:
        actions.append(KillContainer(slot.name))
    else:
        wake(moment)


def has_pre_stop(slot: Slot) -> bool:
    """Tell whether the container has a preStop hook."""
    return bool((slot.container.get("lifecycle") or {}).get("preStop"))
