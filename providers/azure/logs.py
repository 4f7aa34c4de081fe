"""Container logs: read once, or followed by asking again. ACI cannot stream them.

Following costs one read of ARM's each time: a second after news, up to ten seconds in a quiet log.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from virtual_kubelet.errors import NotFound, ProviderError
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.providers.azure import log_lines
from virtual_kubelet.providers.azure.log_lines import Line, Tracker
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import StopSignal

__all__ = ["Fetch", "GroupLog"]

logger = logging.getLogger(__name__)

Fetch = Callable[["int | None", bool], str]
"""`fetch(tail, timestamps)` returns the log; raises `ProviderError`."""

SHORTEST, LONGEST, GROWTH = 1.0, 10.0, 1.5  # seconds between two looks at a log that is followed
WINDOW = 1000  # lines that a look asks for; the whole log where they do not reach back to the known ones
FAILURES = 5  # looks in a row that may fail


class GroupLog:
    """The log of one container, as `LogOptions` want it; a `LogStream`."""

    def __init__(
        self, fetch: Fetch, ended: Callable[[], bool], options: LogOptions, *, clock: Clock = SYSTEM
    ) -> None:
        """`ended()` tells whether the container has ended; asked when a followed log is quiet.

        Raises:
            ProviderError: the log cannot be read.
        """
        self._fetch = fetch
        self._ended = ended
        self._options = options
        self._stop = StopSignal(clock)
        self._tracker = Tracker()
        self._left = options.limit_bytes
        self._pause = SHORTEST
        self._over = not options.follow
        self._ready = self._limited(self._begin())

    def read(self) -> bytes:
        """Return some bytes; b"" at the end."""
        while not self._ready and not self._over and self._left != 0:
            if self._stop.wait(self._pause):
                return b""
            self._ready = self._limited(self._show(self._look()))
        data, self._ready = self._ready, b""
        return b"" if self._stop.is_set() else data

    def close(self) -> None:
        """Let go; wakes `read`."""
        self._stop.set()

    # --- inside

    def _begin(self) -> str:
        options = self._options
        if not self._needs_lines():
            return "" if options.tail == 0 else self._fetch(options.tail, options.timestamps)
        tail = options.tail
        lines = log_lines.parse(self._fetch(WINDOW if tail == 0 else tail, True))
        if options.follow:
            self._tracker.skip(lines)
            lines = [line for line in lines if line.complete]
        if tail == 0:
            return ""
        if options.since is not None:
            lines = log_lines.since(lines, options.since)
        return self._show(lines)

    def _needs_lines(self) -> bool:
        return self._options.follow or self._options.since is not None

    def _look(self) -> list[Line]:
        """Return what is new; finds out whether the log is over where nothing is."""
        news = self._news(ended=False)
        if news:
            self._pause = SHORTEST
            return news
        self._pause = min(self._pause * GROWTH, LONGEST)
        if self._has_ended():
            self._over = True
            return self._news(ended=True)  # what came between the look and the end
        return []

    def _news(self, *, ended: bool) -> list[Line]:
        for failures in range(1, FAILURES + 1):
            try:
                return self._compare(ended=ended)
            except NotFound:
                self._over = True
                return []
            except ProviderError as error:
                if not error.retryable or failures == FAILURES:
                    raise
                logger.debug("a followed log cannot be read just now: %s", error)
                if self._stop.wait(self._pause):
                    return []
        return []

    def _compare(self, *, ended: bool) -> list[Line]:
        news = self._tracker.fresh(log_lines.parse(self._fetch(WINDOW, True)), ended=ended)
        if news is not None:
            return news
        whole = log_lines.parse(self._fetch(None, True))
        news = self._tracker.fresh(whole, ended=ended)
        # Not found in the whole: the log was cut, or begun anew by a restart. Times tell what is new.
        return self._tracker.newer(whole, ended=ended) if news is None else news

    def _has_ended(self) -> bool:
        try:
            return self._ended()
        except NotFound:
            return True
        except ProviderError as error:
            logger.debug("it cannot be told whether a followed log is over: %s", error)
            return False

    def _show(self, lines: list[Line]) -> str:
        return "".join(line.shown(timestamps=self._options.timestamps) for line in lines)

    def _limited(self, text: str) -> bytes:
        data = text.encode()
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
        return data
