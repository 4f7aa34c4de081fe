"""What is to be done for a pod now: its spec, its record and the time in, actions and the next look out.

    admitted -> prepared -> init containers, one after another -> app containers -> over
                            (a sidecar holds up the next one until it has started)

    deleted, failed as a whole, past its deadline, or done: see `endings`; back to the beginning: see `anew`

A look changes nothing. It is repeated after every change, so each rule only says what is to be done next; what
is under way (`busy`) is not asked for again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from virtual_kubelet.objects import Pod
from virtual_kubelet.podruntime import anew, endings
from virtual_kubelet.podruntime.actions import (
    Action,
    BackOff,
    Decision,
    Fail,
    Initialized,
    Prepare,
    RestartAll,
    RunPostStart,
    StartContainer,
    StopContainer,
    Terminate,
)
from virtual_kubelet.podruntime.containers import (
    APP,
    EPHEMERAL,
    INIT,
    SIDECAR,
    Slot,
    grace_period,
    restart_policy,
    slots,
)
from virtual_kubelet.podruntime.record import (
    HOOK_DONE,
    HOOK_FAILED,
    HOOK_NONE,
    ContainerRecord,
    PodRecord,
)
from virtual_kubelet.podruntime.restarts import should_restart

__all__ = ["PREPARE", "TEAR_DOWN", "decide", "restarts_later"]

PREPARE = "prepare"
TEAR_DOWN = "tear down"
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


@dataclass
class _Look:
    """One look at one pod."""

    pod: Pod
    record: PodRecord
    now: float
    prepared: bool
    busy: Collection[str]  # PREPARE, TEAR_DOWN, or names of containers that are being started
    actions: list[Action] = field(default_factory=list)
    wake_at: float | None = None

    def wake(self, moment: float) -> None:
        self.wake_at = moment if self.wake_at is None else min(self.wake_at, moment)

    def container(self, slot: Slot) -> ContainerRecord:
        return self.record.containers.get(slot.name) or ContainerRecord()

    def decision(self) -> Decision:
        return Decision(tuple(self.actions), self.wake_at)


def decide(
    pod: Pod, record: PodRecord, now: float, *, prepared: bool, busy: Collection[str] = ()
) -> Decision:
    """Return what is to be done for the pod.

    Args:
        pod: its spec.
        record: what is remembered of it.
        now: seconds since the epoch.
        prepared: whether its surroundings have been made since the agent started.
        busy: what is under way: PREPARE, TEAR_DOWN, names of containers that are being started.
    """
    if record.over:
        return Decision()
    look = _Look(pod, record, now, prepared, busy)
    if record.termination is None:
        ending = _ending(look)
        if ending is not None:
            return Decision((ending,))
        _run(look)
    else:
        endings.advance(pod, record, now, busy, look.actions, look.wake)
    return look.decision()


def _ending(look: _Look) -> Action | None:
    """Return why the pod is to end now, if it is."""
    record = look.record
    if record.deleted_at:
        return Terminate("deleted", record.grace)
    if record.verdict is not None:
        return Terminate(record.verdict.reason, grace_period(look.pod))
    seconds = look.pod["spec"].get("activeDeadlineSeconds")
    if seconds is not None and record.start_time:
        deadline = record.start_time + float(seconds)
        if look.now >= deadline:
            return Fail("DeadlineExceeded", DEADLINE_MESSAGE)
        look.wake(deadline)
    if _completed(look):
        return Terminate("completed", grace_period(look.pod))
    return None


def _completed(look: _Look) -> bool:
    """Tell whether no container will do anything more by itself."""
    policy = restart_policy(look.pod)
    if look.busy or look.record.restarting:
        return False
    for slot in slots(look.pod):
        container = look.container(slot)
        if slot.kind == INIT and _failed_for_good(slot, container, policy) and not look.record.initialized:
            return True
        if slot.kind == APP and (not container.exited or restarts_later(slot, container, policy)):
            return False
    return look.record.initialized


def _failed_for_good(slot: Slot, container: ContainerRecord, policy: str) -> bool:
    return (
        container.info is not None
        and container.exited
        and container.info.exit_code != 0
        and not restarts_later(slot, container, policy)
    )


def restarts_later(slot: Slot, container: ContainerRecord, pod_policy: str) -> bool:
    """Tell whether a container that has ended will be started again."""
    if container.info is None or not container.exited:
        return False
    return container.restart_wanted or should_restart(slot, pod_policy, container.info.exit_code)


# ---------------------------------------------------------------------------------------------------------
# A pod that is to run


def _run(look: _Look) -> None:
    if look.record.restarting:
        anew.advance(look.pod, look.record, look.now, look.busy, look.actions, look.wake)
        return
    cause = anew.cause(look.pod, look.record)
    if cause:
        look.actions.append(RestartAll(cause))
        return
    for slot in slots(look.pod):
        _tend(look, slot)
    if not look.prepared:
        _prepare(look)
        return
    for slot in slots(look.pod):
        if slot.kind == EPHEMERAL and look.container(slot).to_begin:
            _start(look, slot)
    if look.record.initialized:
        for slot in slots(look.pod):
            if slot.kind in {SIDECAR, APP}:
                _keep_running(look, slot)
    else:
        _initialize(look)


def _prepare(look: _Look) -> None:
    if PREPARE in look.busy:
        return
    if look.now < look.record.retry_at:
        look.wake(look.record.retry_at)
        return
    look.actions.append(Prepare())


def _tend(look: _Look, slot: Slot) -> None:
    """Do what a running container asks for: its hook, its end, its changed spec."""
    container = look.container(slot)
    if not container.running:
        return
    if container.stopping is not None:
        endings.advance_stop(slot, container, look.now, look.actions, look.wake)
    elif container.image != slot.container.get("image", "") and slot.kind != EPHEMERAL:
        message = f"Container {slot.name} definition changed, will be restarted"
        look.actions.append(
            StopContainer(slot.name, grace_period(look.pod), "Killing", message, restart=True)
        )
    elif has_post_start(slot) and container.post_start == HOOK_NONE:
        look.actions.append(RunPostStart(slot.name))
    elif container.post_start == HOOK_FAILED:
        message = f"Container {slot.name} failed postStart hook"
        look.actions.append(StopContainer(slot.name, grace_period(look.pod), "FailedPostStartHook", message))


def has_post_start(slot: Slot) -> bool:
    """Tell whether the container has a postStart hook."""
    return bool((slot.container.get("lifecycle") or {}).get("postStart"))


def _initialize(look: _Look) -> None:
    policy = restart_policy(look.pod)
    for slot in _init_slots(look.pod):
        container = look.container(slot)
        current = container.place == look.record.place
        if slot.kind == SIDECAR:
            _keep_running(look, slot)
            if not (current and container.was_started):
                return
        elif current and container.info is not None and container.exited and container.info.exit_code == 0:
            continue
        else:
            if not container.running and (
                container.to_begin or restarts_later(slot, container, policy) or not current
            ):
                _start(look, slot)
            return
    look.actions.append(Initialized())


def _init_slots(pod: Pod) -> Iterator[Slot]:
    return (slot for slot in slots(pod) if slot.kind in {INIT, SIDECAR})


def _keep_running(look: _Look, slot: Slot) -> None:
    container = look.container(slot)
    if container.running:
        return
    if container.to_begin or restarts_later(slot, container, restart_policy(look.pod)):
        _start(look, slot)


def _start(look: _Look, slot: Slot) -> None:
    """Start the next attempt, unless it has to wait: for its time, or for its turn.

    An attempt that was made and not started (an agent was killed in between, or the backend did not answer) is started
    itself, as long as the sandbox that it was made for is there.
    """
    container = look.container(slot)
    if slot.name in look.busy:
        return
    ready_at = container.retry_at
    if container.info is not None and container.exited and not container.restart_wanted:
        ready_at = max(ready_at, container.backoff.ready_at(container.info.finished_at))
    if look.now < ready_at:
        look.wake(ready_at)
        if container.info is not None and container.backoff_told != container.info.finished_at:
            look.actions.append(BackOff(slot.name, container.backoff.delay))
        return
    if not _has_turn(look):
        return
    made = container.info is not None and container.to_begin and container.place == look.record.place
    look.actions.append(StartContainer(slot.name, container.attempt + (0 if made else 1)))


def _has_turn(look: _Look) -> bool:
    """Tell whether no other container is being started: its postStart hook is part of that.

    One after another in the order of the spec, as the kubelet does: pods rely on it.
    """
    if look.busy or any(isinstance(action, (StartContainer, RunPostStart)) for action in look.actions):
        return False
    for slot in slots(look.pod):
        container = look.container(slot)
        if (
            container.running
            and has_post_start(slot)
            and container.post_start not in {HOOK_DONE, HOOK_FAILED}
        ):
            return False
    return True
