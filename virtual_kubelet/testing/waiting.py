"""Waiting for a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["eventually"]

PAUSE = 0.01  # seconds between two looks
T = TypeVar("T")


def eventually(predicate: Callable[[], T], timeout: float = 10.0, message: str | Callable[[], str] = "") -> T:
    """Return the first true value of `predicate()`; raise `AssertionError` after `timeout` seconds.

    `message` says what failed; one that depends on how things stand then is a function.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > deadline:
            text = message() if callable(message) else message
            raise AssertionError(text or f"never came true within {timeout} s: {predicate}")
        pause.wait(PAUSE)
