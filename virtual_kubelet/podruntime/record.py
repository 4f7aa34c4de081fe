"""What the runtime remembers of a pod beside its spec: one value, kept on disk, changed under the pod's lock.

The driver knows which containers there are; this adds what no backend knows: what they were before, how long the
next restart waits, what is being ended and why, what probes said. Everything survives the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from virtual_kubelet.podruntime.driver import CREATED, EXITED, RUNNING, ContainerInfo, Sandbox
from virtual_kubelet.podruntime.restarts import CrashBackoff

__all__ = ["ContainerRecord", "PodRecord", "Stopping", "Termination", "Verdict"]

# What has become of a hook of one container.
HOOK_NONE = ""
HOOK_RUNNING = "running"
HOOK_DONE = "done"
HOOK_FAILED = "failed"


@dataclass
class Stopping:
    """A container is being ended. Times are seconds since the epoch."""

    reason: str  # for the event and for the restart rules
    message: str
    since: float
    deadline: float  # when it is killed
    hook: str = HOOK_NONE  # its preStop
    signalled_at: float = 0.0
    killed_at: float = 0.0
    restart: bool = False  # start it again, whatever the restart policy: its spec has changed


@dataclass
class Termination:
    """The whole pod is being ended."""

    cause: str  # completed, deleted, or the reason of a verdict
    since: float
    grace: float


@dataclass
class Verdict:
    """The pod has failed as a whole; its phase, reason and message."""

    reason: str
    message: str
    phase: str = "Failed"
    rejected: bool = False  # it was not taken in


@dataclass
class ContainerRecord:
    """One container of the spec through all its attempts."""

    attempt: int = -1  # the newest that was begun; -1: none
    info: ContainerInfo | None = None  # the newest known container
    last: ContainerInfo | None = None  # the one before it, ended
    backoff: CrashBackoff = field(default_factory=CrashBackoff)
    waiting_reason: str = ""  # why the next attempt cannot begin
    waiting_message: str = ""
    failures: int = 0  # in a row, to begin the next attempt
    retry_at: float = 0.0
    post_start: str = HOOK_NONE
    started: bool = False  # this attempt: its startup probe has succeeded, or it has none
    ready: bool = False
    was_started: bool = False  # any attempt
    stopping: Stopping | None = None
    message: str = ""  # the termination message of `info`
    last_message: str = ""
    image: str = ""  # as the spec had it when this attempt began
    place: str = ""  # the pod's when this attempt began
    restart_wanted: bool = False  # it was ended to be started again, whatever the restart policy
    backoff_told: float = 0.0  # the end (finished_at) for which a BackOff event was sent

    @property
    def to_begin(self) -> bool:
        """Tell whether its newest attempt has not run: there is none, or it was made and its start did not get through."""
        return self.info is None or self.info.state == CREATED

    @property
    def running(self) -> bool:
        """Tell whether it runs."""
        return self.info is not None and self.info.state == RUNNING

    @property
    def exited(self) -> bool:
        """Tell whether its newest attempt has ended."""
        return self.info is not None and self.info.state == EXITED

    @property
    def restarts(self) -> int:
        """Return the restartCount."""
        return max(0, self.attempt)


@dataclass
class PodRecord:
    """One pod."""

    uid: str
    namespace: str
    name: str
    has_secrets: bool = False  # values from Secrets, which the journal leaves out
    verdict: Verdict | None = None
    start_time: float = 0.0
    sandbox: Sandbox | None = None
    waiting_message: str = ""  # why the pod's surroundings cannot be made
    failures: int = 0
    retry_at: float = 0.0
    initialized: bool = False
    restarting: str = ""  # all containers are being ended, to begin anew: because of this one
    rounds: int = 0  # how often they have begun anew in this sandbox
    termination: Termination | None = None
    deleted_at: float = 0.0  # when the agent asked for its deletion; 0: it did not
    grace: float = 0.0  # of the deletion
    over: bool = False  # nothing of it runs or will run again, its surroundings are gone
    containers: dict[str, ContainerRecord] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """What tells the pod's present life from those before it: its sandbox, and its round in there."""
        return f"{self.sandbox.id if self.sandbox else ''}#{self.rounds}"

    def container(self, name: str) -> ContainerRecord:
        """Return the record of a container, made at the first call."""
        return self.containers.setdefault(name, ContainerRecord())

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> PodRecord:
        """Return the record; fields of other versions of this program are left out. Raises `TypeError`."""
        record = _make(cls, values)
        record.verdict = _maybe(Verdict, record.verdict)
        record.termination = _maybe(Termination, record.termination)
        record.sandbox = _sandbox(record.sandbox)
        record.containers = {name: _container(item) for name, item in values["containers"].items()}
        return record


T = TypeVar("T")


def _make(kind: type[T], values: Mapping[str, Any]) -> T:
    names = {item.name for item in fields(kind)}  # type: ignore[arg-type]  # each kind is a dataclass of this module
    return kind(**{key: value for key, value in values.items() if key in names})


def _maybe(kind: type[T], values: Any) -> T | None:
    return None if values is None else _make(kind, values)


def _sandbox(values: Any) -> Sandbox | None:
    return None if values is None else Sandbox(values["id"], tuple(values["ips"]))


def _container(values: Mapping[str, Any]) -> ContainerRecord:
    record = _make(ContainerRecord, values)
    record.info = _maybe(ContainerInfo, record.info)
    record.last = _maybe(ContainerInfo, record.last)
    record.backoff = _make(CrashBackoff, values.get("backoff") or {})
    record.stopping = _maybe(Stopping, record.stopping)
    return record
