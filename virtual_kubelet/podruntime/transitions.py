"""How a pod's record changes: by what was decided, and by what happened. Each function changes the record given.

Everything that the runtime learns goes through here, so that a record can be read as the story of its pod.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from virtual_kubelet.podruntime.containers import Slot
from virtual_kubelet.podruntime.driver import CREATED, EXITED, RUNNING, ContainerInfo, Sandbox
from virtual_kubelet.podruntime.record import (
    HOOK_DONE,
    HOOK_FAILED,
    HOOK_NONE,
    HOOK_RUNNING,
    ContainerRecord,
    PodRecord,
    Stopping,
    Termination,
    Verdict,
)

__all__ = [
    "backoff_told",
    "begin_anew",
    "begin_stop",
    "begin_termination",
    "container_lost",
    "could_not_prepare",
    "could_not_start",
    "fail",
    "hook_ended",
    "hook_started",
    "killed",
    "observe",
    "over",
    "prepared",
    "recognized",
    "request_deletion",
    "restart_all",
    "signalled",
    "startup_succeeded",
]

RETRY_START = (1.0, 60.0)  # seconds after the first and at most between attempts to begin
UNKNOWN_REASON = "ContainerStatusUnknown"
UNKNOWN_EXIT_CODE = 137
_ORDER = {CREATED: 0, RUNNING: 1, EXITED: 2}


# -- the pod ----------------------------------------------------------------------------------------------


def request_deletion(record: PodRecord, grace: float, now: float) -> None:
    """Note that the pod is to go; asked again, it goes as early as either of them says."""
    if record.deleted_at and record.deleted_at + record.grace <= now + grace:
        return
    record.deleted_at, record.grace = now, grace


def begin_termination(record: PodRecord, cause: str, grace: float, now: float) -> None:
    """Begin to end the pod."""
    record.termination = Termination(cause, record.deleted_at or now, grace)


def fail(record: PodRecord, reason: str, message: str) -> None:
    """The pod has failed as a whole."""
    record.verdict = Verdict(reason, message)


def recognized(record: PodRecord, *, initialized: bool) -> None:
    """The spec of a pod that was made of its containers' labels is known now."""
    record.initialized = initialized


def prepared(record: PodRecord, sandbox: Sandbox) -> None:
    """The pod's surroundings are there. In a new sandbox everything begins anew."""
    before = record.sandbox
    found = [item for item in record.containers.values() if item.place == record.place and not item.to_begin]
    record.sandbox = sandbox
    if before is None:
        # By an agent that knew of no sandbox yet: what has run is in this one. What has not may be for any.
        for container in found:
            container.place = record.place
    elif before.id != sandbox.id:
        record.initialized = False
        for container in record.containers.values():
            container.was_started = False
    record.waiting_message = ""
    record.failures = 0
    record.retry_at = 0.0


def restart_all(record: PodRecord, because: str) -> None:
    """All containers are to be ended, and begin anew."""
    record.restarting = because


def begin_anew(record: PodRecord, names: Collection[str]) -> None:
    """The containers called `names` have ended: the pod is initialized again. Only their cause waits its time."""
    cause, record.restarting = record.restarting, ""
    record.rounds += 1
    record.initialized = False
    for name in names:
        container = record.container(name)
        container.was_started = False
        container.restart_wanted = name != cause


def over(record: PodRecord) -> None:
    """Nothing is left of it."""
    record.over = True


def could_not_prepare(record: PodRecord, message: str, now: float, retry_after: float | None = None) -> None:
    """The pod's surroundings could not be made."""
    record.failures += 1
    record.waiting_message = message
    record.retry_at = now + (retry_after or _delay(record.failures))


def _delay(failures: int) -> float:
    first, longest = RETRY_START
    return min(longest, first * 2.0 ** min(failures - 1, 10))


# -- one container ----------------------------------------------------------------------------------------


def could_not_start(container: ContainerRecord, reason: str, message: str, now: float) -> None:
    """The next attempt could not begin: tried again later."""
    container.failures += 1
    container.waiting_reason, container.waiting_message = reason, message
    container.retry_at = now + _delay(container.failures)


def observe(record: PodRecord, slot: Slot, info: ContainerInfo, now: float) -> bool:
    """Take what the driver says of a container; return whether it changed anything."""
    container = record.container(slot.name)
    known = container.info
    if info.attempt < container.attempt or (known is not None and not _is_news(known, info)):
        return False
    if info.attempt > container.attempt:
        _new_attempt(record, container, info, now)
    waited, ran = container.to_begin, container.running
    container.info = info
    if waited and not container.to_begin:
        _has_begun(container)
    if info.state == RUNNING and not ran:
        _runs(record, slot, container)
    elif info.state == EXITED:
        record.start_time = record.start_time or info.started_at
        _has_ended(container)
    return True


def _is_news(known: ContainerInfo, info: ContainerInfo) -> bool:
    if info.attempt != known.attempt:
        return True
    # What comes late, from a list that was begun before, must not turn the story back.
    return info != known and _ORDER[info.state] >= _ORDER[known.state]


def _new_attempt(record: PodRecord, container: ContainerRecord, info: ContainerInfo, now: float) -> None:
    """Begin the story of the next attempt: what was true of the one before no longer is."""
    if container.info is not None and container.info.state == EXITED:
        container.last, container.last_message = container.info, container.message
        container.backoff = container.backoff.restarted(container.info.finished_at, now)
    container.info = None
    container.attempt = info.attempt
    container.image = info.image
    container.place = record.place
    container.message = ""
    container.post_start = HOOK_NONE
    container.stopping = None
    container.restart_wanted = False


def _has_begun(container: ContainerRecord) -> None:
    container.waiting_reason = container.waiting_message = ""
    container.failures = 0
    container.retry_at = 0.0


def _runs(record: PodRecord, slot: Slot, container: ContainerRecord) -> None:
    assert container.info is not None
    record.start_time = record.start_time or container.info.started_at
    container.ready = container.started = False
    if not slot.container.get("startupProbe"):
        startup_succeeded(slot, container)


def startup_succeeded(slot: Slot, container: ContainerRecord) -> None:
    """The container has started; without a readiness probe it is ready, too."""
    container.started = container.was_started = True
    container.ready = not slot.container.get("readinessProbe")


def _has_ended(container: ContainerRecord) -> None:
    stopping, container.stopping = container.stopping, None
    container.restart_wanted = stopping is not None and stopping.restart
    container.started = container.ready = False


def container_lost(container: ContainerRecord, now: float) -> bool:
    """The driver no longer has a container that had not ended; return whether that is news."""
    info = container.info
    if info is None or info.state == EXITED:
        return False
    if container.to_begin:
        container.info = None  # it never ran: the next attempt takes its place
        return True
    container.info = replace(
        info,
        state=EXITED,
        exit_code=UNKNOWN_EXIT_CODE,
        reason=UNKNOWN_REASON,
        message="The container could not be located. It used to be running",
        finished_at=now,
    )
    _has_ended(container)
    return True


def begin_stop(
    container: ContainerRecord, grace: float, reason: str, message: str, now: float, *, restart: bool = False
) -> bool:
    """Begin to end a container; False when that has begun already."""
    if container.stopping is not None or not container.running:
        return False
    container.stopping = Stopping(reason, message, now, now + grace, restart=restart)
    container.ready = False
    return True


def signalled(container: ContainerRecord, now: float) -> None:
    """It has been asked to end."""
    if container.stopping is not None:
        container.stopping.signalled_at = now


def killed(container: ContainerRecord, now: float) -> None:
    """Its processes have been killed; that it has ended is yet to be heard."""
    if container.stopping is not None:
        container.stopping.killed_at = now


def backoff_told(container: ContainerRecord) -> None:
    """An event has told of the wait for its next attempt."""
    if container.info is not None:
        container.backoff_told = container.info.finished_at


def hook_started(container: ContainerRecord, *, post_start: bool) -> None:
    """A hook has been called."""
    if post_start:
        container.post_start = HOOK_RUNNING
    elif container.stopping is not None:
        container.stopping.hook = HOOK_RUNNING


def hook_ended(container: ContainerRecord, *, post_start: bool, failed: bool) -> None:
    """A hook has come back."""
    if post_start:
        container.post_start = HOOK_FAILED if failed else HOOK_DONE
    elif container.stopping is not None:
        container.stopping.hook = HOOK_FAILED if failed else HOOK_DONE
