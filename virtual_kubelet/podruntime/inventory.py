"""What containers there are, as the driver says: single changes as they come, complete lists now and then."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.podruntime.driver import CREATED, EXITED, ContainerInfo, Driver
from virtual_kubelet.podruntime.store import Store
from virtual_kubelet.runtime.clock import Clock

__all__ = ["Inventory"]

RETRY = 2.0  # seconds to the next list after one that failed


class Inventory:
    """Hands what the driver says to the pods that it is about."""

    def __init__(
        self, driver: Driver, store: Store, clock: Clock, after: Callable[[float, Callable[[], None]], object]
    ) -> None:
        self._driver = driver
        self._store = store
        self._clock = clock
        self._after = after
        self._lock = threading.Lock()
        self._synced = False  # under the lock
        self._retrying = (
            False  # under the lock: whether the next try after a failed one is waiting for its time
        )

    @property
    def synced(self) -> bool:
        """Whether a complete list has been taken in; before, everything that runs looks lost."""
        with self._lock:
            return self._synced

    def change(self, info: ContainerInfo) -> None:
        """Take the newest of one container."""
        worker = self._store.table.get(info.uid)
        if worker is not None:
            worker.tell(info)

    def take(self, again: Callable[[], None]) -> None:
        """List all containers; when that fails, ask for the next try by `again`, and raise."""
        began = self._clock.monotonic()
        self._store.begin_list()
        try:
            infos = self._driver.list_containers()
        except ProviderError:
            self._retry(again)
            raise
        by_pod: dict[str, list[ContainerInfo]] = defaultdict(list)
        for info in infos:
            by_pod[info.uid].append(info)
        for uid, found in by_pod.items():
            self._store.adopt(uid, found)
        for worker in self._store.table.all():
            worker.tell_all(by_pod.get(worker.uid, []), began)
        with self._lock:
            self._synced = True
        for worker in self._store.table.all():
            worker.look()  # looks before this moment led to nothing
        self._remove_old(by_pod)

    def _retry(self, again: Callable[[], None]) -> None:
        """Try again soon: once, however many lists have failed meanwhile, or each would bring on two more."""
        with self._lock:
            if self._retrying:
                return
            self._retrying = True

        def now() -> None:
            with self._lock:
                self._retrying = False
            again()

        self._after(RETRY, now)

    def _remove_old(self, by_pod: Mapping[str, list[ContainerInfo]]) -> None:
        """Remove containers that nobody can ask about any more.

        Of those that have ended, all but the newest two of each; of those that never ran, all but the newest one.
        """
        for infos in by_pod.values():
            newest: dict[str, int] = {}
            for info in infos:
                newest[info.name] = max(newest.get(info.name, 0), info.attempt)
            for info in infos:
                kept = {EXITED: 2, CREATED: 1}.get(info.state)
                if kept is not None and info.attempt <= newest[info.name] - kept:
                    self._driver.remove(info.id)
