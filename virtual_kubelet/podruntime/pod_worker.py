"""One pod: takes in what happens, looks (`decisions`), does what is to be done, says what has become of it.

`step` is one look; the manager's queue sees to it that a pod has one look at a time. What takes long is given to task
threads, whose end brings the next look. The lock guards the record and everything below it in `__init__`;
nothing outside is called under it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.objects import Pod, PodStatus
from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.actions import (
    Action,
    BackOff,
    Fail,
    Initialized,
    KillContainer,
    Prepare,
    RunPostStart,
    RunPreStop,
    SignalContainer,
    StartContainer,
    StopContainer,
    TearDown,
    Terminate,
)
from virtual_kubelet.podruntime.containers import find
from virtual_kubelet.podruntime.decisions import PREPARE, TEAR_DOWN, decide, grace_period
from virtual_kubelet.podruntime.driver import EXITED, ContainerInfo, Driver
from virtual_kubelet.podruntime.hooks import Hooks
from virtual_kubelet.podruntime.journal import Journal
from virtual_kubelet.podruntime.operations import Operations, StartError
from virtual_kubelet.podruntime.prober import Prober, ProbeTarget
from virtual_kubelet.podruntime.probes import READINESS, STARTUP, Wanted, wanted_probes
from virtual_kubelet.podruntime.record import HOOK_NONE, PodRecord
from virtual_kubelet.podruntime.statuses import pod_status
from virtual_kubelet.podruntime.tasks import Tasks
from virtual_kubelet.runtime.clock import Clock

__all__ = ["PodWorker", "Tools"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tools:
    """What every pod's worker uses."""

    driver: Driver
    operations: Operations
    journal: Journal
    tasks: Tasks
    hooks: Hooks
    prober: Prober
    clock: Clock
    look: Callable[[str], None]  # ask for a look at the pod with this uid
    report: Callable[[PodWorker, PodStatus], None]  # tell the agent of a status


class PodWorker:
    """One pod."""

    def __init__(self, pod: Pod, record: PodRecord, tools: Tools, *, stub: bool = False) -> None:
        self.uid = record.uid
        self.stub = stub  # made of labels: the spec is not known yet
        self._tools = tools
        self._saving = threading.Lock()  # one writer of the record's file at a time, each with the newest
        self._lock = threading.Lock()
        self._pod = pod
        self._record = record
        self._inbox: list[ContainerInfo] = []
        self._learned: dict[
            str, float
        ] = {}  # container id -> monotonic time of the newest word that it exists
        self._listed: tuple[float, frozenset[str]] | None = (
            None  # a complete list: when it was begun, and its ids
        )
        self._prepared = False
        self._busy: set[str] = set()
        self._changed = False  # the record, since it was saved
        self._status: PodStatus = {}

    # -- what others ask and tell ---------------------------------------------------------------------

    @property
    def pod(self) -> Pod:
        """The pod's spec as it is now; read-only."""
        with self._lock:
            return self._pod

    @property
    def record(self) -> PodRecord:
        """The record, for looking at single fields; only `step` changes it."""
        return self._record

    @property
    def prepared(self) -> bool:
        """Tell whether the pod's surroundings have been made since the agent started."""
        return self._prepared

    def has_ended(self) -> bool:
        """Tell whether it needs nothing of the node any more."""
        with self._lock:
            return self._record.over or self._record.verdict is not None

    def runs(self, name: str) -> bool:
        """Tell whether a container runs."""
        with self._lock:
            container = self._record.containers.get(name)
            return container is not None and container.running

    def infos(self, name: str) -> tuple[ContainerInfo | None, ContainerInfo | None]:
        """Return a container's newest attempt and the one before it."""
        with self._lock:
            container = self._record.containers.get(name)
            return (container.info, container.last) if container is not None else (None, None)

    def ids(self) -> list[str]:
        """Return the ids of the containers that the record knows."""
        with self._lock:
            pairs = [(item.info, item.last) for item in self._record.containers.values()]
        return [info.id for pair in pairs for info in pair if info is not None]

    def started_at(self) -> float:
        """Return when the pod began, in seconds since the epoch."""
        return self._record.start_time

    def status(self) -> PodStatus:
        """Return the status as it is now."""
        with self._lock:
            return self._make_status()

    def _make_status(self) -> PodStatus:
        now = self._tools.clock.now()
        return pod_status(
            self._pod,
            self._record,
            now,
            scheme=self._tools.driver.name,
            busy=self._busy - {PREPARE, TEAR_DOWN},
        )

    def update(self, pod: Pod) -> None:
        """Take a changed spec."""
        with self._lock:
            self._pod = pod
            self.stub = False
        self._tools.look(self.uid)

    def delete(self, grace: float) -> None:
        """Begin to end the pod."""
        with self._lock:
            transitions.request_deletion(self._record, grace, self._tools.clock.now())
            self._changed = True
        self._save()  # before the agent is told that it has begun
        self._tools.look(self.uid)

    def hurry(self) -> None:
        """Try again at once what waits for its next try: what it needs may be there now."""
        with self._lock:
            waits = self._record.retry_at > 0
            self._record.retry_at = 0.0
            for container in self._record.containers.values():
                waits = waits or container.retry_at > 0
                container.retry_at = 0.0
        if waits:
            self._tools.look(self.uid)

    def fail(self, reason: str, message: str) -> None:
        """End the pod as failed: evicted, not admitted."""
        with self._lock:
            if self._record.verdict is None and self._record.termination is None:
                transitions.fail(self._record, reason, message)
                self._changed = True
        self._tools.look(self.uid)

    def tell(self, info: ContainerInfo) -> None:
        """Take the newest of one container."""
        with self._lock:
            self._take(info)
        self._tools.look(self.uid)

    def _take(self, info: ContainerInfo) -> None:
        self._inbox.append(info)
        self._learned[info.id] = self._tools.clock.monotonic()

    def tell_all(self, infos: list[ContainerInfo], began: float) -> None:
        """Take a complete list of the pod's containers, asked for at `began` (monotonic seconds).

        Those that are not in it are gone, unless they were heard of since.
        """
        with self._lock:
            self._inbox += infos
            self._listed = (began, frozenset(info.id for info in infos))
        self._tools.look(self.uid)

    # -- a look ---------------------------------------------------------------------------------------

    def step(self) -> float | None:
        """Look, act, report; return the seconds until the next look, None when nothing is to be waited for."""
        self._take_in()
        actions, wake_at = self._decide()
        self._save()
        again = False
        for action in actions:
            again = self._perform(action) or again
        self._save()
        self._report()
        self._sync_probes()
        if again:
            return 0.0
        return None if wake_at is None else max(0.0, wake_at - self._tools.clock.now())

    def _take_in(self) -> None:
        with self._lock:
            inbox, self._inbox = self._inbox, []
            listed, self._listed = self._listed, None
            pod = self._pod
        now = self._tools.clock.now()
        for info in sorted(inbox, key=lambda item: item.attempt):
            slot = find(pod, info.name)
            if slot is None:
                continue
            message = ""
            if info.state == EXITED and self._is_new_end(info):
                message = self._tools.operations.termination_message(slot.container, info)
            with self._lock:
                if transitions.observe(self._record, slot, info, now):
                    self._changed = True
                    if message:
                        self._record.container(slot.name).message = message
        if listed is not None:
            self._look_for_lost(*listed, now)

    def _is_new_end(self, info: ContainerInfo) -> bool:
        known = self._record.containers.get(info.name)
        return known is None or known.info is None or known.info.id != info.id or known.info.state != EXITED

    def _look_for_lost(self, began: float, seen: frozenset[str], now: float) -> None:
        with self._lock:
            for container in self._record.containers.values():
                info = container.info
                if info is None or info.id in seen or self._learned.get(info.id, 0.0) >= began:
                    continue
                self._changed = transitions.container_lost(container, now) or self._changed
            known = {item.info.id for item in self._record.containers.values() if item.info is not None}
            self._learned = {key: value for key, value in self._learned.items() if key in known}

    def _decide(self) -> tuple[list[Action], float | None]:
        with self._lock:
            while True:
                now = self._tools.clock.now()
                decision = decide(
                    self._pod, self._record, now, prepared=self._prepared, busy=frozenset(self._busy)
                )
                inner = [action for action in decision.actions if self._change_record(action, now)]
                if not inner:
                    break
                self._changed = True
            outer: list[Action] = [action for action in decision.actions if not isinstance(action, _INNER)]
            for action in outer:
                self._mark(action)
            return outer, decision.wake_at

    def _change_record(self, action: Action, now: float) -> bool:
        """Carry out an action that is a change of the record only; False for all others."""
        record = self._record
        if isinstance(action, StopContainer):
            return transitions.begin_stop(
                record.container(action.name),
                action.grace,
                action.reason,
                action.message,
                now,
                restart=action.restart,
            )
        if isinstance(action, Terminate):
            transitions.begin_termination(record, action.cause, action.grace, now)
        elif isinstance(action, Fail):
            transitions.fail(record, action.reason, action.message)
        elif isinstance(action, Initialized):
            record.initialized = True
        return isinstance(action, _INNER)

    def _mark(self, action: Action) -> None:
        """Note what is under way from now on, so that the next look does not ask for it again."""
        if isinstance(action, Prepare):
            self._busy.add(PREPARE)
        elif isinstance(action, TearDown):
            self._busy.add(TEAR_DOWN)
        elif isinstance(action, StartContainer):
            self._busy.add(action.name)
        elif isinstance(action, RunPostStart | RunPreStop):
            transitions.hook_started(
                self._record.container(action.name), post_start=isinstance(action, RunPostStart)
            )
            self._changed = True

    def _perform(self, action: Action) -> bool:
        """Do it, or give it to a task thread; True asks for another look at once."""
        tasks = self._tools.tasks
        if isinstance(action, Prepare):
            tasks.submit(self._prepare)
        elif isinstance(action, StartContainer):
            tasks.submit(lambda: self._start(action))
        elif isinstance(action, TearDown):
            tasks.submit(self._tear_down)
        elif isinstance(action, RunPostStart):
            self._run_hook(action.name, 0.0, post_start=True)
        elif isinstance(action, RunPreStop):
            self._tell_of_stop(action.name)
            self._run_hook(action.name, action.timeout, post_start=False)
        elif isinstance(action, SignalContainer):
            self._signal(action.name)
            return True
        elif isinstance(action, KillContainer):
            self._kill(action.name)
            return True
        elif isinstance(action, BackOff):
            self._tell_of_backoff(action)
        return False

    # -- surroundings and starts, in task threads -----------------------------------------------------

    def _prepare(self) -> None:
        try:
            sandbox = self._tools.operations.prepare(self.pod)
        except ProviderError as error:
            with self._lock:
                retry_after = getattr(error, "retry_after", None)
                transitions.could_not_prepare(self._record, str(error), self._tools.clock.now(), retry_after)
                self._finish(PREPARE)
            self._event("Warning", "FailedMount", str(error))
        except Exception:
            self._failed_unexpectedly(PREPARE)
            raise
        else:
            with self._lock:
                transitions.prepared(self._record, sandbox)
                self._prepared = True
                self._finish(PREPARE)
        self._tools.look(self.uid)

    def _finish(self, what: str) -> None:
        self._busy.discard(what)
        self._changed = True

    def _failed_unexpectedly(self, what: str) -> None:
        """Let the pod be tried again after an error that nobody foresaw, which the task thread logs."""
        with self._lock:
            now = self._tools.clock.now()
            if what == PREPARE:
                transitions.could_not_prepare(self._record, "unexpected error: see the agent's log", now)
            elif what != TEAR_DOWN:
                container = self._record.container(what)
                transitions.could_not_start(container, "CreateContainerError", "unexpected error", now)
            self._finish(what)
        self._tools.look(self.uid)

    def _start(self, action: StartContainer) -> None:
        with self._lock:
            # Meanwhile the pod may have been told to end.
            ended = self._record.deleted_at or self._record.verdict or self._record.termination
            sandbox, pod = self._record.sandbox, self._pod
            if ended or sandbox is None:
                self._finish(action.name)
        if ended or sandbox is None:
            self._tools.look(self.uid)
            return
        try:
            info = self._tools.operations.start(pod, action.name, action.attempt, sandbox)
        except ProviderError as error:
            self._could_not_start(action.name, error)
        except Exception:
            self._failed_unexpectedly(action.name)
            raise
        else:
            with self._lock:
                self._take(info)
                self._finish(action.name)
        self._tools.look(self.uid)

    def _could_not_start(self, name: str, error: ProviderError) -> None:
        reason = error.reason if isinstance(error, StartError) else "CreateContainerError"
        with self._lock:
            container = self._record.container(name)
            transitions.could_not_start(container, reason, str(error), self._tools.clock.now())
            self._finish(name)
        self._event("Warning", "Failed", f"Error: {error}")

    def _tear_down(self) -> None:
        try:
            self._tools.operations.tear_down(self.uid)
        except ProviderError as error:
            logger.warning("pod %s: cannot remove what it used, next try in 5 s: %s", self.uid, error)
            # Not a busy loop: the mark is taken off by a later look.
            self._tools.hooks.after(5.0, self._forget_tear_down)
            return
        with self._lock:
            self._record.over = True
            self._finish(TEAR_DOWN)
        self._tools.look(self.uid)

    def _forget_tear_down(self) -> None:
        with self._lock:
            self._finish(TEAR_DOWN)
        self._tools.look(self.uid)

    # -- hooks and ends -------------------------------------------------------------------------------

    def _run_hook(self, name: str, timeout: float, *, post_start: bool) -> None:
        slot = find(self.pod, name)
        info = self._record.container(name).info
        if slot is None or info is None:
            return
        kind = "postStart" if post_start else "preStop"

        def done(error: str) -> None:
            with self._lock:
                container = self._record.container(name)
                if container.info is not None and container.info.id == info.id:
                    transitions.hook_ended(container, post_start=post_start, failed=bool(error))
                    self._changed = True
            if error:
                reason = "FailedPostStartHook" if post_start else "FailedPreStopHook"
                self._event("Warning", reason, error)
            self._tools.look(self.uid)

        self._tools.hooks.run(self._host(), slot.container, info, kind, timeout, done)

    def _signal(self, name: str) -> None:
        container = self._record.container(name)
        if container.info is None or container.stopping is None:
            return
        if container.stopping.hook == HOOK_NONE:
            self._tell_of_stop(name)
        self._tools.driver.signal(container.info.id, "TERM")
        with self._lock:
            if container.stopping is not None:
                container.stopping.signalled_at = self._tools.clock.now()
                self._changed = True

    def _kill(self, name: str) -> None:
        container = self._record.container(name)
        if container.info is None or container.stopping is None:
            return
        if not container.stopping.signalled_at and container.stopping.hook == HOOK_NONE:
            self._tell_of_stop(name)
        self._tools.driver.kill(container.info.id)
        with self._lock:
            if container.stopping is not None:
                container.stopping.killed_at = self._tools.clock.now()
                self._changed = True

    # -- probes ---------------------------------------------------------------------------------------

    def _sync_probes(self) -> None:
        with self._lock:
            wanted = list(wanted_probes(self._pod, self._record))
        target = ProbeTarget(
            host=self._host(),
            container=lambda name: slot.container if (slot := find(self.pod, name)) is not None else None,
            info=lambda name: self.infos(name)[0],
            verdict=self._probe_verdict,
            failed=self._probe_failed,
        )
        self._tools.prober.sync(self.uid, wanted, target)

    def _host(self) -> str:
        """Return the pod's address, for probes and hooks that name no other host."""
        sandbox = self._record.sandbox
        return sandbox.ips[0] if sandbox is not None and sandbox.ips else "127.0.0.1"

    def _probe_failed(self, probe: Wanted, message: str) -> None:
        kind = probe.kind.capitalize()
        self._event("Warning", "Unhealthy", f"{kind} probe failed: {message}")

    def _probe_verdict(self, probe: Wanted, ok: bool, message: str) -> None:  # noqa: FBT001 - a callback
        del message
        slot = find(self.pod, probe.name)
        if slot is None:
            return
        with self._lock:
            container = self._record.container(probe.name)
            if container.info is None or container.info.id != probe.container_id:
                return
            if probe.kind == READINESS:
                container.ready = ok
            elif not ok:
                grace = probe.spec.grace if probe.spec.grace is not None else grace_period(self._pod)
                text = f"Container {probe.name} failed {probe.kind} probe, will be restarted"
                transitions.begin_stop(container, grace, "Unhealthy", text, self._tools.clock.now())
            elif probe.kind == STARTUP:
                transitions.startup_succeeded(slot, container)
            self._changed = True
        self._tools.look(self.uid)

    # -- telling --------------------------------------------------------------------------------------

    def _tell_of_stop(self, name: str) -> None:
        stopping = self._record.container(name).stopping
        if stopping is not None:
            self._event("Normal", "Killing", stopping.message)

    def _tell_of_backoff(self, action: BackOff) -> None:
        with self._lock:
            container = self._record.container(action.name)
            if container.info is not None:
                container.backoff_told = container.info.finished_at
                self._changed = True
        metadata = self.pod["metadata"]
        where = f"{metadata['name']}_{metadata['namespace']}({metadata['uid']})"
        self._event(
            "Warning", "BackOff", f"Back-off restarting failed container {action.name} in pod {where}"
        )

    def _event(self, kind: str, reason: str, message: str) -> None:
        self._tools.operations.context.event(self.pod, kind, reason, message)

    def _report(self) -> None:
        with self._lock:
            status = self._make_status()
            if status == self._status:
                return
            self._status = status
        self._tools.report(self, status)

    def _save(self) -> None:
        with self._saving:
            with self._lock:
                if not self._changed:
                    return
                self._changed = False
                values = self._record.to_json()
            self._tools.journal.save_record(self.uid, values)


_INNER = (StopContainer, Terminate, Fail, Initialized)
