"""The form of every controller here: it sees changes, and acts after them and after a while.

One thread runs several. Most changes are no hurry (a lease is renewed, a bound pod runs): they are only queued, and
the thread takes them in when it next has something to do, so that writers do not wake it each time.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.storage.record import Change
from virtual_kubelet.devapi.storage.subscription import Subscription
from virtual_kubelet.errors import ApiError
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn

__all__ = ["Controller", "Follower"]

logger = logging.getLogger(__name__)

CROWD = 500  # changes taken in before `act`, so that a burst is seen as one


class Controller(Protocol):
    """What a follower runs, all on its thread."""

    buckets: Sequence[str]
    """What it wants to see."""
    period: float
    """Seconds after which it acts although nothing changed."""

    def urgent(self, change: Change) -> bool:
        """Tell whether to act at once; called by the writer, so it only looks."""

    def see(self, change: Change) -> None:
        """Take note of a change; what was there before comes first, as creations."""

    def act(self) -> None:
        """Do what there is to do; called after changes and after each period."""


class Follower:
    """Runs controllers; a service."""

    def __init__(self, cluster: Cluster, name: str, controllers: Sequence[Controller]) -> None:
        self._cluster = cluster
        self._name = name
        self._controllers = controllers
        self._interested: dict[str, list[Controller]] = {}
        for controller in controllers:
            for bucket in controller.buckets:
                self._interested.setdefault(bucket, []).append(controller)
        self._due = dict.fromkeys(controllers, 0.0)  # of the thread alone
        self._subscription: Subscription | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._subscription = self._cluster.storage.follow(self._interested, self._urgent)
        self._thread = spawn(self._run, self._subscription, name=self._name)

    def stop(self, deadline: Deadline) -> None:
        """End; what is being done is finished."""
        if self._subscription is not None and self._thread is not None:
            self._cluster.storage.unfollow(self._subscription)
            join_all([self._thread], deadline)
            self._subscription = self._thread = None

    def _urgent(self, change: Change) -> bool:
        return any(controller.urgent(change) for controller in self._interested[change.bucket])

    def _run(self, subscription: Subscription) -> None:
        clock = self._cluster.clock
        self._take_in(subscription, subscription.next(0), crowd=None)  # all that there is, before anyone acts
        while True:
            change = subscription.next(max(min(self._due.values()) - clock.monotonic(), 0.0))
            if subscription.closed:
                return
            touched = self._take_in(subscription, change)
            now = clock.monotonic()
            for controller, due in self._due.items():
                if controller in touched or now >= due:
                    self._due[controller] = now + controller.period
                    self._act(controller)

    def _take_in(
        self, subscription: Subscription, change: Change | None, crowd: int | None = CROWD
    ) -> set[Controller]:
        touched: set[Controller] = set()
        taken = 0
        while change is not None:
            for controller in self._interested[change.bucket]:
                controller.see(change)
                touched.add(controller)
            taken += 1
            change = subscription.next(0) if crowd is None or taken < crowd else None
        return touched

    def _act(self, controller: Controller) -> None:
        try:
            controller.act()
        except ApiError as error:
            # Somebody changed or removed an object under our hands; the next look sees it.
            logger.debug("%s: %s", self._name, error)
        except Exception:
            logger.exception("%s failed", type(controller).__name__)
