"""What stands between a pod and its start, as a value: an event to record, and a text for its status."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["CREATE_CONTAINER_CONFIG_ERROR", "Problem"]

CREATE_CONTAINER_CONFIG_ERROR: Final = "CreateContainerConfigError"
"""The waiting reason of a container whose environment cannot be made."""


@dataclass(frozen=True)
class Problem:
    """One thing that a pod refers to and that cannot be had as it says."""

    reason: str
    """The reason of the event (`Warning`)."""

    message: str
    """The text of the event."""

    blocking: bool
    """True: the pod must not start. False: what was optional is left out."""

    final: bool = False
    """True: it can never work as the pod is written; waiting for other objects will not help."""

    error: str = ""
    """The text for the waiting container's status; "" where it is the event's."""

    container: str = ""
    """The name of the container; "" for the pod as a whole, as with a volume."""

    @property
    def text(self) -> str:
        """What the status of the waiting container says."""
        return self.error or self.message
