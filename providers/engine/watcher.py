"""Hears what happens to containers: the engine's events, or, where an engine has none, a look every few seconds."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import Any

from virtual_kubelet.errors import (
    InvalidInput,
    NotFound,
    NotSupported,
    ProviderError,
    Unauthorized,
    Unavailable,
)
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.providers.engine.client import Client
from virtual_kubelet.providers.engine.streams import Stream
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal, Thread, join_all, spawn
from virtual_kubelet.wire.engine_stream import JsonDecoder
from virtual_kubelet.wire.protocol_errors import ProtocolError

__all__ = ["Watcher"]

logger = logging.getLogger(__name__)

RECONNECT = (0.2, 5.0)
POLL = 2.0
QUIET = 300.0  # seconds without an event after which a connection over a network is made anew
ACTIONS = frozenset({"start", "die", "died", "cleanup", "oom", "remove", "destroy"})


class Watcher:
    """One thread; a service.

    `on_event(id, action, labels)` is called for what may have changed a container, `on_connect()` when events
    may have been missed: at first, after a break, and at each look where there are no events.
    """

    def __init__(
        self,
        client: Client,
        filters: Callable[[], JsonObject],
        on_event: Callable[[str, str, dict[str, str]], None],
        on_connect: Callable[[], None],
        *,
        events: bool = True,
        clock: Clock = SYSTEM,
    ) -> None:
        self._client = client
        self._filters = filters
        self._on_event = on_event
        self._on_connect = on_connect
        self._events = events  # the thread's own, once it runs
        self._stop = StopSignal(clock)
        self._lock = threading.Lock()
        self._thread: Thread | None = None  # under the lock

    def start(self) -> None:
        """Begin."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                # A daemon, for a request whose answer has not begun cannot be interrupted.
                self._thread = spawn(self._run, name="engine-events", daemon=True)

    def stop(self, deadline: Deadline) -> None:
        """End."""
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            join_all([thread], deadline)

    def _run(self) -> None:
        pause = RECONNECT[0]
        reachable = True
        while not self._stop.is_set():
            try:
                self._look() if not self._events else self._listen()
                pause, reachable = RECONNECT[0], True
            except (InvalidInput, NotFound, NotSupported):
                logger.info("the engine has no events; it is asked every %g s", POLL)
                self._events = False
            except (ProviderError, ProtocolError) as error:
                if reachable:
                    logger.warning("%s; trying again", error)
                reachable = False
                if not isinstance(error, (Unauthorized, Unavailable)):
                    self._on_connect()  # it answers, but tells nothing
                self._client.forget_engine()
                self._stop.wait(pause)
                pause = min(2 * pause, RECONNECT[1])

    def _look(self) -> None:
        self._on_connect()
        self._stop.wait(POLL)

    def _listen(self) -> None:
        timeout = None if self._client.endpoint.path else QUIET
        stream = self._client.stream("GET", "/events", query={"filters": self._filters()}, timeout=timeout)
        self._stop.on_set(stream.close)
        try:
            self._on_connect()
            self._take_all(stream)
        finally:
            self._stop.forget(stream.close)
            stream.close()
        if not self._stop.is_set():
            raise Unavailable("the engine ended its stream of events")

    def _take_all(self, stream: Stream) -> None:
        decoder = JsonDecoder()
        while data := stream.read():
            for event in decoder.feed(data):
                with contextlib.suppress(NotFound):
                    self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        actor = event.get("Actor") or {}
        container_id = str(actor.get("ID") or event.get("id") or "")
        action = str(event.get("Action") or event.get("status") or "")
        if container_id and action in ACTIONS and event.get("Type", "container") == "container":
            self._on_event(container_id, action, actor.get("Attributes") or {})
