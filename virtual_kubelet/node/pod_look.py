"""One look at one pod name: what both sides have, and what the agent remembers."""

from __future__ import annotations

from dataclasses import dataclass

from virtual_kubelet.node.pod_records import Record
from virtual_kubelet.objects import Pod
from virtual_kubelet.pure.sightings import Sighting

__all__ = ["Look"]


@dataclass(frozen=True)
class Look:
    """What a worker sees when it takes a key in hand."""

    key: str
    pod: Pod
    """The API server's pod; read-only."""

    uid: str
    record: Record
    mine: Sighting | None
    """The same pod in the provider, by UID."""
