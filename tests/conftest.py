"""Guards for every test: no thread, listening socket or child process may outlive it, no thread of ours fail in it."""

from __future__ import annotations

import logging
import signal

import pytest
from hypothesis import HealthCheck, settings
from support.leaks import Census

# Properties are about values: on a busy machine an example may take its time.
settings.register_profile(
    "busy", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")

# Programs started in the background by a script ignore Ctrl-C, and so would those that tests start and end with it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def nothing_left_behind():
    before = Census.take()
    yield
    before.assert_nothing_new()


class _Failures(logging.Handler):
    """Keeps what was logged with a traceback: errors of ours, which the threads outlive."""

    def __init__(self):
        super().__init__(logging.ERROR)
        self.found = []

    def emit(self, record):
        if record.exc_info:
            self.found.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@pytest.fixture(autouse=True)
def no_failure_in_a_thread(request):
    """Threads log what they do not expect, and go on: a test would not notice."""
    failures = _Failures()
    logger = logging.getLogger("virtual_kubelet")
    logger.addHandler(failures)
    yield
    logger.removeHandler(failures)
    if not request.node.get_closest_marker("fails_inside"):
        assert failures.found == []
