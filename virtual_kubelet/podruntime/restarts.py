"""Whether and when a container that ended is started again: decisions, with the time given.

The kubelet's rules (Kubernetes 1.36). The first restart comes at once. After it, a restart waits until a delay
has passed since the container ended: 10 s, doubled by each restart up to 5 min; a container that ended more
than 10 min after its last restart begins anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtual_kubelet.podruntime.containers import EPHEMERAL, INIT, SIDECAR, Slot
from virtual_kubelet.pure.restart_policy import restarts

__all__ = ["FORGET_AFTER", "INITIAL_DELAY", "MAXIMUM_DELAY", "CrashBackoff", "should_restart"]

INITIAL_DELAY = 10.0
MAXIMUM_DELAY = 300.0
FORGET_AFTER = 2 * MAXIMUM_DELAY


@dataclass(frozen=True)
class CrashBackoff:
    """How long the next restart waits, and when the last one was; the times of one container."""

    delay: float = 0.0  # seconds; 0: it was never restarted
    updated_at: float = 0.0  # seconds since the epoch

    def ready_at(self, finished_at: float) -> float:
        """Return when a container that ended at `finished_at` may be started again."""
        if self.delay == 0 or self._forgotten(finished_at):
            return finished_at
        return finished_at + self.delay

    def restarted(self, finished_at: float, now: float) -> CrashBackoff:
        """Return what to remember when it is started again."""
        if self.delay == 0 or self._forgotten(finished_at):
            return CrashBackoff(INITIAL_DELAY, now)
        return CrashBackoff(min(2 * self.delay, MAXIMUM_DELAY), now)

    def _forgotten(self, finished_at: float) -> bool:
        return finished_at - self.updated_at > FORGET_AFTER


def should_restart(slot: Slot, pod_policy: str, exit_code: int) -> bool:
    """Tell whether a container that ended with `exit_code` is to run again."""
    if slot.kind == EPHEMERAL:
        return False
    if slot.kind == SIDECAR:
        return True
    return restarts(slot.container, pod_policy, exit_code, init=slot.kind == INIT)
