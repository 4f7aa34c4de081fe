"""What an engine says of a container, as the runtime's `ContainerInfo`. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from virtual_kubelet.podruntime.driver import CREATED, EXITED, RUNNING, ContainerInfo
from virtual_kubelet.providers.engine import labels
from virtual_kubelet.pure import times

__all__ = ["CANNOT_RUN", "addresses", "from_inspect", "listed_state", "seconds", "state_of"]

CANNOT_RUN = "ContainerCannotRun"
STATES = {
    "created": CREATED,
    "initialized": CREATED,
    "configured": CREATED,
    "running": RUNNING,
    "paused": RUNNING,
    "pausing": RUNNING,
    "restarting": RUNNING,
    "stopping": RUNNING,
    "exited": EXITED,
    "stopped": EXITED,
    "dead": EXITED,
    "removing": EXITED,
    # First words of a list's `Status`.
    "up": RUNNING,
    "exit": EXITED,
    "removal": EXITED,
}
UNFINISHED = frozenset({"dead", "removing"})
KILLED = 137
NEVER_RAN = frozenset({126, 127, 128})


def state_of(text: str) -> str:
    """Return CREATED, RUNNING or EXITED for the engine's word; an unknown one counts as RUNNING."""
    return STATES.get(text.lower(), RUNNING)


def listed_state(item: Mapping[str, Any]) -> str:
    """Return the state of an item of a list; "" where it does not say: API 1.23 has `State`, Hyper leaves it empty."""
    words = str(item.get("State") or item.get("Status") or "").split()
    return state_of(words[0]) if words else ""


def seconds(text: object) -> float:
    """Return a time of the engine in seconds since the epoch; 0 for year 1, which stands for "not yet"."""
    with contextlib.suppress(ValueError):
        return max(0.0, times.parse(str(text or "")))
    return 0.0


def from_inspect(answer: Mapping[str, Any], *, own_address: bool = False) -> ContainerInfo:
    """Return what `GET /containers/{id}/json` says; `own_address`: it is in no pod's network."""
    config = answer.get("Config") or {}
    state = answer.get("State") or {}
    own = labels.read(config.get("Labels") or {})
    word = str(state.get("Status") or _word(state)).lower()
    kind, code, error = state_of(word), int(state.get("ExitCode") or 0), str(state.get("Error") or "")
    if word in UNFINISHED:
        code = code or KILLED  # somebody else's removal has ended it: that is no success
    cannot_run = kind == CREATED and (bool(error) or code != 0)
    if cannot_run:
        kind, code = EXITED, code or 128
    return ContainerInfo(
        id=str(answer["Id"]),
        uid=own["uid"],
        namespace=own["namespace"],
        pod=own["pod"],
        name=own["container"],
        attempt=int(own["attempt"] or 0),
        state=kind,
        started_at=seconds(state.get("StartedAt")),
        finished_at=_finished(state, answer) if kind == EXITED else 0.0,
        exit_code=code if kind == EXITED else 0,
        reason=_reason(state, code, cannot_run=cannot_run) if kind == EXITED else "",
        message=error if kind == EXITED else "",
        image=own["image"] or str(config.get("Image") or ""),
        image_id=str(answer.get("Image") or ""),
        ip=next(iter(addresses(answer)), "") if own_address and kind == RUNNING else "",
    )


def _word(state: Mapping[str, Any]) -> str:
    """Return the status by the flags that older engines have alone."""
    flags = [word for word in ("Dead", "Paused", "Restarting", "Running") if state.get(word)]
    return flags[0] if flags else ("exited" if seconds(state.get("StartedAt")) else "created")


def _finished(state: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    return (
        seconds(state.get("FinishedAt")) or seconds(state.get("StartedAt")) or seconds(answer.get("Created"))
    )


def _reason(state: Mapping[str, Any], code: int, *, cannot_run: bool) -> str:
    if state.get("OOMKilled") and code:
        return "OOMKilled"
    if cannot_run or (code in NEVER_RAN and state.get("Error")):
        return CANNOT_RUN
    if state.get("Dead"):
        return "ContainerDead"
    return ""


def addresses(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a container's addresses, IPv4 first."""
    settings = answer.get("NetworkSettings") or {}
    places = [settings, *(settings.get("Networks") or {}).values()]
    found = [
        str(place.get(key) or "") for key in ("IPAddress", "GlobalIPv6Address") for place in places if place
    ]
    return tuple(dict.fromkeys(item for item in found if item))
