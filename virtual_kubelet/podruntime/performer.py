"""Does for a pod what was decided: calls the driver, gives what may take long to task threads, records events."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.podruntime import transitions
from virtual_kubelet.podruntime.actions import (
    Action,
    BackOff,
    KillContainer,
    Prepare,
    RunPostStart,
    RunPreStop,
    SignalContainer,
    StartContainer,
    TearDown,
)
from virtual_kubelet.podruntime.containers import find
from virtual_kubelet.podruntime.decisions import PREPARE, TEAR_DOWN
from virtual_kubelet.podruntime.driver import ContainerInfo, Driver, SandboxChanged
from virtual_kubelet.podruntime.hooks import Hooks
from virtual_kubelet.podruntime.operations import Operations, SandboxError, StartError
from virtual_kubelet.podruntime.pod_state import PodState
from virtual_kubelet.podruntime.record import HOOK_NONE, ContainerRecord, PodRecord
from virtual_kubelet.podruntime.tasks import Tasks
from virtual_kubelet.podruntime.volumes import ReferenceMissing
from virtual_kubelet.runtime.clock import Clock

__all__ = ["Performer"]

logger = logging.getLogger(__name__)

RETRY_TEAR_DOWN = 5.0


@dataclass(frozen=True)
class Performer:
    """The hands of one pod's worker."""

    state: PodState
    driver: Driver
    operations: Operations
    tasks: Tasks
    hooks: Hooks
    clock: Clock
    look: Callable[[], None]  # asks for a look at the pod

    def perform(self, action: Action) -> bool:
        """Do it, or begin it; True asks for another look at once. Raises `ProviderError`."""
        if isinstance(action, Prepare):
            self.tasks.submit(self._prepare)
        elif isinstance(action, StartContainer):
            self.tasks.submit(lambda: self._start(action))
        elif isinstance(action, TearDown):
            self.tasks.submit(self._tear_down)
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

    def event(self, kind: str, reason: str, message: str) -> None:
        """Record an event about the pod."""
        self.operations.context.event(self.state.pod, kind, reason, message)

    # -- in task threads ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        try:
            sandbox = self.operations.prepare(self.state.pod)
        except ProviderError as error:
            text = str(error)
            self._could_not_prepare(text, error.retry_after)
            if not isinstance(error, ReferenceMissing):
                failed = "FailedCreatePodSandBox" if isinstance(error, SandboxError) else "FailedMount"
                self.event("Warning", failed, text)
        except Exception:
            self._could_not_prepare("unexpected error; the agent's log has it", None)
            raise
        else:
            self.state.finished(PREPARE, lambda record: transitions.prepared(record, sandbox), prepared=True)
        finally:
            self.look()

    def _could_not_prepare(self, text: str, retry_after: float | None) -> None:
        now = self.clock.now()
        self.state.finished(
            PREPARE, lambda record: transitions.could_not_prepare(record, text, now, retry_after)
        )

    def _start(self, action: StartContainer) -> None:
        start = self.state.to_start()
        try:
            if start is not None:
                self.state.tell(self.operations.start(start, action.name, action.attempt))
        except SandboxChanged as error:
            logger.info("pod %s: %s; it is prepared again", self.state.uid, error)
            self.state.unprepared(action.name)
        except ProviderError as error:
            reason = error.reason if isinstance(error, StartError) else "CreateContainerError"
            self._could_not_start(action.name, reason, str(error))
            told = error.event if isinstance(error, StartError) else str(error)
            self.event("Warning", "Failed", f"Error: {told}")
        except Exception:
            text = "unexpected error; the agent's log has it"
            self._could_not_start(action.name, "CreateContainerError", text)
            raise
        else:
            self.state.finished(action.name)
        finally:
            self.look()

    def _could_not_start(self, name: str, reason: str, text: str) -> None:
        now = self.clock.now()

        def change(record: PodRecord) -> None:
            transitions.could_not_start(record.container(name), reason, text, now)

        self.state.finished(name, change)

    def _tear_down(self) -> None:
        try:
            self.operations.tear_down(self.state.uid)
        except ProviderError as error:
            logger.warning(
                "pod %s: cannot remove what it used, next try in %g s: %s",
                self.state.uid,
                RETRY_TEAR_DOWN,
                error,
            )
            # It counts as under way until then: a look before would only fail again.
            self.hooks.after(RETRY_TEAR_DOWN, self._tear_down_again)
            return
        self.state.finished(TEAR_DOWN, transitions.over)
        self.look()

    def _tear_down_again(self) -> None:
        self.state.finished(TEAR_DOWN)
        self.look()

    # -- hooks and ends -------------------------------------------------------------------------------

    def _run_hook(self, name: str, timeout: float, *, post_start: bool) -> None:
        slot = find(self.state.pod, name)
        info, _ = self.state.infos(name)
        if slot is None or info is None:
            return

        def done(error: str) -> None:
            def change(container: ContainerRecord) -> None:
                transitions.hook_ended(container, post_start=post_start, failed=bool(error))

            self.state.change_container(name, info.id, change)
            if error:
                self.event("Warning", "FailedPostStartHook" if post_start else "FailedPreStopHook", error)
            self.look()

        kind = "postStart" if post_start else "preStop"
        self.hooks.run(self.state.host, slot.container, info, kind, timeout, done)

    def _signal(self, name: str) -> None:
        info = self._begin_to_end(name)
        if info is not None:
            self.driver.signal(info.id, "TERM")
            now = self.clock.now()
            self.state.change_container(name, info.id, lambda item: transitions.signalled(item, now))

    def _kill(self, name: str) -> None:
        info = self._begin_to_end(name)
        if info is not None:
            self.driver.kill(info.id)
            now = self.clock.now()
            self.state.change_container(name, info.id, lambda item: transitions.killed(item, now))

    def _begin_to_end(self, name: str) -> ContainerInfo | None:
        """Tell of the end of a container if that has not been done; return the container."""
        container = self.state.container(name)
        stopping = container.stopping
        if stopping is None or container.info is None:
            return None
        if stopping.hook == HOOK_NONE and not stopping.signalled_at and not stopping.killed_at:
            self.event("Normal", "Killing", stopping.message)
        return container.info

    def _tell_of_stop(self, name: str) -> None:
        stopping = self.state.container(name).stopping
        if stopping is not None:
            self.event("Normal", "Killing", stopping.message)

    def _tell_of_backoff(self, action: BackOff) -> None:
        info, _ = self.state.infos(action.name)
        if info is not None:
            self.state.change_container(action.name, info.id, transitions.backoff_told)
        where = f"{self.state.name}_{self.state.namespace}({self.state.uid})"
        self.event("Warning", "BackOff", f"Back-off restarting failed container {action.name} in pod {where}")
