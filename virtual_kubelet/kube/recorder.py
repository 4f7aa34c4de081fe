"""Kubernetes events: what happened to a pod or node, for `kubectl describe` and `kubectl get events`.

Events are the least important thing that the agent writes. They have a limit of their own, which also holds when
the client has none, one thread, and a queue of bounded length: when it is full, news of success go first. What
was not written is counted (`virtual_kubelet_events_total`).
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from virtual_kubelet.errors import ApiAlreadyExists, ApiError, ApiForbidden, ApiNotFound
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import EVENTS
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.pure.event_series import EventSeries, Occurrence, Subject, Verdict
from virtual_kubelet.pure.token_bucket import TokenBucket
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.logs import redact_text
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline, StopSignal, Thread, join_all, spawn

__all__ = ["EventRecorder"]

logger = logging.getLogger(__name__)

NORMAL, WARNING = "Normal", "Warning"
MAX_MESSAGE = 1024  # characters, the API's limit for the newer form of events
MAX_NAME = 253
DEFAULT_QPS = 50.0
FLUSH = 2.0  # seconds that a stop waits for what is queued
TRIES = 12  # of one event, while the API server is away
RETRY = Backoff(initial=1.0, maximum=10.0, factor=2.0, jitter=0.2)
COMPLAIN_PERIOD = 600.0


class _Entry(NamedTuple):
    occurrence: Occurrence
    version: str  # the subject's resourceVersion
    at: float  # seconds since the epoch


class _Outbox:
    """Entries in order, at most `size`. When it is full, a Warning takes the place of the oldest Normal."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._order = 0
        self._normal: deque[tuple[int, _Entry]] = deque()
        self._warning: deque[tuple[int, _Entry]] = deque()

    def __len__(self) -> int:
        return len(self._normal) + len(self._warning)

    def put(self, entry: _Entry) -> bool:
        """Take an entry in; return False when one, this or another, was dropped for it."""
        full = len(self) >= self._size
        is_normal = entry.occurrence.type == NORMAL
        if full:
            if is_normal or not self._normal:
                return False
            self._normal.popleft()
        self._order += 1
        (self._normal if is_normal else self._warning).append((self._order, entry))
        return not full

    def take(self) -> _Entry:
        """Return the oldest entry."""
        if self._normal and (not self._warning or self._normal[0][0] < self._warning[0][0]):
            return self._normal.popleft()[1]
        return self._warning.popleft()[1]


class EventRecorder:
    """Writes core/v1 events in the background; a service.

    `component` and `host` (the node's name) say where they come from. Repeated events become one with a count,
    many similar ones are combined, and too many about one object are left out, as client-go does it. There is
    always a limit: a `qps` of 0 or less means the default.
    """

    def __init__(
        self,
        client: Client,
        *,
        component: str,
        host: str,
        qps: float = DEFAULT_QPS,
        burst: int = 100,
        queue_size: int = 1000,
        clock: Clock = SYSTEM,
        metrics: Metrics | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._component = component
        self._host = host
        self._clock = clock
        self._chance = chance
        self._condition = threading.Condition()
        self._outbox = _Outbox(queue_size)  # under the condition
        self._closing = False  # under the condition
        self._thread: Thread | None = None  # under the condition
        self._halt = StopSignal(clock)
        # Below: of the recorder's thread alone.
        self._bucket = TokenBucket(qps if qps > 0 else DEFAULT_QPS, max(1, burst))
        self._series = EventSeries()
        self._last_name = 0
        self._complained_at: float | None = None
        counter = (metrics or Metrics()).events
        self._count = {result: counter.labels(result) for result in ("sent", "dropped", "filtered", "failed")}

    def event(
        self, subject: Mapping[str, Any], event_type: str, reason: str, message: str, *, field_path: str = ""
    ) -> None:
        """Record that something happened to `subject` (a pod, a node, any object); never blocks.

        `event_type` is Normal or Warning (anything else counts as Warning), `reason` a short CamelCase word,
        `field_path` for example `spec.containers{web}`.
        """
        metadata = subject["metadata"]
        entry = _Entry(
            Occurrence(
                _subject(subject, field_path), NORMAL if event_type == NORMAL else WARNING, reason, message
            ),
            str(metadata.get("resourceVersion", "")),
            self._clock.now(),
        )
        with self._condition:
            kept = not self._closing and self._outbox.put(entry)
            self._condition.notify()
        if not kept:
            self._count["dropped"].inc()

    def start(self) -> None:
        """Start the thread."""
        with self._condition:
            if self._thread is None and not self._closing:
                self._thread = spawn(self._run, name="events")

    def stop(self, deadline: Deadline) -> None:
        """Write what is queued, for two seconds at most, and end."""
        with self._condition:
            self._closing = True
            self._condition.notify_all()
            thread = self._thread
        if thread is None or thread is threading.current_thread():
            return
        thread.join(min(FLUSH, deadline.remaining()))
        self._halt.set()
        join_all([thread], deadline)

    # -- the thread -----------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._wait_for_entry():
            # First the turn, then the entry: while we wait, the outbox may still choose what to drop.
            if self._halt.wait(self._bucket.reserve(self._clock.monotonic())):
                break
            with self._condition:
                entry = self._outbox.take()
            try:
                self._write(entry)
            except Exception:
                # One that is odd (text that is no Unicode) must not end all that come after it.
                logger.exception("an event could not be written")
                self._count["failed"].inc()
        with self._condition:
            self._count["dropped"].inc(len(self._outbox))

    def _wait_for_entry(self) -> bool:
        with self._condition:
            while not self._outbox and not self._closing:
                self._clock.wait(self._condition, None)
            return bool(len(self._outbox))

    def _write(self, entry: _Entry) -> None:
        verdict = self._series.observe(entry.occurrence, entry.at)
        if verdict is None:
            self._count["filtered"].inc()
            return
        name = self._new_name(entry.occurrence.subject.name)  # one for all tries
        for attempt in range(1, TRIES + 1):
            try:
                self._send(entry, verdict, name)
            except ApiError as error:
                if not error.retryable:
                    self._refused(error)
                    return
                pause = max(RETRY.delay(attempt, self._chance()), error.retry_after or 0.0)
                if self._is_closing() or self._halt.wait(pause):
                    self._count["failed"].inc()
                    return
            else:
                self._count["sent"].inc()
                return
        self._count["failed"].inc()

    def _send(self, entry: _Entry, verdict: Verdict, name: str) -> None:
        namespace = entry.occurrence.subject.namespace or "default"
        if verdict.name is not None:
            change = {
                "count": verdict.count,
                "lastTimestamp": times.rfc3339(verdict.last),
                "message": _message(verdict.message),
            }
            try:
                self._client.patch(EVENTS, verdict.name, change, namespace, limited=False)
            except ApiNotFound:  # events live for an hour: begin it anew
                self._series.lost(verdict.key)
            else:
                return
        body = self._body(entry, verdict, namespace, name)
        # It may be there already: our own, from a try whose answer was lost.
        with contextlib.suppress(ApiAlreadyExists):
            self._client.create(EVENTS, body, namespace, limited=False)
        self._series.written(verdict.key, name)

    def _body(self, entry: _Entry, verdict: Verdict, namespace: str, name: str) -> JsonObject:
        subject = entry.occurrence.subject
        involved = {
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
            "apiVersion": subject.api_version,
            "resourceVersion": entry.version,
            "fieldPath": subject.field_path,
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {key: value for key, value in involved.items() if value},
            "type": entry.occurrence.type,
            "reason": entry.occurrence.reason,
            "message": _message(verdict.message),
            "count": verdict.count,
            "firstTimestamp": times.rfc3339(verdict.first),
            "lastTimestamp": times.rfc3339(verdict.last),
            "source": {"component": self._component, "host": self._host},
            "reportingComponent": self._component,
            "reportingInstance": self._host,
        }

    def _new_name(self, subject: str) -> str:
        """Return client-go's form, `<name>.<hexadecimal nanoseconds>`, unlike any before it."""
        self._last_name = max(self._last_name + 1, int(self._clock.now() * 1e9))
        suffix = f".{self._last_name:x}"
        return subject[: MAX_NAME - len(suffix)].rstrip(".-") + suffix

    def _refused(self, error: ApiError) -> None:
        self._count["failed"].inc()
        if isinstance(error, ApiNotFound) or _is_ending_namespace(error):
            return  # the namespace goes away, and its events with it
        now = self._clock.monotonic()
        if self._complained_at is None or now - self._complained_at >= COMPLAIN_PERIOD:
            self._complained_at = now
            logger.warning("an event was refused by the API server: %s", error)

    def _is_closing(self) -> bool:
        with self._condition:
            return self._closing


def _subject(item: Mapping[str, Any], field_path: str) -> Subject:
    metadata = item["metadata"]
    # What an informer holds says its kind; what somebody made by hand may not.
    kind = item.get("kind") or ("Pod" if "containers" in item.get("spec", {}) else "Node")
    return Subject(
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata.get("uid", ""),
        api_version=item.get("apiVersion") or "v1",
        field_path=field_path,
    )


def _message(text: str) -> str:
    text = redact_text(text)
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "..."


def _is_ending_namespace(error: ApiError) -> bool:
    if not isinstance(error, ApiForbidden):
        return False
    causes = error.details.get("causes") or []
    return any(isinstance(c, dict) and c.get("reason") == "NamespaceTerminating" for c in causes)
