"""Our container groups as last seen: a table under one lock, no I/O.

Words about a group come from lists, single reads, and answers to our own writes, and overlap in time. Each word
has the moment at which its question *began*; one that began before our own last write to that group says
nothing about it. ARM's lists can lag behind single reads, both ways: a group that a list leaves out is
looked for by a read before it counts as gone, and one that comes back after it was gone is looked at before it
counts as there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Mapping

from cachetools import TTLCache

from virtual_kubelet.objects import JsonObject, Pod, PodStatus
from virtual_kubelet.providers.azure import group_events
from virtual_kubelet.providers.azure import status as statuses
from virtual_kubelet.providers.azure.entry import Entry, is_there
from virtual_kubelet.providers.azure.group_events import GroupEvent
from virtual_kubelet.providers.azure.ownership import Identity, Owner
from virtual_kubelet.providers.azure.schedule import LONGEST_INTERVAL, Reading, reading
from virtual_kubelet.pure.pod_phase import has_started, is_terminal
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Inventory"]

VISIBLE_WITHIN = 120.0  # seconds in which a group that ARM has taken must turn up
REMEMBERED = 3600.0  # seconds for which we remember that a group was gone, or how its creation failed


class Inventory:
    """This node's container groups, by name and by the pod's UID."""

    def __init__(self, owner: Callable[[], Owner], *, clock: Clock = SYSTEM) -> None:
        self._owner = owner
        self._clock = clock
        self._lock = threading.Lock()
        # Under the lock:
        self._entries: dict[str, Entry] = {}  # by group name, lower case: ARM's names have no case
        self._names: dict[str, str] = {}  # by UID
        self._of_key: dict[tuple[str, str], list[Entry]] = {}  # by namespace and name
        self._gone: TTLCache[str, float] = TTLCache(100_000, REMEMBERED, timer=clock.monotonic)
        self._failures: TTLCache[str, str] = TTLCache(10_000, REMEMBERED, timer=clock.monotonic)
        self._tried: TTLCache[str, bool] = TTLCache(100_000, REMEMBERED, timer=clock.monotonic)
        self._listed = False

    # --- what is known

    @property
    def listed(self) -> bool:
        """Whether there has been a whole list: until then, an unknown group may exist."""
        with self._lock:
            return self._listed

    def by_uid(self, uid: str) -> Entry | None:
        """Return the group of a pod."""
        with self._lock:
            name = self._names.get(uid)
            return self._entries.get(name) if name else None

    def by_name(self, name: str) -> Entry | None:
        """Return a group by its own name."""
        with self._lock:
            return self._entries.get(name.lower())

    def of_key(self, namespace: str, name: str) -> list[Entry]:
        """Return the groups of the pods of one name, those that are being removed last."""
        with self._lock:
            found = list(self._of_key.get((namespace, name), ()))
        return sorted(found, key=lambda entry: entry.removing)

    def __len__(self) -> int:
        """Return how many groups there are."""
        with self._lock:
            return len(self._entries)

    def all(self) -> list[Entry]:
        """Return all groups."""
        with self._lock:
            return list(self._entries.values())

    def removals(self) -> int:
        """Return how many groups are being removed."""
        with self._lock:
            return sum(entry.removing for entry in self._entries.values())

    def pods(self, namespace: str, wanted: Container[str]) -> list[Pod]:
        """Return the pods that exist in Azure, of `namespace` or ("") of all.

        Args:
            namespace: the agent's.
            wanted: the UIDs of the pods bound to this node. A group of one of them that waits for room is left
                out: it is to be made again.
        """
        with self._lock:
            return [
                entry.pod()
                for entry in self._entries.values()
                if namespace in {"", entry.identity.namespace} and is_there(entry, wanted)
            ]

    # --- what is read

    def take_list(self, groups: Iterable[JsonObject], began: float, held: Mapping[str, PodStatus]) -> None:
        """Take in a whole list that began at `began`; `held`: what the API server holds of our pods, by UID."""
        owner = self._owner()
        with self._lock:
            named = set()
            for group in groups:
                name = str(group.get("name") or "").lower()
                identity = owner.identify(group, held)
                if not name or identity is None:
                    continue
                named.add(name)
                self._take_listed(name, identity, group, began, held.get(identity.uid))
            for name, entry in list(self._entries.items()):
                if name not in named:
                    self._take_unlisted(name, entry, began)
            self._listed = True

    def take_group(self, name: str, group: JsonObject, began: float) -> Entry | None:
        """Take in a single read; return the entry, or None where the group is not ours."""
        owner = self._owner()
        with self._lock:
            entry = self._entries.get(name.lower())
            if entry is None:
                identity = owner.identify(group, self._names)
                gone = self._gone.get(name.lower())
                if identity is None or (gone is not None and gone >= began):
                    return None
                entry = self._add(name.lower(), identity, began)
            entry.seen = True
            entry.unlisted = entry.doubtful = False
            entry.read_began = began
            entry.blind_reads = 0 if statuses.has_instance_view(group) else entry.blind_reads + 1
            if entry.written_at <= began and entry.began <= began:
                self._update(entry, group, began)
            return entry

    def take_absence(self, name: str, began: float) -> bool:
        """Take in that a read found no such group; return whether it counts as gone now.

        One read is no proof for a group that nobody asked to remove: a list has to agree.
        """
        with self._lock:
            entry = self._entries.get(name.lower())
            if entry is None:
                return True
            if entry.written_at > began:
                return False
            unseen = not entry.seen and self._clock.monotonic() - entry.written_at < VISIBLE_WITHIN
            if not entry.removing and not entry.doubtful and (unseen or not entry.unlisted):
                return False
            self._drop(name.lower(), entry)
            return True

    def readings(self, longest: float = LONGEST_INTERVAL) -> list[Reading]:
        """Return the single reads that are worth making now, the most worth first; `longest`: see `schedule`."""
        now = self._clock.monotonic()
        with self._lock:
            found = [
                due
                for entry in self._entries.values()
                if (due := reading(entry, now, len(self._entries), longest))
            ]
        return sorted(found, key=lambda due: (not due.urgent, -due.weight))

    def unexplained(self) -> list[Entry]:
        """Return the groups that failed without our knowing why; until then their pods count as pending."""
        with self._lock:
            return [entry for entry in self._entries.values() if entry.unexplained_at >= 0]

    def explain(self, name: str, since: float, failure: str) -> None:
        """Take in how the write to a group failed of which that is known since `since`, its `unexplained_at`.

        `failure` is "" where ARM does not say that it did.
        """
        with self._lock:
            entry = self._entries.get(name)
            if entry is None or since < 0 or entry.unexplained_at != since:
                return  # it has been written again since then
            entry.operation, entry.operation_lost = "", False
            entry.unexplained_at = -1.0
            entry.failure = failure
            self._update(entry, entry.body, entry.began)
            if entry.waits_for_room:
                self._failures[entry.identity.uid] = failure

    def remember_failure(self, uid: str, failure: str) -> None:
        """Keep how the creation of a pod failed, for whoever tries it again."""
        if failure:
            with self._lock:
                self._failures[uid] = failure

    def take_failure(self, uid: str) -> str:
        """Return, once, how an earlier creation of a pod failed; "" where none did."""
        with self._lock:
            return self._failures.pop(uid, "")

    def news(self, entry: Entry, events: list[GroupEvent]) -> list[GroupEvent]:
        """Return those events of a group that were not told before.

        What a group of an earlier process brings along was told by that process.
        """
        with self._lock:
            first, entry.told_before = not entry.told_before, True
            news = group_events.fresh(events, entry.told)
        return [] if first and entry.written_at < 0 else news

    # --- what we write

    def trying(self, uid: str) -> bool:
        """Take note that a pod's group is about to be made; return whether that was tried before."""
        with self._lock:
            before: bool = self._tried.get(uid, False)
            self._tried[uid] = True
            return before

    def wrote(
        self,
        name: str,
        identity: Identity,
        group: JsonObject,
        operation: str,
        *,
        anew: bool,
        lost: bool = False,
    ) -> Entry:
        """Take in that ARM has taken our PUT, as `client.Written` tells; `anew`: nothing of it ran before."""
        now = self._clock.monotonic()
        with self._lock:
            key = name.lower()
            self._gone.pop(key, None)
            entry = self._entries.get(key) or self._add(key, identity, now)
            entry.written_at = now
            entry.operation, entry.operation_lost = operation, lost
            entry.failure, entry.unexplained_at = "", -1.0
            entry.doubtful = entry.unlisted = False
            if anew:
                entry.detail, entry.status = None, {"phase": "Pending"}
            self._update(entry, group or entry.body, now)
            return entry

    def overdue(self, name: str, reason: str, message: str) -> None:
        """Take note that a pod's time is over: however its group ends, the pod has failed."""
        with self._lock:
            if entry := self._entries.get(name.lower()):
                entry.overdue = (reason, message)
                self._update(entry, entry.body, entry.began)

    def stopped(self, name: str) -> None:
        """Take note that ARM has taken our word to stop a group that is overdue."""
        with self._lock:
            if entry := self._entries.get(name.lower()):
                entry.stopped = True
                self._update(entry, entry.body, entry.began)

    def removing(self, name: str) -> None:
        """Take note that a group is to be removed."""
        with self._lock:
            if entry := self._entries.get(name.lower()):
                entry.removing = True

    def removal_taken(self, name: str) -> None:
        """Take note that ARM has taken our DELETE."""
        with self._lock:
            if entry := self._entries.get(name.lower()):
                entry.removing = True
                entry.removal_taken_at = self._clock.monotonic()

    def removed(self, name: str) -> None:
        """Take note that a group is not there any more."""
        with self._lock:
            if entry := self._entries.get(name.lower()):
                self._drop(name.lower(), entry)

    # --- inside, under the lock

    def _take_listed(
        self, name: str, identity: Identity, group: JsonObject, began: float, held: PodStatus | None
    ) -> None:
        entry = self._entries.get(name)
        if entry is None:
            gone = self._gone.get(name)
            if gone is not None and gone >= began:
                return  # the list is older than its end
            entry = self._add(name, identity, began, held)
            entry.doubtful = gone is not None
        elif entry.identity.uid != identity.uid:
            return  # ours by name and not by tags: whoever changed them has taken it over
        entry.seen = True
        entry.unlisted = False
        if entry.written_at > began or entry.began > began:
            return
        news = group != entry.listed
        entry.listed = group
        if news or statuses.provisioning_state(group) != statuses.provisioning_state(entry.body):
            entry.told_by_list = statuses.has_instance_view(group)
            self._update(entry, group, began)

    def _take_unlisted(self, name: str, entry: Entry, began: float) -> None:
        if entry.written_at > began or entry.began > began:
            return
        if 0 <= entry.removal_taken_at < began:
            self._drop(name, entry)
        else:
            entry.unlisted = True

    def _add(self, name: str, identity: Identity, began: float, held: PodStatus | None = None) -> Entry:
        # What the API server holds is what we last knew, before a restart.
        known: PodStatus = held if held and held.get("phase") else {"phase": "Pending"}
        entry = Entry(name, identity, {}, began, known, changed_at=self._clock.monotonic())
        self._entries[name] = entry
        self._names[identity.uid] = name
        self._of_key.setdefault(identity.key, []).append(entry)
        return entry

    def _drop(self, name: str, entry: Entry) -> None:
        self._gone[name] = self._clock.monotonic()
        del self._entries[name]
        same = self._of_key[entry.identity.key]
        same.remove(entry)
        if not same:
            del self._of_key[entry.identity.key]
        if self._names.get(entry.identity.uid) == name:
            del self._names[entry.identity.uid]

    def _update(self, entry: Entry, group: JsonObject, began: float) -> None:
        entry.body, entry.began = group, began
        entry.spec = statuses.pod_spec(group)
        if statuses.has_instance_view(group):
            entry.detail, entry.detail_began = group, began
        if statuses.provisioning_state(group) == "succeeded":
            entry.operation, entry.operation_lost = "", False
        if entry.detail is None and statuses.provisioning_state(group) in {"succeeded", "deleting"}:
            return  # it has come up, and nobody has looked inside: what was known stays
        fresh = statuses.pod_status(group, entry.detail, entry.failure)
        if fresh["phase"] == "Failed" and self._is_unexplained(entry, fresh):
            return
        if entry.overdue and (entry.stopped or is_terminal(fresh)):
            fresh["phase"] = "Failed"
            fresh["reason"], fresh["message"] = entry.overdue
        if fresh != entry.status:
            entry.status = fresh
            entry.changed_at = self._clock.monotonic()

    def _is_unexplained(self, entry: Entry, fresh: PodStatus) -> bool:
        """Tell whether a failure must not be told yet: Failed is final, and it may be that there was no room."""
        if not (entry.operation or entry.operation_lost) or has_started({**fresh, "phase": ""}):
            return False
        if entry.unexplained_at < 0:
            entry.unexplained_at = self._clock.monotonic()
        return True
