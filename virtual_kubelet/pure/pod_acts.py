"""What to do about one pod: the table that a reconcile follows.

    the API server has          the provider has              so
    ─────────────────────────────────────────────────────────────────────────────
    no pod of this name         a pod of this name            SWEEP    end it there
    no pod of this name         none                          NOTHING
    a pod                       another UID of its name       SWEEP    end that one first
    a pod with a deletion time  whatever                      DELETE   end it, then remove the object
    a pod that is over          it still runs                 STOP     end it there, the object stays
    a pod that is over          it runs no more               NOTHING
    a pod that had started      nothing                       LOSE     it is lost, never begun again
    a pod that was refused      nothing                       NOTHING  until it changes
    a pod                       nothing                       CREATE
    a pod, changed              the pod                       UPDATE   then REPORT
    a pod                       the pod                       REPORT   its status, where that differs

The look is level-triggered: it sees the newest of both sides and no event. "The provider has nothing" is only
ever concluded from a complete listing that is younger than our own last write (`node.snapshot` sees to that).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from virtual_kubelet.objects import Pod, PodStatus
from virtual_kubelet.pure.pod_phase import all_terminated, has_started, is_terminal

__all__ = ["Act", "Known", "choose"]


class Act(Enum):
    """What a look at a pod can lead to."""

    NOTHING = "nothing"
    SWEEP = "sweep"
    DELETE = "delete"
    STOP = "stop"
    LOSE = "lose"
    CREATE = "create"
    UPDATE = "update"
    REPORT = "report"


@dataclass(frozen=True)
class Known:
    """What the agent remembers of a pod."""

    refused: bool = False
    """The provider said that this pod, as it is written now, can never work."""

    changed: bool = False
    """It differs from what the provider was last given."""


def choose(pod: Pod | None, reported: PodStatus | None, *, strangers: bool, known: Known) -> Act:
    """Return what to do.

    Args:
        pod: the pod of this name that the API server has, or None.
        reported: the status of the very same pod (by UID) in the provider; None: not there.
        strangers: whether the provider has another pod of this name that has not ended.
        known: what the agent remembers of the pod.
    """
    if strangers:
        return Act.SWEEP
    if pod is None:
        return Act.NOTHING
    if "deletionTimestamp" in pod["metadata"]:
        return Act.DELETE
    held = pod.get("status", {})
    if is_terminal(held):
        return Act.STOP if reported is not None and not all_terminated(reported) else Act.NOTHING
    if reported is None:
        if has_started(held):
            return Act.LOSE
        return Act.NOTHING if known.refused else Act.CREATE
    return Act.UPDATE if known.changed else Act.REPORT
