"""Which engine answers, and which version of the API both sides speak. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.objects import JsonObject

__all__ = ["DOCKER", "PODMAN", "Engine", "label_filter", "negotiate"]

DOCKER, PODMAN = "docker", "podman"
NEWEST, OLDEST = (1, 47), (1, 23)  # of the API, that this client was written for

_SERVER = re.compile(r"(?:Docker|Libpod)/([\w.+~-]+)")


@dataclass(frozen=True)
class Engine:
    """Who answers."""

    kind: str
    version: str  # the engine's own, "" where it does not say
    api: str  # what both speak, for example 1.41

    def __str__(self) -> str:
        """Return name and version."""
        return f"{self.kind} {self.version}".rstrip()

    def speaks(self, api: tuple[int, int]) -> bool:
        """Tell whether the API has what came with the version `api`."""
        return _numbers(self.api) >= api

    @property
    def is_podman(self) -> bool:
        """Tell whether it is Podman."""
        return self.kind == PODMAN


def negotiate(headers: Mapping[str, str], fixed: str = "") -> Engine:
    """Return the engine that answered `GET /_ping` with these headers; `fixed` is a version that was asked for.

    Not by `GET /version`, for which Podman runs half a dozen programs.

    Raises:
        Unavailable: there is no version that both know.
    """
    theirs = _numbers(headers.get("Api-Version"))
    if not fixed and theirs and theirs < OLDEST:
        raise Unavailable(
            f"the engine speaks API {_text(theirs)}; {_text(OLDEST)} is the oldest that works: upgrade the engine"
        )
    server = _SERVER.match(headers.get("Server") or "")
    return Engine(
        kind=PODMAN if headers.get("Libpod-Api-Version") else DOCKER,
        version=headers.get("Libpod-Api-Version") or (server.group(1) if server else ""),
        api=fixed or _text(min(theirs or OLDEST, NEWEST)),
    )


def label_filter(labels: Mapping[str, str], api: str) -> JsonObject:
    """Return the `filters` of a list by labels: with API 1.23 and before a map of maps, later a map of lists."""
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
