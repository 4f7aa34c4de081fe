"""The form of every controller here: a thread that follows some buckets and looks up now and then."""

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

    def see(self, change: Change) -> None:
        """Take note of a change; what was there before comes first, as creations."""

    def act(self) -> None:
        """Do what there is to do; called after changes and after each period."""


class Follower:
    """Runs a controller; a service."""

    def __init__(self, cluster: Cluster, controller: Controller, name: str) -> None:
        self._cluster = cluster
        self._controller = controller
        self._name = name
        self._subscription: Subscription | None = None
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin to follow."""
        self._subscription = self._cluster.storage.follow(self._controller.buckets)
        self._thread = spawn(self._run, self._subscription, name=self._name)

    def stop(self, deadline: Deadline) -> None:
        """End; what is being done is finished."""
        if self._subscription is not None and self._thread is not None:
            self._cluster.storage.unfollow(self._subscription)
            join_all([self._thread], deadline)
            self._subscription = self._thread = None

    def _run(self, subscription: Subscription) -> None:
        while True:
            change = subscription.next(self._controller.period)
            if subscription.closed:
                return
            for _ in range(CROWD):
                if change is None:
                    break
                self._controller.see(change)
                change = subscription.next(0)
            if change is not None:
                self._controller.see(change)
            self._act()

    def _act(self) -> None:
        try:
            self._controller.act()
        except ApiError as error:
            # Somebody changed or removed an object under our hands; the next look sees it.
            logger.debug("%s: %s", self._name, error)
        except Exception:
            logger.exception("%s failed", self._name)
