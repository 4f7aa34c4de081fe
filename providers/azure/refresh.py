"""Keeps the inventory true at the least cost: whole lists, and single reads of what a list cannot tell.

A list answers for all groups at once but has no instance views. So a refresh lists, then reads those groups
that came up, changed or vanished, then those that run, the stalest first, as far as the budget of reads goes.
Groups that have ended are not read again.
"""

from __future__ import annotations

import logging
import threading
from collections import deque

from virtual_kubelet.errors import ProviderError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.providers.azure import group_events
from virtual_kubelet.providers.azure import status as statuses
from virtual_kubelet.providers.azure.budget import ReadBudget
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.entry import Entry
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.schedule import Reading, longest_interval
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.pure.pod_phase import has_started
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal, join_all, spawn

__all__ = ["Refresh"]

logger = logging.getLogger(__name__)

READERS = 8  # threads that read groups at once
READ_FOR = 8.0  # seconds of single reads in one refresh; the rest is for the next
LIST_SHARE = 3.0  # lists may take a third of the budget
REMOVAL_LOOK = 2.0  # seconds for which a list is good enough for questions about removals
# Where no event tells it either. Made once more, for the next answer will tell whether the cause may pass.
LOST = "ServerTimeout: Azure's answer to the creation was lost, and with it why it failed"
EXPLAINED_WITHIN = 120.0  # seconds for which Azure is asked why a group failed
FEW = 5  # removals at once that are looked at one by one
MANY = 50  # groups from which on questions about one pod may be answered from what was read just now
FRESH = 1.0  # seconds for which a single answer is good enough for a question about one pod


class Refresh:
    """Reads container groups into the inventory. One refresh at a time; single reads at any."""

    def __init__(
        self,
        client: Client,
        inventory: Inventory,
        surroundings: Surroundings,
        budget: ReadBudget,
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._client = client
        self._inventory = inventory
        self._surroundings = surroundings
        self._budget = budget
        self._clock = clock
        self._stop = StopSignal(clock)
        # One list and one round of reads at a time. Held through I/O; a list never waits for reads.
        self._list_turn = threading.Lock()
        self._read_turn = threading.Lock()
        self._listed_at: float | None = None  # when the last whole list began, under _list_turn
        self._pages = 1  # what it cost, under _list_turn

    def close(self) -> None:
        """End what is under way soon."""
        self._stop.set()

    def run(self) -> None:
        """List, as far as the budget allows, and read what needs reading.

        Raises:
            ProviderError: the list failed: nothing is known to be gone, or to be new.
        """
        self.list_once(0.0)
        with self._read_turn:
            singles = self._budget.per_second * (1 - 1 / LIST_SHARE)
            self._read(self._inventory.readings(longest_interval(len(self._inventory), singles)))
            self._explain(self._inventory.unexplained())

    def list_once(self, max_age: float) -> None:
        """List unless a whole list is younger than `max_age` seconds, or the budget forbids."""
        with self._list_turn:
            self._list(max_age)

    def read_one(self, entry: Entry) -> None:
        """Read one group now, unless the budget forbids: then what was read lately is good enough."""
        scarce = not self._budget.plenty or len(self._inventory) > MANY
        latest = max(entry.detail_began, entry.written_at)
        if scarce and self._clock.monotonic() - latest < FRESH:
            return
        if not self._budget.take(urgent=True):
            return
        if not self._read_group(entry.name):
            self._explain([entry] if entry.unexplained_at >= 0 else [])
            return
        self.list_once(0.0)  # one read is no proof that it is gone: the list has to agree
        if (current := self._inventory.by_name(entry.name)) and current.unlisted:
            self._budget.spend()
            self._read_group(entry.name)

    def check_removal(self, entry: Entry) -> None:
        """See whether a group that is being removed is gone: one by reads, many by a list that they share."""
        if self._budget.plenty and self._inventory.removals() <= FEW:
            self._budget.spend()
            self._read_group(entry.name)
        else:
            self.list_once(REMOVAL_LOOK)

    # --- inside

    def _list(self, max_age: float) -> None:
        now = self._clock.monotonic()
        if self._listed_at is not None:
            age = now - self._listed_at
            # A list of p pages every p/(rate/3) seconds takes a third of the budget.
            interval = 0.0 if self._budget.plenty else self._pages * LIST_SHARE / self._budget.per_second
            if age < max(max_age, interval):
                return
        pages = 0

        def count() -> None:
            nonlocal pages
            pages += 1
            self._budget.spend()

        held = self._surroundings.held()
        groups = self._client.list_all(take=count)
        self._inventory.take_list(groups, now, held)
        self._listed_at, self._pages = now, pages

    def _read(self, readings: list[Reading]) -> None:
        """Read groups by a few threads until they are read, the budget is spent or the time is over."""
        queue: deque[Reading] = deque()
        for reading in readings:
            if not self._budget.take(urgent=reading.urgent):
                break
            queue.append(reading)
        deadline = Deadline(READ_FOR, self._clock)

        def work() -> None:
            while not deadline.expired and not self._stop.is_set():
                try:
                    reading = queue.popleft()
                except IndexError:
                    return
                self._read_quietly(reading.name)

        if len(queue) == 1:
            work()
            return
        # Daemons, for an HTTP request that is under way cannot be interrupted.
        threads = [
            spawn(work, name=f"azure-read-{number}", daemon=True)
            for number in range(min(READERS, len(queue)))
        ]
        join_all(threads, Deadline(READ_FOR * 10, self._clock))

    def _read_quietly(self, name: str) -> None:
        try:
            self._read_group(name)
        except ProviderError as error:
            logger.debug("container group %s cannot be read: %s", name, error)

    def _read_group(self, name: str) -> bool:
        """Read one group; return True when there is none although the inventory keeps it."""
        began = self._clock.monotonic()
        group = self._client.get(name, counted=True)
        if group is None:
            return self._absent(name, began)
        entry = self._inventory.take_group(name, group, began)
        if entry is not None:
            self._tell(entry, group)
        return False

    def _absent(self, name: str, began: float) -> bool:
        entry = self._inventory.by_name(name)
        if not self._inventory.take_absence(name, began):
            return True
        if entry is not None and entry.operation and not has_started(entry.status):
            # ARM took it and made nothing of it: its own words, for whoever tries again.
            self._inventory.remember_failure(entry.identity.uid, self._client.outcome(entry.operation))
        return False

    def _explain(self, entries: list[Entry]) -> None:
        """Ask how operations ended; what cannot be found out in a while is left unexplained for good."""
        for entry in entries:
            since = entry.unexplained_at
            try:
                failure = self._client.outcome(entry.operation) if entry.operation else _seen(entry) or LOST
            except ProviderError as error:
                logger.debug("why container group %s failed cannot be read yet: %s", entry.name, error)
                if self._clock.monotonic() - since < EXPLAINED_WITHIN:
                    continue
                failure = ""
            self._inventory.explain(entry.name, since, failure)

    def _tell(self, entry: Entry, group: JsonObject) -> None:
        """Pass on what Azure tells about the group, once."""
        for event in self._inventory.news(entry, group_events.read(group)):
            self._surroundings.event(entry.identity, event.type, event.reason, event.message)


def _seen(entry: Entry) -> str:
    """Return why a group failed as its events tell it, or ""."""
    return ": ".join(word for word in statuses.last_warning(entry.detail or entry.body) if word)
