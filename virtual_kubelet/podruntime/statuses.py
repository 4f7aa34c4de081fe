"""The status that the runtime reports for a pod, from its record: phase and container statuses as the kubelet's.

Conditions, QoS class and addresses that follow from these are `pure.pod_status.complete`'s to add.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from virtual_kubelet.objects import ContainerState, ContainerStatus, Pod, PodStatus
from virtual_kubelet.podruntime.containers import APP, EPHEMERAL, INIT, SIDECAR, Slot, restart_policy, slots
from virtual_kubelet.podruntime.decisions import restarts_later
from virtual_kubelet.podruntime.driver import RUNNING, ContainerInfo
from virtual_kubelet.podruntime.record import ContainerRecord, PodRecord, Verdict
from virtual_kubelet.pure import times
from virtual_kubelet.pure.pod_phase import TERMINAL_PHASES, ended_phase, phase_of

__all__ = ["pod_status"]


def pod_status(
    pod: Pod, record: PodRecord, now: float, *, scheme: str, busy: Collection[str] = ()
) -> PodStatus:
    """Return the status to report.

    Args:
        pod: its spec.
        record: what is remembered of it.
        now: seconds since the epoch.
        scheme: what container ids begin with, for example `docker`.
        busy: names of containers that are being started.
    """
    if record.verdict is not None and record.verdict.rejected:
        return _rejected(record, record.verdict)
    maker = _Maker(pod, record, now, scheme)
    status: PodStatus = {"containerStatuses": maker.statuses((APP,))}
    if pod["spec"].get("initContainers"):
        status["initContainerStatuses"] = maker.statuses((INIT, SIDECAR))
    if pod["spec"].get("ephemeralContainers"):
        status["ephemeralContainerStatuses"] = maker.statuses((EPHEMERAL,))
    if record.start_time:
        status["startTime"] = times.rfc3339(record.start_time)
    ips = _addresses(pod, record)
    if ips:
        status["podIP"] = ips[0]
        status["podIPs"] = [{"ip": ip} for ip in ips]
    status["conditions"] = [
        {
            "type": "PodReadyToStartContainers",
            "status": "True" if record.sandbox is not None and not record.over else "False",
        }
    ]
    _set_phase(pod, record, status, still_running=bool(busy) or _any_running(record))
    return status


def _rejected(record: PodRecord, verdict: Verdict) -> PodStatus:
    """Return the status of a pod that was not taken in: the kubelet says nothing of containers then."""
    return {
        "phase": verdict.phase,
        "reason": verdict.reason,
        "message": verdict.message,
        "startTime": times.rfc3339(record.start_time),
    }


def _addresses(pod: Pod, record: PodRecord) -> Sequence[str]:
    """Return the pod's addresses; where its containers have their own, that of the first one."""
    for slot in slots(pod):
        container = record.containers.get(slot.name)
        if slot.kind == APP and container is not None and container.info is not None and container.info.ip:
            return (container.info.ip,)
    return record.sandbox.ips if record.sandbox is not None else ()


def _any_running(record: PodRecord) -> bool:
    return any(container.running for container in record.containers.values())


def _set_phase(pod: Pod, record: PodRecord, status: PodStatus, *, still_running: bool) -> None:
    """Set phase, reason and message. A phase is final only when nothing runs any more."""
    verdict = record.verdict
    if verdict is not None:
        status["reason"], status["message"] = verdict.reason, verdict.message
    elif record.waiting_message and record.sandbox is None:
        status["message"] = record.waiting_message
    phase = verdict.phase if verdict is not None else phase_of(pod["spec"], status)
    if record.deleted_at and not still_running and phase not in TERMINAL_PHASES:
        phase = ended_phase(status) if record.over else phase
    if phase in TERMINAL_PHASES and still_running:
        phase = "Running"
    status["phase"] = phase


class _Maker:
    """Makes the container statuses of one pod."""

    def __init__(self, pod: Pod, record: PodRecord, now: float, scheme: str) -> None:
        self._pod = pod
        self._record = record
        self._now = now
        self._scheme = scheme
        self._policy = restart_policy(pod)

    def statuses(self, kinds: Sequence[str]) -> list[ContainerStatus]:
        """Return the statuses of the containers of some kinds, in the order of the spec."""
        return [self._status(slot) for slot in slots(self._pod) if slot.kind in kinds]

    def _status(self, slot: Slot) -> ContainerStatus:
        container = self._record.containers.get(slot.name) or ContainerRecord()
        state, last = self._states(slot, container)
        info = container.info or container.last
        status: ContainerStatus = {
            "name": slot.name,
            "state": state,
            "lastState": last,
            "ready": self._is_ready(slot, container),
            "started": container.running and container.started,
            "restartCount": container.restarts,
            "image": slot.container.get("image", ""),
            "imageID": info.image_id if info else "",
        }
        if info is not None:
            status["containerID"] = self._id(info)
        return status

    def _is_ready(self, slot: Slot, container: ContainerRecord) -> bool:
        if slot.kind == INIT:
            return container.info is not None and container.exited and container.info.exit_code == 0
        if slot.kind == EPHEMERAL:
            return False
        return container.running and container.started and container.ready

    def _states(self, slot: Slot, container: ContainerRecord) -> tuple[ContainerState, ContainerState]:
        info = container.info
        last = self._terminated(container.last, container.last_message)
        if info is None or container.to_begin:
            return self._not_started(slot, container), last
        if info.state == RUNNING:
            return {"running": {"startedAt": times.rfc3339(info.started_at)}}, last
        ended = self._terminated(info, container.message)
        waiting = self._between(slot, container)
        return (waiting, ended) if waiting else (ended, last)

    def _not_started(self, slot: Slot, container: ContainerRecord) -> ContainerState:
        if container.waiting_reason:
            return _waiting(container.waiting_reason, container.waiting_message)
        has_init = any(item.kind in {INIT, SIDECAR} for item in slots(self._pod))
        waits_for_init = has_init and not self._record.initialized and slot.kind != EPHEMERAL
        return _waiting("PodInitializing" if waits_for_init else "ContainerCreating", "")

    def _between(self, slot: Slot, container: ContainerRecord) -> ContainerState | None:
        """Return why an ended container waits for its next attempt; None when it does not."""
        info = container.info
        assert info is not None
        if self._record.termination is not None or not restarts_later(slot, container, self._policy):
            return None
        if container.waiting_reason:
            return _waiting(container.waiting_reason, container.waiting_message)
        if container.restart_wanted or self._now >= container.backoff.ready_at(info.finished_at):
            return None
        pod = f"{self._record.name}_{self._record.namespace}({self._record.uid})"
        delay = _duration(container.backoff.delay)
        text = f"back-off {delay} restarting failed container={slot.name} pod={pod}"
        return _waiting("CrashLoopBackOff", text)

    def _terminated(self, info: ContainerInfo | None, message: str) -> ContainerState:
        if info is None:
            return {}
        state: ContainerState = {
            "terminated": {
                "exitCode": info.exit_code,
                "reason": info.reason or ("Completed" if info.exit_code == 0 else "Error"),
                "startedAt": times.rfc3339(info.started_at),
                "finishedAt": times.rfc3339(info.finished_at),
                "containerID": self._id(info),
            }
        }
        if info.signal:
            state["terminated"]["signal"] = info.signal
        if message or info.message:
            state["terminated"]["message"] = message or info.message
        return state

    def _id(self, info: ContainerInfo) -> str:
        return f"{self._scheme}://{info.id}"


def _waiting(reason: str, message: str) -> ContainerState:
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def _duration(seconds: float) -> str:
    """Return a duration as Go prints it: 10s, 2m40s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
