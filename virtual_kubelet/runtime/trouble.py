"""Saying what goes wrong without burying everything else: now and then, and that it is over where it was said."""

from __future__ import annotations

import logging
import math

from virtual_kubelet.errors import VirtualKubeletError
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["Trouble"]

LOG_PERIOD = 10.0  # seconds


class Trouble:
    """What goes wrong with one thing, in the log of whoever minds it: once in `LOG_PERIOD` seconds at most.

    Also where failure and success take turns. For one thread. A failure that is none of `errors` comes with its
    traceback, the first time that it is said until all is well again.
    """

    def __init__(self, name: str, logger: logging.Logger, clock: Clock = SYSTEM) -> None:
        self._name = name
        self._logger = logger
        self._clock = clock
        self._since: float | None = None  # monotonic
        self._said_at = -math.inf  # monotonic
        self._said = False  # since `_since`

    def say(self, error: Exception) -> None:
        """Take note of a failure."""
        now = self._clock.monotonic()
        if self._since is None:
            self._since = now
        if now - self._said_at < LOG_PERIOD:
            return
        trace = None if self._said or isinstance(error, VirtualKubeletError) else error
        self._said_at = now
        self._said = True
        self._logger.warning(
            "%s: %s (for %.0f s)",
            self._name,
            str(error) or type(error).__name__,
            now - self._since,
            exc_info=trace,
        )

    def over(self) -> None:
        """Take note that it works."""
        if self._said and self._since is not None:
            seconds = self._clock.monotonic() - self._since
            self._logger.info("%s: works again after %.1f s", self._name, seconds)
        self._since = None
        self._said = False
