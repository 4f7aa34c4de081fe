"""The body of a watch: an iterator of event lines that any thread may close."""

from __future__ import annotations

from collections.abc import Iterator

from virtual_kubelet import codec
from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.views import View, bookmark, line
from virtual_kubelet.devapi.registry.kinds import Kind
from virtual_kubelet.devapi.storage.memory import HistoryExpired
from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.storage.subscription import Subscription
from virtual_kubelet.devapi.verbs.filters import Filter
from virtual_kubelet.devapi.verbs.options import Query, first
from virtual_kubelet.devapi.verbs.read import check_version

__all__ = ["WatchStream", "open_watch"]

BOOKMARK_PERIOD = 60.0
BATCH = 200  # events sent in one piece when many wait

TIMEOUT = 1800.0  # without timeoutSeconds; up to twice as long, so that watches do not end together


def open_watch(
    cluster: Cluster, kind: Kind, namespace: str, name: str, query: Query, view: View
) -> WatchStream:
    """Begin a watch as the query asks for.

    Raises:
        ApiError: 400 for selectors and versions that cannot be read, 422 for sendInitialEvents misused.
    """
    chosen = Filter(kind, first(query, "labelSelector"), first(query, "fieldSelector"), name=name)
    version = check_version(query)
    initial = first(query, "sendInitialEvents") in {"1", "true", "True"}
    match = first(query, "resourceVersionMatch")
    if initial != bool(match) or match not in {"", "NotOlderThan"}:
        complaint = failures.FieldError.forbidden(
            "resourceVersionMatch",
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan, and the other way round",
        )
        raise failures.invalid("ListOptions.meta.k8s.io", "", [complaint])
    seconds = first(query, "timeoutSeconds")
    timeout = (
        float(seconds) if seconds.isdigit() and int(seconds) else TIMEOUT * (1 + cluster.random.random())
    )
    stream = WatchStream(
        cluster, kind, chosen, view, bookmarks=first(query, "allowWatchBookmarks") in {"1", "true", "True"}
    )
    stream.open(namespace, None if initial or not version else version, timeout, initial=initial)
    return stream


class WatchStream:
    """Event lines, several joined when many wait; ends at its time, or when closed.

    One thread iterates, any may call `close`.
    """

    def __init__(self, cluster: Cluster, kind: Kind, chosen: Filter, view: View, *, bookmarks: bool) -> None:
        self._cluster = cluster
        self._kind = kind
        self._chosen = chosen
        self._view = view
        self._bookmarks = bookmarks
        self._subscription: Subscription | None = None
        self._pieces: Iterator[bytes] = iter(())

    def open(self, namespace: str, since: int | None, timeout: float, *, initial: bool) -> None:
        """Subscribe; what is there already is sent first when `since` is None."""
        storage = self._cluster.storage
        try:
            self._subscription, present, version = storage.subscribe(
                self._kind.stored, namespace, since, self._wants
            )
        except HistoryExpired as error:
            # Past authorization, refusals of a watch come as an event.
            self._pieces = iter([self._error(str(error))])
            return
        self._pieces = self._run(self._subscription, present, version, timeout, initial=initial)

    def __iter__(self) -> WatchStream:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """End the watch; from any thread, more than once."""
        if self._subscription is not None:
            self._cluster.storage.unsubscribe(self._kind.stored, self._subscription)

    # ------------------------------------------------------------------------------------------------------

    def _wants(self, change: Change) -> bool:
        if self._chosen.everything or self._chosen.matches(change.record.body):
            return True
        return change.previous is not None and self._chosen.matches(change.previous.body)

    def _run(
        self,
        subscription: Subscription,
        present: list[Record],
        version: int,
        timeout: float,
        *,
        initial: bool,
    ) -> Iterator[bytes]:
        clock = self._cluster.clock
        due = clock.monotonic() + BOOKMARK_PERIOD
        end = clock.monotonic() + timeout
        yield from self._present(present)
        if initial and self._bookmarks:
            yield bookmark(self._kind, version, initial_events_end=True)
        while not subscription.closed and (now := clock.monotonic()) < end:
            version = self._cluster.storage.version  # read before looking: what comes later is newer
            change = subscription.next((min(due, end) if self._bookmarks else end) - now)
            if change is not None:
                yield self._batch(subscription, change)
            elif self._bookmarks and not subscription.closed:
                # Either a minute is over, or the watch: a client that resumes from here misses nothing.
                yield bookmark(self._kind, version)
                due = clock.monotonic() + BOOKMARK_PERIOD
        if subscription.expired:
            yield self._error("The resourceVersion for the provided watch is too old.")

    def _present(self, present: list[Record]) -> Iterator[bytes]:
        chosen = [record for record in present if self._chosen.matches(record.body)]
        for index in range(0, len(chosen), BATCH):
            records = chosen[index : index + BATCH]
            yield b"".join(line("ADDED", self._view.one(record)) for record in records)

    def _batch(self, subscription: Subscription, change: Change) -> bytes:
        lines = [self._line(change)]
        while len(lines) < BATCH:
            more = subscription.next(0)
            if more is None:
                break
            lines.append(self._line(more))
        return b"".join(lines)

    def _line(self, change: Change) -> bytes:
        kind_of_event, record = self._event(change)
        return line(kind_of_event, self._view.one(record))

    def _event(self, change: Change) -> tuple[str, Record]:
        """Say what the change means to this watcher: selectors make objects come and go."""
        previous = change.previous
        now = not change.deleted and self._chosen.matches(change.record.body)
        before = previous is not None and self._chosen.matches(previous.body)
        if now:
            return ("MODIFIED" if before else "ADDED"), change.record
        if change.deleted:
            return "DELETED", change.record
        assert previous is not None
        # The state that the watcher knew, at the version of the change that took the object away.
        gone = previous.copy()
        gone["metadata"]["resourceVersion"] = str(change.version)
        return "DELETED", Record(previous.namespace, previous.name, gone, change.version)

    @staticmethod
    def _error(message: str) -> bytes:
        return line("ERROR", codec.dumps(failures.status_object(failures.expired(message))))
