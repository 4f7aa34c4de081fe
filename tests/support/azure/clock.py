"""The fake's own time: stands still until a test moves it, or runs at some multiple of the real one."""

from __future__ import annotations

import threading
import time
from datetime import datetime, timezone


class FakeTime:
    def __init__(self, *, speed=0.0, start=1_767_225_600.0):
        self._lock = threading.Lock()
        self._speed = speed
        self._begun = time.monotonic()
        self._offset = start

    def now(self):
        with self._lock:
            return self._offset + (time.monotonic() - self._begun) * self._speed

    def advance(self, seconds):
        with self._lock:
            self._offset += seconds

    def text(self, moment=None):
        moment = self.now() if moment is None else moment
        return datetime.fromtimestamp(moment, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
