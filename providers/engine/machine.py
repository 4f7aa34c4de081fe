"""The engine's machine as a node: what it has, how it is."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.objects import Condition, Node
from virtual_kubelet.providers.engine.client import Client

__all__ = ["Machine"]

PODS = "110"
PING_TIMEOUT = 5.0
CAP_SYS_RESOURCE = 24
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}  # uname's words, Kubernetes' words


class Machine:
    """What `GET /info` says, kept for when the engine is away; safe from any thread."""

    def __init__(self, client: Client, resources: Mapping[str, str]) -> None:
        """`resources` are quantities that beat the machine's own."""
        self._client = client
        self._resources = dict(resources)
        self._lock = threading.Lock()
        self._info: dict[str, Any] = {}  # under the lock

    def info(self) -> dict[str, Any]:
        """Return the newest known; raise `Unavailable` when nothing is known yet."""
        with self._lock:
            info = self._info
        return info or self.refresh()

    def refresh(self) -> dict[str, Any]:
        """Ask; raise `Unavailable`."""
        info: dict[str, Any] = self._client.json("GET", "/info") or {}
        with self._lock:
            self._info = info
        return info

    def ping(self) -> None:
        """Return when the engine answers."""
        self._client.send("GET", self._client.probe, timeout=PING_TIMEOUT, again=False)

    def capacity(self) -> dict[str, str]:
        """Return quantities."""
        if {"cpu", "memory"} <= self._resources.keys():
            return {"pods": PODS, **self._resources}
        info = self.info()
        own = {
            "cpu": str(info.get("NCPU") or 1),
            "memory": f"{int(info.get('MemTotal') or 0) // 1024}Ki",
            "pods": PODS,
        }
        return {**own, **self._resources}

    def conditions(self) -> list[Condition]:
        """Return the node's conditions: whether the engine answers is asked by ping."""
        try:
            warnings = self.info().get("Warnings") or []
        except ProviderError:
            return []
        if not warnings:
            return []
        return [
            {
                "type": "EngineWarnings",
                "status": "True",
                "reason": "EngineHasWarnings",
                "message": "; ".join(map(str, warnings))[:1000],
            }
        ]

    @property
    def memory(self) -> int:
        """The machine's memory in bytes, 0 while it is not known."""
        try:
            return int(self.info().get("MemTotal") or 0)
        except ProviderError:
            return 0

    @property
    def rootless(self) -> bool:
        """Tell whether the engine runs without root: its networks are not this machine's."""
        try:
            info = self.info()
        except ProviderError:
            return False
        options = info.get("SecurityOptions") or ()
        return bool(info.get("Rootless")) or any("name=rootless" in str(item) for item in options)

    @property
    def least_oom_score(self) -> int:
        """The lowest `OomScoreAdj` that the engine can give: without CAP_SYS_RESOURCE it cannot go below its own."""
        if self.rootless or (self._client.endpoint.path and not _may_lower_oom_scores()):
            return 0
        return -1000

    def configure(self, node: Node, scheme: str) -> None:
        """Say on the Node what runs its containers."""
        try:
            engine, info = self._client.engine(), self.info()
        except ProviderError:
            return  # said at the next start
        own = node.setdefault("status", {}).setdefault("nodeInfo", {})
        version = engine.version or str(info.get("ServerVersion") or engine.api)
        own["containerRuntimeVersion"] = f"{engine.kind if scheme == 'docker' else scheme}://{version}"
        own["operatingSystem"] = str(info.get("OSType") or "linux")
        for key, value in (
            ("osImage", info.get("OperatingSystem")),
            ("kernelVersion", info.get("KernelVersion")),
            ("architecture", ARCHITECTURES.get(str(info.get("Architecture")), info.get("Architecture"))),
        ):
            if value:
                own[key] = str(value)


def _may_lower_oom_scores() -> bool:
    """Tell whether anything on this machine may: by what the bounding set of capabilities still holds."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return True
    for line in status.splitlines():
        name, _, value = line.partition(":")
        if name == "CapBnd":
            return bool(int(value, 16) >> CAP_SYS_RESOURCE & 1)
    return True
