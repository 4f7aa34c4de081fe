"""When a probe is due and what its results amount to: decisions, with the time given (kubelet prober, v1.36).

A container's startup probe holds back its other two until it has succeeded once. A result counts when it has come
`failureThreshold` or `successThreshold` times in a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.podruntime.containers import INIT, Slot, slots
from virtual_kubelet.podruntime.record import ContainerRecord, PodRecord

__all__ = ["LIVENESS", "READINESS", "STARTUP", "ProbeSpec", "Streak", "Wanted", "wanted_probes"]

STARTUP = "startup"
LIVENESS = "liveness"
READINESS = "readiness"


@dataclass(frozen=True)
class ProbeSpec:
    """A probe's numbers, with the API's defaults. Durations are seconds."""

    handler: JsonObject
    initial_delay: float
    period: float
    timeout: float
    success_threshold: int
    failure_threshold: int
    grace: float | None

    @classmethod
    def of(cls, probe: JsonObject) -> ProbeSpec:
        """Return the numbers of a `core/v1.Probe`."""
        grace = probe.get("terminationGracePeriodSeconds")
        return cls(
            handler=probe,
            initial_delay=float(probe.get("initialDelaySeconds") or 0),
            period=float(probe.get("periodSeconds") or 10),
            timeout=float(probe.get("timeoutSeconds") or 1),
            success_threshold=int(probe.get("successThreshold") or 1),
            failure_threshold=int(probe.get("failureThreshold") or 3),
            grace=None if grace is None else float(grace),
        )


@dataclass(frozen=True)
class Streak:
    """Equal results in a row, and what they amount to."""

    verdict: bool | None  # None: nothing yet
    last: bool | None = None
    length: int = 0

    def add(self, spec: ProbeSpec, *, ok: bool) -> Streak:
        """Return the streak with one more result."""
        length = self.length + 1 if self.last is ok else 1
        enough = length >= (spec.success_threshold if ok else spec.failure_threshold)
        return replace(self, verdict=ok if enough else self.verdict, last=ok, length=length)


@dataclass(frozen=True)
class Wanted:
    """A probe that is to run now."""

    name: str  # of the container
    container_id: str
    kind: str
    spec: ProbeSpec
    started_at: float  # of the container, seconds since the epoch
    verdict: bool | None  # what is believed so far


def wanted_probes(pod: Pod, record: PodRecord) -> Iterator[Wanted]:
    """Yield the probes that the pod's running containers have, as far as it is their time."""
    for slot in slots(pod):
        container = record.containers.get(slot.name)
        if slot.kind == INIT or container is None or not container.running:
            continue
        for kind in _kinds(slot, record, container):
            probe = slot.container.get(f"{kind}Probe")
            if probe and container.info is not None:
                verdict = container.ready if kind == READINESS else None
                spec = ProbeSpec.of(probe)  # type: ignore[arg-type]  # the key is made from three known names
                yield Wanted(slot.name, container.info.id, kind, spec, container.info.started_at, verdict)


def _kinds(slot: Slot, record: PodRecord, container: ContainerRecord) -> tuple[str, ...]:
    ending = record.termination is not None or record.deleted_at > 0 or container.stopping is not None
    if slot.container.get("startupProbe") and not container.started:
        return () if ending else (STARTUP,)
    return (READINESS,) if ending else (LIVENESS, READINESS)
