"""One pod as the runtime has it in memory: spec, record, what is under way; changed under its lock, never outside.

Nothing here calls anything outside; what a look needs from there (termination messages) is handed in.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from virtual_kubelet.objects import Container, JsonObject, Pod, PodStatus
from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.actions import (
    Action,
    BeginAnew,
    Decision,
    Fail,
    Initialized,
    Prepare,
    RestartAll,
    RunPostStart,
    RunPreStop,
    StartContainer,
    StopContainer,
    TearDown,
    Terminate,
)
from virtual_kubelet.podruntime.containers import find
from virtual_kubelet.podruntime.decisions import PREPARE, TEAR_DOWN, decide
from virtual_kubelet.podruntime.driver import EXITED, ContainerInfo, Sandbox
from virtual_kubelet.podruntime.probes import Wanted, wanted_probes
from virtual_kubelet.podruntime.record import ContainerRecord, PodRecord
from virtual_kubelet.podruntime.statuses import pod_status
from virtual_kubelet.runtime.clock import Clock

__all__ = ["PodState", "StartFrom"]

INNER = (StopContainer, Terminate, Fail, Initialized, RestartAll, BeginAnew)
"""Actions that are changes of the record and nothing else."""

MessageOf = Callable[[Container, ContainerInfo], str]


@dataclass(frozen=True)
class StartFrom:
    """What a container is started from."""

    pod: Pod
    sandbox: Sandbox
    whole: bool  # whether the spec has all its values


class PodState:
    """One pod. Every method is safe from any thread."""

    def __init__(self, pod: Pod, record: PodRecord, *, scheme: str, clock: Clock, whole: bool = True) -> None:
        self.uid = record.uid
        self.namespace = record.namespace
        self.name = record.name
        self._scheme = scheme
        self._clock = clock
        self._lock = threading.Lock()
        # Everything below is under the lock.
        self._pod = pod
        self._record = record
        self._whole = whole  # whether the spec has all its values
        self._inbox: list[ContainerInfo] = []
        self._learned: dict[
            str, float
        ] = {}  # container id -> monotonic time of the newest word that it exists
        self._listed: tuple[float, frozenset[str]] | None = (
            None  # a complete list: when it was begun, and its ids
        )
        self._prepared = False
        self._busy: set[str] = set()
        self._changed = False  # the record, since it was last taken to be saved
        self._reported: PodStatus = {}

    # -- looking --------------------------------------------------------------------------------------

    @property
    def pod(self) -> Pod:
        """The pod as it is now; read-only."""
        with self._lock:
            return self._pod

    @property
    def prepared(self) -> bool:
        """Whether its surroundings have been made since the agent started."""
        with self._lock:
            return self._prepared

    @property
    def over(self) -> bool:
        """Whether nothing of it runs or will run again, and its surroundings are gone."""
        with self._lock:
            return self._record.over

    @property
    def started_at(self) -> float:
        """When the pod began, in seconds since the epoch."""
        with self._lock:
            return self._record.start_time

    @property
    def host(self) -> str:
        """The pod's address."""
        with self._lock:
            sandbox = self._record.sandbox
            return sandbox.ips[0] if sandbox is not None and sandbox.ips else "127.0.0.1"

    def deleted(self) -> tuple[float, float]:
        """Return when it was told to go, and within how many seconds; (0, 0): it was not."""
        with self._lock:
            return self._record.deleted_at, self._record.grace

    def needs_room(self) -> bool:
        """Tell whether it counts among the pods that use the node."""
        with self._lock:
            return not self._record.over and self._record.verdict is None

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

    def status(self) -> PodStatus:
        """Return the status as it is now."""
        with self._lock:
            return self._status()

    def _status(self) -> PodStatus:
        starting = self._busy - {PREPARE, TEAR_DOWN}
        return pod_status(self._pod, self._record, self._clock.now(), scheme=self._scheme, busy=starting)

    def news(self) -> PodStatus | None:
        """Return the status if it is another one than the last time."""
        with self._lock:
            status = self._status()
            if status == self._reported:
                return None
            self._reported = status
            return status

    def wanted_probes(self) -> list[Wanted]:
        """Return the probes that are to run now."""
        with self._lock:
            return list(wanted_probes(self._pod, self._record))

    def unsaved(self) -> JsonObject | None:
        """Return the record as JSON if it changed since the last time."""
        with self._lock:
            if not self._changed:
                return None
            self._changed = False
            return self._record.to_json()

    def touch(self) -> None:
        """Let `unsaved` return the record once more."""
        with self._lock:
            self._changed = True

    # -- changing -------------------------------------------------------------------------------------

    def update(self, pod: Pod) -> None:
        """Take a changed spec."""
        with self._lock:
            self._pod = pod
            self._whole = True

    def delete(self, grace: float) -> None:
        """Note that the pod is to go."""
        with self._lock:
            transitions.request_deletion(self._record, grace, self._clock.now())
            self._changed = True

    def fail(self, reason: str, message: str) -> None:
        """Note that the pod has failed as a whole."""
        with self._lock:
            if self._record.verdict is None and self._record.termination is None:
                transitions.fail(self._record, reason, message)
                self._changed = True

    def hurry(self) -> bool:
        """Forget the waits for next tries; return whether there were any."""
        with self._lock:
            waits = self._record.retry_at > 0
            self._record.retry_at = 0.0
            for container in self._record.containers.values():
                waits = waits or container.retry_at > 0
                container.retry_at = 0.0
            return waits

    def tell(self, info: ContainerInfo) -> None:
        """Put the newest of one container into the inbox."""
        with self._lock:
            self._inbox.append(info)
            self._learned[info.id] = self._clock.monotonic()

    def tell_all(self, infos: list[ContainerInfo], began: float) -> None:
        """Put a complete list, asked for at `began` (monotonic seconds), into the inbox.

        Containers that are not in it are gone, unless they were heard of since.
        """
        with self._lock:
            self._inbox += infos
            self._listed = (began, frozenset(info.id for info in infos))

    def take_in(self, message_of: MessageOf) -> None:
        """Take in what came; `message_of` is asked for the last words of those that ended."""
        with self._lock:
            inbox, self._inbox = self._inbox, []
            listed, self._listed = self._listed, None
            pod = self._pod
        now = self._clock.now()
        for info in sorted(inbox, key=lambda item: item.attempt):
            slot = find(pod, info.name)
            if slot is None:
                continue
            message = message_of(slot.container, info) if self._is_new_end(info) else ""
            with self._lock:
                if transitions.observe(self._record, slot, info, now):
                    self._changed = True
                    if message:
                        self._record.container(slot.name).message = message
        if listed is not None:
            self._look_for_lost(*listed, now)

    def _is_new_end(self, info: ContainerInfo) -> bool:
        if info.state != EXITED:
            return False
        known, _ = self.infos(info.name)
        return (
            known is None or known.attempt < info.attempt or (known.id == info.id and known.state != EXITED)
        )

    def _look_for_lost(self, began: float, seen: frozenset[str], now: float) -> None:
        with self._lock:
            for container in self._record.containers.values():
                info = container.info
                if info is None or info.id in seen or self._learned.get(info.id, 0.0) >= began:
                    continue
                self._changed = transitions.container_lost(container, now) or self._changed
            known = {item.info.id for item in self._record.containers.values() if item.info is not None}
            self._learned = {key: value for key, value in self._learned.items() if key in known}

    def change(self, change: Callable[[PodRecord], None]) -> None:
        """Change the record; `change` is quick and calls nothing outside."""
        with self._lock:
            change(self._record)
            self._changed = True

    def change_container(
        self, name: str, container_id: str, change: Callable[[ContainerRecord], None]
    ) -> None:
        """Change the record of a container if its newest attempt is that one."""
        with self._lock:
            container = self._record.containers.get(name)
            if container is not None and container.info is not None and container.info.id == container_id:
                change(container)
                self._changed = True

    def container(self, name: str) -> ContainerRecord:
        """Return a container's record, to be read by the look that is under way and changed by nobody."""
        with self._lock:
            return self._record.container(name)

    # -- deciding -------------------------------------------------------------------------------------

    def decide(self) -> Decision:
        """Return what is to be done outside; what is a change of the record only has been done.

        What is returned counts as under way until `finished`.
        """
        with self._lock:
            while True:
                now = self._clock.now()
                # What is said of a container and not yet taken in may be that it runs: a look at that follows.
                busy = self._busy.union(info.name for info in self._inbox)
                decision = decide(self._pod, self._record, now, prepared=self._prepared, busy=frozenset(busy))
                inner = [
                    self._change(action, now) for action in decision.actions if isinstance(action, INNER)
                ]
                if not any(inner):
                    break
                self._changed = True
            outer = tuple(action for action in decision.actions if not isinstance(action, INNER))
            for action in outer:
                self._mark(action)
            return Decision(outer, decision.wake_at)

    def _change(self, action: Action, now: float) -> bool:
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
        elif isinstance(action, RestartAll):
            transitions.restart_all(record, action.name)
        elif isinstance(action, BeginAnew):
            transitions.begin_anew(record, action.names)
        return True

    def _mark(self, action: Action) -> None:
        if isinstance(action, Prepare):
            self._busy.add(PREPARE)
        elif isinstance(action, TearDown):
            self._busy.add(TEAR_DOWN)
        elif isinstance(action, StartContainer):
            self._busy.add(action.name)
        elif isinstance(action, RunPostStart | RunPreStop):
            post_start = isinstance(action, RunPostStart)
            transitions.hook_started(self._record.container(action.name), post_start=post_start)
            self._changed = True

    def to_start(self) -> StartFrom | None:
        """Return what a start that was decided needs; None when the pod has been told to end meanwhile."""
        with self._lock:
            record = self._record
            if record.deleted_at or record.verdict or record.termination or record.sandbox is None:
                return None
            return StartFrom(self._pod, record.sandbox, self._whole)

    def unprepared(self, name: str) -> None:
        """Note that a start has found the pod's surroundings changed: they are made, or found, again first."""
        with self._lock:
            self._busy.discard(name)
            self._prepared = False

    def finished(
        self, what: str, change: Callable[[PodRecord], None] | None = None, *, prepared: bool = False
    ) -> None:
        """Note that something is no longer under way, together with what it changed."""
        with self._lock:
            self._busy.discard(what)
            self._prepared = self._prepared or prepared
            if change is not None:
                change(self._record)
            self._changed = True
