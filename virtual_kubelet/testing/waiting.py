"""Waiting for a condition, never for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["eventually"]

PAUSE = 0.01  # seconds between two looks
T = TypeVar("T")


def eventually(predicate: Callable[[], T], timeout: float = 30.0, message: str | Callable[[], str] = "") -> T:
    """Return the first true value of `predicate()`; raise `AssertionError` after `timeout` seconds.

    A predicate that looks into what is not there yet, or no more, is not true yet: `LookupError`, `TypeError` of
    a None, `FileNotFoundError`.
    `message` says what failed; one that depends on how things stand then is a function.
    """
    deadline = time.monotonic() + timeout
    pause = threading.Event()
    while True:
        missing: Exception | None = None
        try:
            value = predicate()
            if value:
                return value
        except (LookupError, TypeError, FileNotFoundError) as error:
            missing = error
        if time.monotonic() > deadline:
            text = message() if callable(message) else message
            raise AssertionError(text or f"never came true within {timeout} s: {predicate}") from missing
        pause.wait(PAUSE)
