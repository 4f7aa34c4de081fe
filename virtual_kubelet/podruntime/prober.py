"""Runs probes: each has a timer on the loop, none has a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from virtual_kubelet.objects import Container
from virtual_kubelet.podruntime.checks import CheckResult, Checks
from virtual_kubelet.podruntime.driver import ContainerInfo
from virtual_kubelet.podruntime.loop import Loop, Timer
from virtual_kubelet.podruntime.probes import LIVENESS, STARTUP, Streak, Wanted
from virtual_kubelet.runtime.clock import Clock

__all__ = ["ProbeTarget", "Prober"]


class ProbeVerdict(Protocol):
    """Takes what a probe's results amount to."""

    def __call__(self, probe: Wanted, *, ok: bool) -> None:
        """Take it."""


@dataclass(frozen=True)
class ProbeTarget:
    """Where a pod's probes go, and whom their results interest."""

    host: Callable[[], str]
    container: Callable[[str], Container | None]
    info: Callable[[str], ContainerInfo | None]
    verdict: ProbeVerdict
    """Called when results have come often enough."""
    failed: Callable[[Wanted, CheckResult], None]
    """Called for each failure, and where nothing could be learnt, for its event."""


class _Probe:
    """One probe of one container's attempt."""

    def __init__(self, wanted: Wanted, target: ProbeTarget) -> None:
        self.wanted = wanted
        self.target = target
        self.streak = Streak(wanted.verdict)
        self.timer: Timer | None = None
        self.stopped = False
        self.running = False


class Prober:
    """All probes of a node. Safe from any thread."""

    def __init__(self, checks: Checks, loop: Loop, clock: Clock) -> None:
        self._checks = checks
        self._loop = loop
        self._clock = clock
        self._lock = threading.Lock()
        self._probes: dict[
            str, dict[tuple[str, str], _Probe]
        ] = {}  # pod UID -> (container id, kind) -> probe

    def sync(self, uid: str, wanted: Iterable[Wanted], target: ProbeTarget) -> None:
        """Let the pod have exactly these probes: those that it has go on."""
        asked = {(item.container_id, item.kind): item for item in wanted}
        with self._lock:
            have = self._probes.get(uid, {})
            if not asked and not have:
                return
            for key in [key for key in have if key not in asked]:
                _stop(have.pop(key))
            for key, item in asked.items():
                if key not in have:
                    have[key] = self._begin(item, target)
            if have:
                self._probes[uid] = have
            else:
                self._probes.pop(uid, None)

    def remove(self, uid: str) -> None:
        """Stop the pod's probes."""
        with self._lock:
            for probe in self._probes.pop(uid, {}).values():
                _stop(probe)

    def count(self) -> int:
        """Return how many probes there are."""
        with self._lock:
            return sum(len(probes) for probes in self._probes.values())

    def _begin(self, wanted: Wanted, target: ProbeTarget) -> _Probe:
        probe = _Probe(wanted, target)
        delay = wanted.started_at + wanted.spec.initial_delay - self._clock.now()
        probe.timer = self._loop.after(max(0.0, delay), lambda: self._run(probe))
        return probe

    def _run(self, probe: _Probe) -> None:
        """Run it once, on the loop's thread, and set the timer for the next time."""
        with self._lock:
            if probe.stopped:
                return
            # The period counts from start to start; one that is late is not run twice at once.
            probe.timer = self._loop.after(probe.wanted.spec.period, lambda: self._run(probe))
            if probe.running:
                return
            probe.running = True
        wanted, target = probe.wanted, probe.target
        container, info = target.container(wanted.name), target.info(wanted.name)
        if container is None or info is None or info.id != wanted.container_id:
            with self._lock:
                probe.running = False
            return
        self._checks.run(
            target.host(),
            container,
            info,
            wanted.spec.handler,
            wanted.spec.timeout,
            lambda result: self._take(probe, result),
        )

    def _take(self, probe: _Probe, result: CheckResult) -> None:
        with self._lock:
            probe.running = False
            if probe.stopped:
                return
            before = probe.streak
            if result.known:  # else thrown away, as by the kubelet
                probe.streak = before.add(probe.wanted.spec, ok=result.ok)
            changed = probe.streak.verdict is not None and probe.streak.verdict != before.verdict
            if changed and probe.wanted.kind in {STARTUP, LIVENESS} and not probe.streak.verdict:
                _stop(probe)  # the container will be ended; the next one has a probe of its own
        if not result.ok:
            probe.target.failed(probe.wanted, result)
        if changed:
            probe.target.verdict(probe.wanted, ok=result.ok)


def _stop(probe: _Probe) -> None:
    probe.stopped = True
    if probe.timer is not None:
        probe.timer.cancel()
