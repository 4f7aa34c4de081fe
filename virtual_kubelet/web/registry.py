"""Which connections there are, what each is at, and who has to go when there are too many."""

from __future__ import annotations

import threading
from enum import Enum
from typing import Protocol

from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.web.limits import Limits

__all__ = ["Member", "Phase", "Registry"]


class Phase(Enum):
    """What a connection is at."""

    PENDING = "pending"
    """It has not yet sent its first request."""
    IDLE = "idle"
    """It is between two requests."""
    BUSY = "busy"
    """A request is at work."""
    STREAM = "stream"
    """It is sent an answer in pieces, or was upgraded."""
    ENDING = "ending"
    """Its last answer is sent."""


class Member(Protocol):
    """What the registry knows of a connection."""

    def close(self) -> None:
        """End it, with the answer that it is sent: runs foreign code."""

    def farewell(self, patience: float) -> None:
        """Tell its client, where there is a way, that the server stops; from any thread, within `patience` seconds."""

    def hang_up(self) -> None:
        """End it; from any thread, and at once."""


class Registry:
    """All connections of one server, by phase, in the order in which they entered it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changed = threading.Condition()
        # All under the lock of _changed.
        self._phases: dict[Phase, dict[Member, None]] = {phase: {} for phase in Phase}
        self._where: dict[Member, Phase] = {}
        self._endless: set[Member] = set()
        self._closing = False

    def admit(self, member: Member) -> bool:
        """Take a new connection in, perhaps in place of another; False: there is no room."""
        with self._changed:
            if self._closing:
                return False
            victim = None
            if len(self._phases[Phase.PENDING]) >= self._limits.pending:
                victim = self._oldest(Phase.PENDING)
            elif len(self._where) >= self._limits.connections:
                victim = self._oldest(Phase.IDLE) or self._oldest(Phase.PENDING)
                if victim is None:
                    return False
            if victim is not None:
                self._drop(victim)
            self._put(member, Phase.PENDING)
        if victim is not None:
            victim.hang_up()
        return True

    def make_room(self) -> bool:
        """End the connection that is idle the longest; False where there is none."""
        with self._changed:
            victim = self._oldest(Phase.IDLE) or self._oldest(Phase.PENDING)
            if victim is None:
                return False
            self._drop(victim)
        victim.hang_up()
        return True

    def move(self, member: Member, phase: Phase) -> bool:
        """Put a connection into another phase; False: it is not to go on (dropped, or the server stops)."""
        with self._changed:
            if member not in self._where:
                return False
            if self._closing and phase in {Phase.IDLE, Phase.PENDING}:
                return False
            self._drop(member)
            self._put(member, phase)
            return True

    def begin_stream(self, member: Member, *, endless: bool) -> bool:
        """Count a connection as a stream; False: there are too many, or the server stops."""
        with self._changed:
            full = len(self._phases[Phase.STREAM]) >= self._limits.streams
            if full or self._closing or member not in self._where:
                return False
            self._drop(member)
            self._put(member, Phase.STREAM)
            if endless:
                self._endless.add(member)
            return True

    def remove(self, member: Member) -> None:
        """Forget a connection that has ended."""
        with self._changed:
            self._drop(member)

    def count(self, phase: Phase | None = None) -> int:
        """Return how many connections there are, in one phase or in all."""
        with self._changed:
            return len(self._where) if phase is None else len(self._phases[phase])

    @property
    def closing(self) -> bool:
        """Whether the server stops: answers say `Connection: close`."""
        return self._closing  # written once, under the lock

    # ------------------------------------------------------------------------------------------------------
    # The end

    def begin_closing(self) -> list[Member]:
        """Admit nobody any more; return what has no end of its own: those without a request, endless streams."""
        with self._changed:
            self._closing = True
            return [*self._phases[Phase.PENDING], *self._phases[Phase.IDLE], *self._endless]

    def wait_done(self, deadline: Deadline) -> bool:
        """Wait until no request is at work and no stream left; False: the time is over."""

        def done() -> bool:
            return not self._phases[Phase.BUSY] and not self._phases[Phase.STREAM]

        with self._changed:
            return self._changed.wait_for(done, deadline.remaining())

    def forget_all(self) -> list[Member]:
        """Forget and return whatever is left."""
        with self._changed:
            left = list(self._where)
            for member in left:
                self._drop(member)
            return left

    # ------------------------------------------------------------------------------------------------------
    # With the lock held

    def _oldest(self, phase: Phase) -> Member | None:
        return next(iter(self._phases[phase]), None)

    def _put(self, member: Member, phase: Phase) -> None:
        self._where[member] = phase
        self._phases[phase][member] = None

    def _drop(self, member: Member) -> None:
        phase = self._where.pop(member, None)
        if phase is not None:
            del self._phases[phase][member]
            self._endless.discard(member)
            self._changed.notify_all()
