"""What the decisions ask for. State-only actions change the record; the others do something outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Action",
    "BackOff",
    "BeginAnew",
    "Decision",
    "Fail",
    "Initialized",
    "KillContainer",
    "Prepare",
    "RestartAll",
    "RunPostStart",
    "RunPreStop",
    "SignalContainer",
    "StartContainer",
    "StopContainer",
    "TearDown",
    "Terminate",
]


@dataclass(frozen=True)
class Prepare:
    """Make volumes, directories and sandbox."""


@dataclass(frozen=True)
class StartContainer:
    """Create and start an attempt."""

    name: str
    attempt: int


@dataclass(frozen=True)
class RunPostStart:
    """Run the postStart hook."""

    name: str


@dataclass(frozen=True)
class RunPreStop:
    """Run the preStop hook."""

    name: str
    timeout: float


@dataclass(frozen=True)
class SignalContainer:
    """Ask the container to end."""

    name: str


@dataclass(frozen=True)
class KillContainer:
    """End the container."""

    name: str


@dataclass(frozen=True)
class TearDown:
    """Remove what the pod's containers had in common."""


@dataclass(frozen=True)
class StopContainer:
    """Begin to end one container: a change of the record."""

    name: str
    grace: float
    reason: str
    message: str
    restart: bool = False


@dataclass(frozen=True)
class Terminate:
    """Begin to end the pod: a change of the record."""

    cause: str
    grace: float


@dataclass(frozen=True)
class Fail:
    """The pod has failed as a whole: a change of the record."""

    reason: str
    message: str


@dataclass(frozen=True)
class Initialized:
    """All init containers have done their work: a change of the record."""


@dataclass(frozen=True)
class RestartAll:
    """All containers are to be ended, because of one, to begin anew: a change of the record."""

    name: str


@dataclass(frozen=True)
class BeginAnew:
    """They have ended: the pod is initialized again. A change of the record."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class BackOff:
    """A restart has to wait: worth an event, once each time."""

    name: str
    delay: float


Action: TypeAlias = (
    Prepare
    | StartContainer
    | RunPostStart
    | RunPreStop
    | SignalContainer
    | KillContainer
    | TearDown
    | StopContainer
    | Terminate
    | Fail
    | Initialized
    | RestartAll
    | BeginAnew
    | BackOff
)


@dataclass(frozen=True)
class Decision:
    """What to do now, and when to look again if nothing happens (seconds since the epoch; None: never)."""

    actions: tuple[Action, ...] = ()
    wake_at: float | None = None
