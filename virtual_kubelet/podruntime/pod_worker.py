"""One pod: takes in what happens, looks (`decisions`), does what is to be done, says what has become of it.

`step` is one look; the manager's queue sees to it that a pod has one look at a time. What takes long is given to task
threads, whose end brings the next look.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.objects import Container, Pod, PodStatus
from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.actions import Action
from virtual_kubelet.podruntime.checks import CheckResult
from virtual_kubelet.podruntime.containers import find, grace_period
from virtual_kubelet.podruntime.driver import ContainerInfo, Driver
from virtual_kubelet.podruntime.hooks import Hooks
from virtual_kubelet.podruntime.journal import Journal
from virtual_kubelet.podruntime.operations import Operations
from virtual_kubelet.podruntime.performer import Performer
from virtual_kubelet.podruntime.pod_state import PodState
from virtual_kubelet.podruntime.prober import Prober, ProbeTarget
from virtual_kubelet.podruntime.probes import READINESS, STARTUP, Wanted
from virtual_kubelet.podruntime.record import ContainerRecord, PodRecord
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
    look: Callable[[str], None]  # ask for a look at the pod with this UID
    report: Callable[[PodState, PodStatus], None]  # tell the agent of a status


class PodWorker:
    """One pod; safe from any thread."""

    def __init__(
        self, pod: Pod, record: PodRecord, tools: Tools, *, stub: bool = False, restored: bool = False
    ) -> None:
        self.uid = record.uid
        self.stub = stub  # made of labels: the spec is not known yet. Changed by the list's loop only.
        # What comes from the journal lacks what is secret; what is made of labels lacks nearly everything.
        self.state = PodState(
            pod,
            record,
            scheme=tools.driver.name,
            clock=tools.clock,
            whole=not (stub or (restored and record.has_secrets)),
        )
        self._tools = tools
        self._saving = threading.Lock()  # one writer of the record's file at a time, each with the newest
        self._refreshing = threading.Lock()  # one refresh at a time; nobody waits for it
        self._stale = False  # whether a refresh has been asked for that has not begun
        self._performer = Performer(
            state=self.state,
            driver=tools.driver,
            operations=tools.operations,
            tasks=tools.tasks,
            hooks=tools.hooks,
            clock=tools.clock,
            look=self.look,
        )
        self._target = ProbeTarget(
            host=lambda: self.state.host,
            container=self._container,
            info=lambda name: self.state.infos(name)[0],
            verdict=self._probe_verdict,
            failed=self._probe_failed,
        )

    # -- what others ask and tell ---------------------------------------------------------------------

    def look(self) -> None:
        """Ask for a look."""
        self._tools.look(self.uid)

    def update(self, pod: Pod) -> None:
        """Take a changed spec."""
        self.state.update(pod)
        self.look()

    def delete(self, grace: float) -> None:
        """Begin to end the pod."""
        self.state.delete(grace)
        self._save()  # before the agent is told that it has begun
        self.look()

    def fail(self, reason: str, message: str) -> None:
        """End the pod as failed: evicted, for example."""
        self.state.fail(reason, message)
        self.look()

    def hurry(self) -> None:
        """Try again at once what waits for its next try: what it needs may be there now."""
        if self.state.hurry():
            self.look()

    def tell(self, info: ContainerInfo) -> None:
        """Take the newest of one container."""
        self.state.tell(info)
        self.look()

    def tell_all(self, infos: list[ContainerInfo], began: float) -> None:
        """Take a complete list of the pod's containers, asked for at `began` (monotonic seconds)."""
        self.state.tell_all(infos, began)
        self.look()

    def refresh(self) -> None:
        """Bring what its volumes hold up to date; while another thread is about it, have it do so once more.

        Side by side, the one that read the older content might be the last to write.
        """
        self._stale = True
        while self._stale and self._refreshing.acquire(blocking=False):
            try:
                self._stale = False  # before anything is read: what changes from here on is another refresh
                self._refresh()
            finally:
                self._refreshing.release()

    def _refresh(self) -> None:
        if not self.state.prepared or not self.state.needs_room():
            return
        try:
            self._tools.operations.volumes.refresh(self.state.pod)
        except ProviderError as error:
            # What is there stays as it is, as in the kubelet.
            logger.info("pod %s: its volumes cannot be refreshed: %s", self.uid, error)

    # -- a look ---------------------------------------------------------------------------------------

    def step(self) -> float | None:
        """Look, act, report; return the seconds until the next look, None when nothing is to be waited for."""
        self.state.take_in(self._tools.operations.termination_message)
        decision = self.state.decide()
        self._save()
        again, failure = self._perform(decision.actions)
        self._save()
        status = self.state.news()
        if status is not None:
            self._tools.report(self.state, status)
        self._tools.prober.sync(self.uid, self.state.wanted_probes(), self._target)
        if failure is not None:
            raise failure
        if again:
            return 0.0
        return None if decision.wake_at is None else max(0.0, decision.wake_at - self._tools.clock.now())

    def _perform(self, actions: Iterable[Action]) -> tuple[bool, Exception | None]:
        """Do it all; return whether to look again at once, and what failed first.

        All of it counts as under way: what a failure kept from being done would never be decided again.
        """
        again = False
        failure: Exception | None = None
        for action in actions:
            try:
                again = self._performer.perform(action) or again
            except Exception as error:  # noqa: BLE001 - raised when the look is over
                failure = failure or error
        return again, failure

    def _save(self) -> None:
        with self._saving:
            values = self.state.unsaved()
            if values is None:
                return
            try:
                self._tools.journal.save_record(self.uid, values)
            except OSError as error:
                # A full disk must not keep a pod from being ended: what was decided is done all the same.
                logger.warning("pod %s: its record cannot be written: %s", self.uid, error)
                self.state.touch()

    # -- probes ---------------------------------------------------------------------------------------

    def _container(self, name: str) -> Container | None:
        slot = find(self.state.pod, name)
        return None if slot is None else slot.container

    def _probe_failed(self, probe: Wanted, result: CheckResult) -> None:
        outcome = "failed" if result.known else "errored and resulted in unknown state"
        text = f"{probe.kind.capitalize()} probe {outcome}: {result.message}"
        self._performer.event("Warning", "Unhealthy", text)

    def _probe_verdict(self, probe: Wanted, *, ok: bool) -> None:
        pod = self.state.pod
        slot = find(pod, probe.name)
        if slot is None:
            return
        now = self._tools.clock.now()

        def change(container: ContainerRecord) -> None:
            if probe.kind == READINESS:
                container.ready = ok
            elif not ok:
                grace = probe.spec.grace if probe.spec.grace is not None else grace_period(pod)
                text = f"Container {probe.name} failed {probe.kind} probe, will be restarted"
                transitions.begin_stop(container, grace, "Unhealthy", text, now)
            elif probe.kind == STARTUP:
                transitions.startup_succeeded(slot, container)

        self.state.change_container(probe.name, probe.container_id, change)
        self.look()
