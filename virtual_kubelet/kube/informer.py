"""A store that is kept true by a list and watch, and handlers that hear of each change.

What users may rely on:

- handlers are called in the order in which they were added, for one change after the other, with
  `(old, new)`: `(None, new)` for what appeared, `(old, None)` for what is gone (its last known state), both for
  a change. After a gap in the watch, the differences are told in the same way;
- when a handler runs, the store already holds `new` or something newer;
- an object that comes back with another UID may be told of as a change from the old one to the new one: look at
  the UID, or at keys only.

Handlers run on the informer's own thread and hold up everything behind them: put a key into a queue and return.
The calls of a resync (`old is new`) come from another thread. An exception of a handler is logged.

Not promised: that each state between two is seen, or that nothing is told twice. `put` calls no handlers;
the change is told when the watch brings it.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from virtual_kubelet.errors import ApiError
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.reflector import Reflector
from virtual_kubelet.kube.resources import Resource
from virtual_kubelet.kube.store import Indexer, Store, key_of
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline, StopSignal, Thread, join_all, spawn

__all__ = ["Handler", "Informer"]

logger = logging.getLogger(__name__)

Handler: TypeAlias = Callable[[Any, Any], None]


class Informer:
    """The objects of one resource, as this process last heard of them; a service.

    `transform(object)` may trim objects as they arrive (managedFields are always dropped) and returns what is to be
    kept. `resync_period` (seconds, 0: never) tells the handlers of each object once a period, spread over it.
    """

    def __init__(
        self,
        client: Client,
        resource: Resource,
        *,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
        transform: Callable[[JsonObject], JsonObject] | None = None,
        indexers: Mapping[str, Indexer] | None = None,
        resync_period: float = 0.0,
        clock: Clock = SYSTEM,
        name: str = "",
        metrics: Metrics | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.store = Store(indexers)
        self._name = name or resource.plural
        self._transform = transform
        self._clock = clock
        self._handlers: list[Handler] = []  # complete before start
        # key -> the state that handlers were told of; only the informer's thread touches it. It differs
        # from the store's while a `put` waits for its echo in the watch.
        self._told: dict[str, JsonObject] = {}
        self._condition = threading.Condition()
        self._synced = False  # under the condition
        self._last_error: ApiError | None = None  # under the condition
        self._thread: Thread | None = None  # under the condition
        self._stop = StopSignal(clock)
        metrics = metrics or Metrics()
        metrics.informer_objects.labels(self._name).set_function(lambda: float(len(self.store)))
        metrics.informer_synced.labels(self._name).set_function(lambda: float(self.synced))
        self._reflector = Reflector(
            client,
            resource,
            self,
            self._stop,
            namespace=namespace,
            field_selector=field_selector,
            label_selector=label_selector,
            name=self._name,
            clock=clock,
            metrics=metrics,
            chance=chance,
        )
        self._resync = (
            _Resync(self, resync_period, clock, f"{self._name}-resync") if resync_period > 0 else None
        )

    # -- for users ------------------------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Tell whether the first list has been taken in and told to the handlers."""
        with self._condition:
            return self._synced

    @property
    def last_error(self) -> ApiError | None:
        """The error of the last request, None when it worked."""
        with self._condition:
            return self._last_error

    def add_handler(self, handler: Handler) -> None:
        """Add `handler(old, new)`. Raises `RuntimeError` after `start`: it would have missed something."""
        with self._condition:
            if self._thread is not None:
                raise RuntimeError(f"informer {self._name}: add handlers before start")
            self._handlers.append(handler)

    def wait_synced(self, timeout: float | None = None) -> bool:
        """Wait until `synced`, at most `timeout` seconds or until `stop`; tell whether it is."""
        end = None if timeout is None else self._clock.monotonic() + timeout
        with self._condition:
            while not self._synced and not self._stop.is_set():
                rest = None if end is None else end - self._clock.monotonic()
                if rest is not None and rest <= 0:
                    break
                self._clock.wait(self._condition, rest)
            return self._synced

    def put(self, item: JsonObject) -> bool:
        """Take the answer to a write into the store; ignored (False) when something newer is known."""
        return self.store.put(self.arrived(item))

    def start(self) -> None:
        """Begin to list and watch."""
        with self._condition:
            if self._thread is None and not self._stop.is_set():
                self._thread = spawn(self._reflector.run, name=f"informer-{self._name}")
        if self._resync is not None:
            self._resync.start()

    def stop(self, deadline: Deadline) -> None:
        """End it; a request under way is cut off. The store stays readable."""
        self._stop.set()
        with self._condition:
            self._condition.notify_all()
            thread = self._thread
        if self._resync is not None:
            self._resync.stop(deadline)
        if thread is not None:
            join_all([thread], deadline)

    def handle(self, old: Any, new: Any) -> None:
        """Call the handlers."""
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:
                logger.exception("informer %s: a handler failed for %s", self._name, key_of(new or old))

    # -- for the reflector ----------------------------------------------------------------------------

    def begin_list(self) -> None:
        """See `Sink`."""
        self.store.begin_list()

    def arrived(self, item: JsonObject) -> JsonObject:
        """See `Sink`: drop what nobody reads and what would fill the memory."""
        item["metadata"].pop("managedFields", None)
        return self._transform(item) if self._transform is not None else item

    def listed(self, items: list[JsonObject], version: str) -> None:
        """See `Sink`."""
        self.store.replace(items, version)
        keys = dict.fromkeys([*self._told, *(key_of(item) for item in items)])
        for key in keys:
            self._tell(key)
        with self._condition:
            self._synced = True
            self._condition.notify_all()

    def changed(self, kind: str, item: JsonObject) -> None:
        """See `Sink`."""
        key = key_of(item)
        if kind == "DELETED":
            if self.store.remove(item) and key in self._told:
                self._told[key] = item  # newer than what was told last: its last state
        else:
            self.store.apply(item)
        self._tell(key)

    def failed(self, error: ApiError | None) -> None:
        """See `Sink`."""
        with self._condition:
            self._last_error = error

    def _tell(self, key: str) -> None:
        """Tell the handlers of the difference between what they know and what the store holds."""
        old, new = self._told.get(key), self.store.get(key)
        if old is new:
            return
        if new is None:
            del self._told[key]
        else:
            self._told[key] = new
        self.handle(old, new)


class _Resync:
    """Tells the handlers of every object once a period, a few at a time; a service."""

    def __init__(self, informer: Informer, period: float, clock: Clock, name: str) -> None:
        self._informer = informer
        tick = min(1.0, period / 10)
        self._ticks = max(1, round(period / tick))
        self._left: list[str] = []
        self._ticks_left = 0
        self._periodic = Periodic(self._tick, tick, name=name, clock=clock, immediately=False)

    def start(self) -> None:
        self._periodic.start()

    def stop(self, deadline: Deadline) -> None:
        self._periodic.stop(deadline)

    def _tick(self) -> None:
        if self._ticks_left == 0:
            self._left = self._informer.store.keys()
            self._ticks_left = self._ticks
        share = -(-len(self._left) // self._ticks_left)
        keys, self._left = self._left[:share], self._left[share:]
        self._ticks_left -= 1
        for key in keys:
            item = self._informer.store.get(key)
            if item is not None:
                self._informer.handle(item, item)
