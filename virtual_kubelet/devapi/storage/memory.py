"""The store: buckets of records under one lock and one resourceVersion, as etcd behind the real server.

Writers compute the new object outside the lock and commit with `swap`, which fails when somebody else was
first; under the lock there is only dictionary work and the hand-over to subscriptions.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable

from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.storage.subscription import Subscription
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["HistoryExpired", "MemoryStorage"]

LEAP = 1_000_000  # versions skipped by `load`: more than a process that was killed can have given out since it saved
HISTORY = 5_000  # changes kept for each bucket; a pod and its JSON are some 20 KB


class HistoryExpired(Exception):
    """The changes since that resourceVersion are no longer known."""

    def __init__(self, wanted: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {wanted} ({oldest})")


class _Bucket:
    """All objects of one kind, and their latest changes."""

    def __init__(self, name: str, history: int) -> None:
        self.name = name
        self.records: dict[tuple[str, str], Record] = {}
        self.history: deque[Change] = deque(maxlen=history)
        self.complete_since = 0  # every change after this version is in `history`
        self.subscriptions: list[Subscription] = []
        """Watches of clients, which can be cut off."""
        self.followers: list[Subscription] = []
        """The control plane's own."""

    def since(self, version: int) -> list[Change]:
        if version < self.complete_since:
            raise HistoryExpired(version, self.complete_since)
        changes = []
        for change in reversed(self.history):
            if change.version <= version:
                break
            changes.append(change)
        return changes[::-1]

    def remember(self, change: Change) -> None:
        if len(self.history) == self.history.maxlen:
            self.complete_since = self.history[0].version
        self.history.append(change)
        for subscription in self.subscriptions:
            subscription.push(change)
        for follower in self.followers:
            follower.push(change)


class MemoryStorage:
    """Objects by bucket (`pods`, `leases.coordination.k8s.io`), namespace and name; safe for threads."""

    def __init__(self, *, clock: Clock = SYSTEM, history: int = HISTORY) -> None:
        self._lock = threading.Lock()  # guards everything below
        self._clock = clock
        self._history = history
        self._version = 1
        self._oldest = 0  # where the histories of new buckets begin
        self._buckets: dict[str, _Bucket] = {}

    @property
    def version(self) -> int:
        """The newest resourceVersion."""
        with self._lock:
            return self._version

    def _bucket(self, name: str) -> _Bucket:
        assert self._lock.locked()
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = _Bucket(name, self._history)
            bucket.complete_since = self._oldest
        return bucket

    def get(self, bucket: str, namespace: str, name: str) -> Record | None:
        """Return a record or None."""
        with self._lock:
            return self._bucket(bucket).records.get((namespace, name))

    def records(self, bucket: str, namespace: str = "") -> tuple[list[Record], int]:
        """Return the records of a namespace ("": all), sorted by namespace and name, and the version they show."""
        with self._lock:
            records = list(self._bucket(bucket).records.values())
            version = self._version
        if namespace:
            records = [record for record in records if record.namespace == namespace]
        records.sort(key=lambda record: (record.namespace, record.name))
        return records, version

    def records_at(self, bucket: str, namespace: str, version: int) -> list[Record]:
        """Return the records as they were at `version`, by taking later changes back.

        Raises:
            HistoryExpired: changes after `version` have been forgotten.
        """
        with self._lock:
            held = self._bucket(bucket)
            later = held.since(version)
            records = dict(held.records)
        for change in reversed(later):
            key = change.record.namespace, change.record.name
            if change.previous is None:
                del records[key]
            else:
                records[key] = change.previous
        return sorted(
            (r for r in records.values() if not namespace or r.namespace == namespace),
            key=lambda record: (record.namespace, record.name),
        )

    def create(self, bucket: str, namespace: str, name: str, body: JsonObject) -> Record | None:
        """Add an object; None when there is one of that name. `body` belongs to the storage from now on."""
        with self._lock:
            held = self._bucket(bucket)
            if (namespace, name) in held.records:
                return None
            return self._commit(held, Record(namespace, name, body, self._next(body)), None)

    def swap(self, bucket: str, old: Record, body: JsonObject) -> Record | None:
        """Replace `old`; None when it is no longer the newest. `body` belongs to the storage from now on."""
        with self._lock:
            held = self._bucket(bucket)
            if held.records.get((old.namespace, old.name)) is not old:
                return None
            return self._commit(held, Record(old.namespace, old.name, body, self._next(body)), old)

    def remove(self, bucket: str, old: Record, body: JsonObject) -> Record | None:
        """Take `old` out, with `body` as its last state; None when it is no longer the newest."""
        with self._lock:
            held = self._bucket(bucket)
            if held.records.get((old.namespace, old.name)) is not old:
                return None
            last = Record(old.namespace, old.name, body, self._next(body))
            del held.records[old.namespace, old.name]
            held.remember(Change(held.name, last, old, deleted=True))
            return last

    def _next(self, body: JsonObject) -> int:
        assert self._lock.locked()
        self._version += 1
        body["metadata"]["resourceVersion"] = str(self._version)
        return self._version

    @staticmethod
    def _commit(bucket: _Bucket, record: Record, previous: Record | None) -> Record:
        bucket.records[record.namespace, record.name] = record
        bucket.remember(Change(bucket.name, record, previous))
        return record

    def subscribe(
        self, bucket: str, namespace: str, since: int | None, wanted: Callable[[Change], bool]
    ) -> tuple[Subscription, list[Record], int]:
        """Follow changes after `since`; None: from now on, with the present records handed out too.

        Returns the subscription, those records, and the version that they show.

        Raises:
            HistoryExpired: changes after `since` have been forgotten.
        """
        subscription = Subscription(namespace, wanted, self._clock)
        with self._lock:
            held = self._bucket(bucket)
            present: list[Record] = []
            if since is None:
                present = [r for r in held.records.values() if not namespace or r.namespace == namespace]
            else:
                for change in held.since(since):
                    subscription.push(change)
            held.subscriptions.append(subscription)
            version = self._version
        present.sort(key=lambda record: (record.namespace, record.name))
        return subscription, present, version

    def follow(self, buckets: Iterable[str], urgent: Callable[[Change], bool]) -> Subscription:
        """Follow several buckets at once: what is there, as creations, then every change.

        Only an `urgent` change wakes the reader; others wait until it looks.
        """
        subscription = Subscription("", lambda _: True, self._clock, backlog=None, urgent=urgent)
        with self._lock:
            for name in buckets:
                held = self._bucket(name)
                for record in held.records.values():
                    subscription.push(Change(name, record, None))
                held.followers.append(subscription)
        return subscription

    def unsubscribe(self, bucket: str, subscription: Subscription) -> None:
        """End a subscription; harmless when it has ended."""
        subscription.close()
        with self._lock:
            subscriptions = self._bucket(bucket).subscriptions
            if subscription in subscriptions:
                subscriptions.remove(subscription)

    def unfollow(self, subscription: Subscription) -> None:
        """End what `follow` began."""
        subscription.close()
        with self._lock:
            for bucket in self._buckets.values():
                if subscription in bucket.followers:
                    bucket.followers.remove(subscription)

    def close_subscriptions(self, bucket: str = "", *, expired: bool = False) -> int:
        """Cut off every watcher of `bucket` ("": of all), with or without a 410; returns how many there were."""
        with self._lock:
            names = [bucket] if bucket else list(self._buckets)
            subscriptions = [s for name in names for s in self._bucket(name).subscriptions]
        for subscription in subscriptions:
            subscription.close(expired=expired)
        return len(subscriptions)

    def expire_history(self, bucket: str = "") -> None:
        """Forget all changes, as compaction does: watches cannot resume from before."""
        with self._lock:
            # The version moves on, so that even a list taken just now is older than the history.
            self._version += 1
            for name in [bucket] if bucket else list(self._buckets):
                held = self._bucket(name)
                held.history.clear()
                held.complete_since = self._version

    def dump(self) -> dict[str, list[JsonObject]]:
        """Return every object by bucket, for a snapshot; the bodies are read-only."""
        with self._lock:
            return {name: [r.body for r in bucket.records.values()] for name, bucket in self._buckets.items()}

    def load(self, version: int, objects: dict[str, list[JsonObject]]) -> None:
        """Take over a snapshot into an empty storage; watches from before it get 410."""
        with self._lock:
            self._version = self._oldest = max(self._version, version) + LEAP
            for bucket in self._buckets.values():
                bucket.complete_since = self._oldest
            for name, bodies in objects.items():
                held = self._bucket(name)
                for body in bodies:
                    metadata = body["metadata"]
                    namespace = metadata.get("namespace", "")
                    record = Record(namespace, metadata["name"], body, int(metadata["resourceVersion"]))
                    held.records[namespace, metadata["name"]] = record
