"""List and watch one resource, for ever: the loop that keeps a store true.

The decisions are `pure.list_watch`'s; this asks the server, feeds what it says into a sink, and says in the log
what goes wrong, once every ten seconds at most.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Protocol

from virtual_kubelet.errors import ApiError, ApiExpired
from virtual_kubelet.kube.client import Client, Query
from virtual_kubelet.kube.failures import NO_ANSWER, NONSENSE, from_status
from virtual_kubelet.kube.resources import Resource
from virtual_kubelet.kube.watch import Watch
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.list_watch import ListWatch, Outcome, Request
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import StopSignal
from virtual_kubelet.runtime.trouble import Trouble

__all__ = ["Reflector", "Sink"]

logger = logging.getLogger(__name__)

LIST_TIMEOUT = 60.0
WATCH_MIN, WATCH_MAX = 300.0, 600.0  # seconds; spread, so that not all watches end together
# The server sends bookmarks once a minute to those who ask. Before the first has been seen, silence is normal
# until the watch's own end.
SILENCE = 180.0
MARGIN = 15.0


class Sink(Protocol):
    """What takes in the stream. Called by the reflector's thread only."""

    def begin_list(self) -> None:
        """A list is about to be asked for."""

    def arrived(self, item: JsonObject) -> JsonObject:
        """Trim an object of a list, before the next page comes."""

    def listed(self, items: list[JsonObject], version: str) -> None:
        """These are all the objects there are at `version`."""

    def changed(self, kind: str, item: JsonObject) -> None:
        """`kind` is ADDED, MODIFIED or DELETED."""

    def failed(self, error: ApiError | None) -> None:
        """The last request failed, or (None) one worked again."""


class Reflector:
    """Lists and watches `resource` into `sink` until `stop` is set."""

    def __init__(
        self,
        client: Client,
        resource: Resource,
        sink: Sink,
        stop: StopSignal,
        *,
        namespace: str = "",
        field_selector: str = "",
        label_selector: str = "",
        name: str = "",
        clock: Clock = SYSTEM,
        metrics: Metrics | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._resource = resource
        self._sink = sink
        self._stop = stop
        self._namespace = namespace or None
        self._selectors: Query = {}
        if field_selector:
            self._selectors["fieldSelector"] = field_selector
        if label_selector:
            self._selectors["labelSelector"] = label_selector
        self._name = name or resource.plural
        self._clock = clock
        self._chance = chance
        self._state = ListWatch()
        self._bookmarks = False  # whether this server sends them
        self._trouble = Trouble(self._name, logger, clock)
        metrics = metrics or Metrics()
        self._lists = metrics.informer_lists.labels(self._name)
        self._watches = metrics.informer_watches.labels(self._name)
        self._failures = metrics.informer_failures.labels(self._name)
        self._events = {
            kind: metrics.informer_events.labels(self._name, kind)
            for kind in ("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR", "OTHER")
        }

    def run(self) -> None:
        """Run until `stop` is set."""
        while not self._stop.is_set():
            request = self._state.next()
            error = self._attempt(request)
            pause = self._state.pause(self._chance())
            if error is not None and error.retry_after:
                pause = max(pause, error.retry_after)
            if pause and self._stop.wait(pause):
                return

    def _attempt(self, request: Request) -> ApiError | None:
        """List or watch once; the loop outlives whatever that comes upon."""
        try:
            return self._watch(request) if request.watch else self._list(request)
        except Exception:
            logger.exception("%s: what came could not be taken in; listing again", self._name)
            self._failures.inc()
            if request.watch:
                self._state.watch_ended(Outcome.NONSENSE, 0.0)
            else:
                self._state.list_ended(Outcome.NONSENSE)
            return None

    # -- list -----------------------------------------------------------------------------------------

    def _list(self, request: Request) -> ApiError | None:
        self._lists.inc()
        self._sink.begin_list()
        try:
            items, version = self._pages(request)
        except ApiError as error:
            self._state.list_ended(_outcome(error))
            self._complain(error)
            return error
        self._sink.listed(items, version)
        self._state.list_ended(Outcome.DONE)
        self._state.saw(version)
        self._recovered()
        return None

    def _pages(self, request: Request) -> tuple[list[JsonObject], str]:
        query = dict(self._selectors)
        if request.version:
            query["resourceVersion"] = request.version
        if request.limit:
            query["limit"] = str(request.limit)
        items: list[JsonObject] = []
        while True:
            page = self._client.list(
                self._resource, self._namespace, query=query, timeout=LIST_TIMEOUT, cancel=self._stop
            )
            metadata = page.get("metadata")
            version = metadata.get("resourceVersion") if isinstance(metadata, dict) else None
            if not isinstance(metadata, dict) or not isinstance(version, str):
                raise _nonsense(f"the list of {self._name} has no resourceVersion")
            items += self._items(page)
            if not metadata.get("continue"):
                return items, version
            query = {**self._selectors, "continue": str(metadata["continue"])}
            if request.limit:
                query["limit"] = str(request.limit)

    def _items(self, page: JsonObject) -> list[JsonObject]:
        items = []
        for item in page.get("items") or []:
            if not _is_object(item):
                logger.warning("%s: an item of the list has no name and is ignored", self._name)
                continue
            # Items of a list come without these two; everything later may want to know what it has.
            item.setdefault("apiVersion", self._resource.api_version)
            item.setdefault("kind", self._resource.kind)
            trimmed = self._trimmed(item)
            if trimmed is not None:
                items.append(trimmed)
        return items

    # -- watch ----------------------------------------------------------------------------------------

    def _watch(self, request: Request) -> ApiError | None:
        self._watches.inc()
        began = self._clock.monotonic()
        error: ApiError | None = None
        try:
            with_timeout = WATCH_MIN + (WATCH_MAX - WATCH_MIN) * self._chance()
            watch = self._open(request.version, with_timeout)
            self._stop.on_set(watch.close)
            try:
                self._recovered()
                self._follow(watch)
            finally:
                self._stop.forget(watch.close)
                watch.close()
        except ApiError as caught:
            error = caught
            self._complain(error)
        outcome = Outcome.DONE if error is None else _outcome(error)
        self._state.watch_ended(outcome, self._clock.monotonic() - began)
        return error

    def _open(self, version: str, timeout: float) -> Watch:
        return self._client.watch(
            self._resource,
            self._namespace,
            query={
                **self._selectors,
                "resourceVersion": version,
                "allowWatchBookmarks": "true",
                "timeoutSeconds": str(int(timeout)),
            },
            read_timeout=SILENCE if self._bookmarks else timeout + MARGIN,
            cancel=self._stop,
        )

    def _follow(self, watch: Watch) -> None:
        for kind, item in watch:
            self._events.get(kind, self._events["OTHER"]).inc()
            if kind == "ERROR":
                raise from_status(item)
            if kind == "BOOKMARK":
                self._bookmarks = True
            elif not _is_object(item):
                logger.warning("%s: a %s event without a name is ignored", self._name, kind)
                continue
            elif kind in {"ADDED", "MODIFIED", "DELETED"}:
                trimmed = self._trimmed(item)
                if trimmed is not None:
                    self._sink.changed(kind, trimmed)
            else:
                logger.warning("%s: an event of the unknown type %s is ignored", self._name, kind)
                continue
            version = (item.get("metadata") or {}).get("resourceVersion")
            if version:
                self._state.saw(version)

    def _trimmed(self, item: JsonObject) -> JsonObject | None:
        try:
            return self._sink.arrived(item)
        except Exception:
            # The user's transform met an object that it cannot bear: this one only is lost.
            logger.exception("%s: %s is ignored", self._name, item["metadata"]["name"])
            return None

    # -- trouble --------------------------------------------------------------------------------------

    def _complain(self, error: ApiError) -> None:
        if self._stop.is_set():
            return
        self._failures.inc()
        self._sink.failed(error)
        if not isinstance(error, ApiExpired):  # part of the protocol
            self._trouble.say(error)

    def _recovered(self) -> None:
        self._sink.failed(None)
        self._trouble.over()


def _is_object(item: object) -> bool:
    metadata = item.get("metadata") if isinstance(item, dict) else None
    return isinstance(metadata, dict) and isinstance(metadata.get("name"), str)


def _nonsense(text: str) -> ApiError:
    return ApiError(text, reason=NONSENSE)


def _outcome(error: ApiError) -> Outcome:
    if isinstance(error, ApiExpired) or _is_too_large(error):
        return Outcome.EXPIRED
    if error.reason == NO_ANSWER:
        return Outcome.UNREACHABLE
    if error.reason == NONSENSE:
        return Outcome.NONSENSE
    return Outcome.REFUSED


def _is_too_large(error: ApiError) -> bool:
    """Tell a server that has not reached our version yet; the cause exists since Kubernetes 1.18."""
    if error.status != 504:
        return False
    causes = error.details.get("causes") or []
    if any(isinstance(c, dict) and c.get("reason") == "ResourceVersionTooLarge" for c in causes):
        return True
    return "too large resource version" in error.message.lower()
