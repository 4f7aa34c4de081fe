"""The life of one SPDY stream, as a table.

A stream is two one-way channels under one number. Each side ends its own channel with FIN; the stream is
closed when both have, or at once when either side resets it.

                     SYN_STREAM                         SYN_STREAM with FIN
                         |                                       |
                       OPEN -------- FIN sent ----> HALF_CLOSED_LOCAL --+
                         |                                              | FIN received, or RST
                         +---------- FIN received -> HALF_CLOSED_REMOTE +
                         |                                              | FIN sent, or RST
                         +---------- RST either way ------------------> CLOSED

Two rules: every change of state is in `TRANSITIONS`, and what the table lacks is an error of whoever did it.
The table does not know which side we are; `spdy_session` does.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

__all__ = ["Action", "State", "StreamState"]


class State(Enum):
    """Which of the two channels are open."""

    OPEN = auto()
    HALF_CLOSED_LOCAL = auto()  # we have sent FIN
    HALF_CLOSED_REMOTE = auto()  # the peer has sent FIN
    CLOSED = auto()


class Action(Enum):
    """What can happen to a stream."""

    SEND_DATA = auto()
    SEND_FIN = auto()
    RECEIVE_DATA = auto()
    RECEIVE_FIN = auto()
    RESET = auto()


TRANSITIONS: Final[dict[tuple[State, Action], State]] = {
    (State.OPEN, Action.SEND_DATA): State.OPEN,
    (State.OPEN, Action.SEND_FIN): State.HALF_CLOSED_LOCAL,
    (State.OPEN, Action.RECEIVE_DATA): State.OPEN,
    (State.OPEN, Action.RECEIVE_FIN): State.HALF_CLOSED_REMOTE,
    (State.OPEN, Action.RESET): State.CLOSED,
    (State.HALF_CLOSED_LOCAL, Action.RECEIVE_DATA): State.HALF_CLOSED_LOCAL,
    (State.HALF_CLOSED_LOCAL, Action.RECEIVE_FIN): State.CLOSED,
    (State.HALF_CLOSED_LOCAL, Action.RESET): State.CLOSED,
    (State.HALF_CLOSED_REMOTE, Action.SEND_DATA): State.HALF_CLOSED_REMOTE,
    (State.HALF_CLOSED_REMOTE, Action.SEND_FIN): State.CLOSED,
    (State.HALF_CLOSED_REMOTE, Action.RESET): State.CLOSED,
}


class StreamState:
    """Where one stream stands."""

    __slots__ = ("replied", "state")

    def __init__(self, state: State = State.OPEN, *, replied: bool = False) -> None:
        self.state = state
        self.replied = replied
        """Whether SYN_REPLY has passed: the side that accepted the stream may not send data before it."""

    def allows(self, action: Action) -> bool:
        """Tell whether `action` is possible now."""
        return (self.state, action) in TRANSITIONS

    def apply(self, action: Action) -> State:
        """Make the change and return the new state; ask `allows` first."""
        self.state = TRANSITIONS[self.state, action]
        return self.state
