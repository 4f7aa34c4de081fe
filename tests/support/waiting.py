"""Waiting for a condition, never for a time."""

from __future__ import annotations

import threading
import time


def eventually(predicate, timeout=10.0, message=""):
    """Return the first true value of `predicate()`; fail after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(message or f"never came true within {timeout} s: {predicate}")
        pause.wait(0.01)
