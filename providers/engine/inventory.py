"""Which containers of this node there are: one list call, and a closer look only at what has changed."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import Any

from virtual_kubelet.errors import NotFound
from virtual_kubelet.podruntime.driver import CREATED, RUNNING, ContainerInfo
from virtual_kubelet.providers.engine import dialect, labels, states
from virtual_kubelet.providers.engine.client import Client, quoted

__all__ = ["Infra", "Inventory", "Listing", "Seen"]


@dataclass(frozen=True)
class Infra:
    """What holds a pod's namespaces, as a list shows it."""

    id: str
    uid: str
    state: str


@dataclass(frozen=True)
class Listing:
    """One look at everything."""

    containers: list[ContainerInfo] = field(default_factory=list)
    infras: list[Infra] = field(default_factory=list)


@dataclass(frozen=True)
class Seen:
    """A container after a close look."""

    info: ContainerInfo
    tty: bool
    stop_signal: str
    look: int  # looks are numbered in the order in which they were begun


class Inventory:
    """What is known of the containers; safe from any thread."""

    def __init__(self, client: Client, *, own_addresses: bool = False) -> None:
        """`own_addresses`: containers have their own, and no pod's."""
        self._client = client
        self._own_addresses = own_addresses
        self._node = ""
        self._cluster = ""
        self._lock = threading.Lock()
        self._looks = 0  # under the lock
        self._seen: dict[str, Seen] = {}  # under the lock
        self._failed: dict[
            str, ContainerInfo
        ] = {}  # under the lock: could not be started, which not all engines show

    def identify(self, node_name: str, cluster_id: str) -> None:
        """Say whose containers these are; before anything else."""
        self._node, self._cluster = node_name, cluster_id

    def look(self) -> Listing:
        """Return everything of this node; raise `ProviderError`, never return a part."""
        containers: list[ContainerInfo] = []
        infras: list[Infra] = []
        with self._lock:
            before = self._seen.keys() | self._failed.keys()
        for item in self.raw():
            own = item.get("Labels") or {}
            state = states.listed_state(item)
            if own.get(labels.KIND) == labels.INFRA:
                infras.append(Infra(str(item["Id"]), own.get(labels.UID, ""), state))
            elif own.get(labels.KIND) == labels.CONTAINER:
                info = self._look(str(item["Id"]), state)
                if info is not None:
                    containers.append(info)
        for gone in before - {info.id for info in containers}:  # what was made since then is in no list yet
            self.forget(gone)
        return Listing(containers, infras)

    def raw(self, **wanted: str) -> list[dict[str, Any]]:
        """Return the engine's list of what is ours and has the labels `wanted` (by the runtime's names)."""
        query = {
            **labels.node_labels(self._node),
            **{labels.OWN.get(key, key): value for key, value in wanted.items()},
        }
        filters = dialect.label_filter(query, self._client.engine().api)
        items = self._client.json("GET", "/containers/json", query={"all": True, "filters": filters}) or []
        return [item for item in items if labels.is_ours(item.get("Labels") or {}, self._node, self._cluster)]

    def _look(self, container_id: str, state: str) -> ContainerInfo | None:
        with self._lock:
            seen = self._seen.get(container_id)
            failed = self._failed.get(container_id)
        if failed is not None and state == CREATED:
            return failed
        if seen is not None and seen.info.state == state != CREATED:
            return seen.info
        try:
            return self.inspect(container_id).info
        except NotFound:
            return None  # removed between the list and the look

    def inspect(self, container_id: str) -> Seen:
        """Look closely; raise `NotFound`. Of two looks at once the one that began later is believed."""
        with self._lock:
            self._looks += 1
            look = self._looks
        found = self._client.json("GET", f"/containers/{quoted(container_id)}/json")
        answer = {"Id": container_id, **(found or {})}
        config = answer.get("Config") or {}
        seen = Seen(
            states.from_inspect(answer, own_address=self._own_addresses),
            bool(config.get("Tty")),
            str(config.get("StopSignal") or ""),
            look,
        )
        with self._lock:
            failed = self._failed.get(container_id)
            if failed is not None and seen.info.state == CREATED:
                seen = replace(seen, info=failed)
            known = self._seen.get(container_id)
            if known is not None and known.look > look:
                return known
            self._seen[container_id] = seen
        return seen

    def known(self, container_id: str) -> Seen:
        """Return what was seen last, or look; for what does not change in a container's life."""
        with self._lock:
            seen = self._seen.get(container_id)
        return seen or self.inspect(container_id)

    def running(self) -> list[str]:
        """Return the ids of containers that run, as far as is known."""
        with self._lock:
            return [key for key, seen in self._seen.items() if seen.info.state == RUNNING]

    def members(self, uid: str) -> list[Seen]:
        """Return what is known of a pod's containers."""
        with self._lock:
            return [seen for seen in self._seen.values() if seen.info.uid == uid]

    def remember_failed(self, info: ContainerInfo) -> None:
        """Keep that a container could not be started."""
        with self._lock:
            self._failed[info.id] = info

    def forget(self, container_id: str) -> Seen | None:
        """Drop what is known of a container that is no more; return it."""
        with self._lock:
            self._failed.pop(container_id, None)
            return self._seen.pop(container_id, None)
