"""One container group as the inventory keeps it."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field

from virtual_kubelet.objects import JsonObject, Pod, PodSpec, PodStatus
from virtual_kubelet.providers.azure import status as statuses
from virtual_kubelet.providers.azure.arm_errors import is_passing
from virtual_kubelet.providers.azure.ownership import Identity
from virtual_kubelet.pure.pod_phase import has_started

__all__ = ["Entry", "is_there"]


@dataclass(eq=False)
class Entry:
    """One container group. Fields change under the inventory's lock only."""

    name: str
    identity: Identity
    body: JsonObject  # the newest; {} where nobody has seen it yet
    began: float  # monotonic: when the question began whose answer `body` is
    status: PodStatus
    spec: PodSpec = field(default_factory=PodSpec)  # what `body` tells of it
    listed: JsonObject | None = None  # what the last list said
    detail: JsonObject | None = None  # the newest with an instance view
    detail_began: float = 0.0
    read_began: float = 0.0  # when the last single read that was answered began
    blind_reads: int = 0  # how many of the last ones in a row had no instance view
    changed_at: float = 0.0  # when `status` last became another
    written_at: float = -1.0  # when our last PUT was taken; -1: none by this process
    seen: bool = False  # a list or a read has shown it
    told_by_list: bool = False  # the last list had an instance view: no single read is needed
    unlisted: bool = False  # a list that should have shown it did not
    doubtful: bool = False  # it was gone, and a list shows it again
    operation: str = ""  # where ARM tells how our last write ended
    operation_lost: bool = False  # it was made, and the answer that named its operation never came
    unexplained_at: float = -1.0  # since when it is known to have failed, and not why; -1: it is not so
    failure: str = ""  # how it failed, in Azure's words
    removing: bool = False
    removal_taken_at: float = -1.0  # when ARM took our DELETE; -1: it has not
    overdue: tuple[str, str] | None = None  # reason and message of a pod whose time is over
    stopped: bool = False  # ARM has taken our word to stop it
    told: dict[tuple[str, str, str, str], int] = field(default_factory=dict)  # events
    told_before: bool = False

    @property
    def waits_for_room(self) -> bool:
        """Whether its creation failed for a reason that may pass, before anything ran: it is made again."""
        return (
            bool(self.failure) and is_passing(self.failure) and not has_started({**self.status, "phase": ""})
        )

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        running = any("running" in item["state"] for item in self.status.get("containerStatuses", []))
        return statuses.is_final(self.body, self.status) and not running

    def pod(self) -> Pod:
        """Return the pod that it is, as the contract with the agent wants it."""
        identity = self.identity
        pod: Pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": identity.namespace, "name": identity.name, "uid": identity.uid},
            "spec": self.spec,
            "status": self.status,
        }
        return pod


def is_there(entry: Entry, wanted: Container[str]) -> bool:
    """Tell whether a pod's group counts as existing; see `Inventory.pods`."""
    again = entry.waits_for_room and not entry.removing and entry.identity.uid in wanted
    return not entry.doubtful and not again
