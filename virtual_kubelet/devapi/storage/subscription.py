"""A watcher's queue: the storage puts changes in, one thread takes them out."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from virtual_kubelet.devapi.storage.record import Change
from virtual_kubelet.runtime.clock import Clock

__all__ = ["Subscription"]

BACKLOG = 20_000  # changes; a watcher that is further behind is cut off, as the real server does


class Subscription:
    """Changes of one bucket, in order, for one reader.

    `push` is called under the storage's lock, so it only appends and wakes. `next` blocks the reader.
    """

    def __init__(
        self,
        namespace: str,
        wanted: Callable[[Change], bool],
        clock: Clock,
        *,
        backlog: int | None = BACKLOG,
        urgent: Callable[[Change], bool] | None = None,
    ) -> None:
        self._urgent = urgent
        self._backlog = backlog
        self.namespace = namespace
        self._wanted = wanted
        self._clock = clock
        self._changes: deque[Change] = deque()
        self._condition = threading.Condition()
        self._closed = False  # guarded by _condition, like _changes
        self.expired = False
        """Whether the reader is to be told that it has to list again; set before the end, never taken back."""

    def push(self, change: Change) -> None:
        """Queue `change` if the watcher wants it."""
        if self.namespace and change.record.namespace != self.namespace:
            return
        if not self._wanted(change):
            return
        with self._condition:
            if self._closed:
                return  # what was dropped at the end is a gap, behind which nothing may be told
            if self._backlog is not None and len(self._changes) >= self._backlog:
                self._closed = self.expired = True
            else:
                self._changes.append(change)
            if self._urgent is None or self._urgent(change):
                self._condition.notify()

    def next(self, timeout: float | None) -> Change | None:
        """Return the next change; None after `timeout` seconds or when closed."""
        with self._condition:
            if not self._changes and not self._closed:
                self._clock.wait(self._condition, timeout)
            return self._changes.popleft() if self._changes else None

    @property
    def closed(self) -> bool:
        """Tell whether no more changes will come."""
        with self._condition:
            return self._closed and not self._changes

    def close(self, *, expired: bool = False) -> None:
        """Wake the reader and end; from any thread."""
        with self._condition:
            self._closed = True
            self.expired = self.expired or expired
            self._changes.clear()
            self._condition.notify_all()
