"""Which engine answers, and which version of the API both sides speak. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.objects import JsonObject

__all__ = ["DOCKER", "HYPER", "PODMAN", "Engine", "label_filter", "negotiate"]

DOCKER, PODMAN, HYPER = "docker", "podman", "hyper"
NEWEST, OLDEST = (1, 47), (1, 23)  # of the API, that this client was written for


@dataclass(frozen=True)
class Engine:
    """Who answers."""

    kind: str
    version: str  # the engine's own
    api: str  # what both speak, for example 1.41
    os: str = "linux"
    architecture: str = ""
    kernel: str = ""

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.kind} {self.version}"

    @property
    def is_podman(self) -> bool:
        """Tell whether it is Podman."""
        return self.kind == PODMAN


def negotiate(answer: Mapping[str, Any], fixed: str = "") -> Engine:
    """Return the engine that answered `GET /version` so; `fixed` is an API version that was asked for.

    Raises:
        Unavailable: there is no version that both know.
    """
    theirs, oldest = _numbers(answer.get("ApiVersion")), _numbers(answer.get("MinAPIVersion"))
    api = fixed or _text(min(theirs or OLDEST, NEWEST))
    if not fixed and oldest and oldest > NEWEST:
        api = _text(oldest)  # what is used of the API has not changed for years: likely to work
    if not fixed and _numbers(api) < OLDEST:
        raise Unavailable(
            f"the engine speaks API {api}; {_text(OLDEST)} is the oldest that works: upgrade the engine"
        )
    names = [str(item.get("Name", "")) for item in answer.get("Components") or () if isinstance(item, dict)]
    podman = any("podman" in name.lower() for name in names)
    return Engine(
        kind=PODMAN if podman else DOCKER,
        version=str(answer.get("Version") or "unknown"),
        api=api,
        os=str(answer.get("Os") or "linux"),
        architecture=str(answer.get("Arch") or ""),
        kernel=str(answer.get("KernelVersion") or ""),
    )


def label_filter(labels: Mapping[str, str], api: str) -> JsonObject:
    """Return the `filters` of a list by labels: up to API 1.22's clients a map of maps, later a map of lists."""
    values = [f"{key}={value}" for key, value in labels.items()]
    if _numbers(api) < (1, 24):
        return {"label": dict.fromkeys(values, True)}
    return {"label": values}


def _numbers(text: object) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in str(text or "").split("."))
    except ValueError:
        return ()


def _text(numbers: tuple[int, ...]) -> str:
    return ".".join(map(str, numbers))
