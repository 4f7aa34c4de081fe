"""What systemd is told of a node: READY=1 once it is Ready, STATUS= in words, WATCHDOG=1 while it works, STOPPING=1.

The protocol of sd_notify(3): datagrams of `NAME=value` lines to the socket that $NOTIFY_SOCKET names. Without that
variable nothing is sent and no thread runs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Mapping
from typing import Protocol

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline, StopSignal, Thread, join_all, spawn

__all__ = ["Announcer", "Notifier"]

logger = logging.getLogger(__name__)

UNTIL_READY = 0.1  # seconds between two looks at a node that has not been Ready yet
LOOK = 5.0  # and later


class Notifier:
    """Sends notices to the service manager of `environ`; to nobody where there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        path = environ.get("NOTIFY_SOCKET", "")
        # "@": Linux's abstract namespace, which the kernel spells with a leading NUL.
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.watchdog = _watchdog(environ)
        """Seconds within which WATCHDOG=1 is expected; 0: it is not."""

    def __bool__(self) -> bool:
        """Tell whether somebody listens."""
        return bool(self._address)

    def send(self, **notices: str) -> None:
        """Send `NAME=value` lines. A service manager that does not take them is not our failure."""
        if not self._address:
            return
        message = "\n".join(f"{name}={' '.join(value.split())}" for name, value in notices.items())
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(message.encode(), self._address)


class Node(Protocol):
    """The part of an agent that is looked at."""

    metrics: Metrics

    def healthy(self) -> bool:
        """Tell whether it works."""

    def problem(self) -> str:
        """Return what keeps it from being ready; "" when it is."""


class Announcer:
    """Looks at the agent now and then and says what it sees; a service."""

    def __init__(self, node: Node, notifier: Notifier, *, clock: Clock = SYSTEM) -> None:
        self._node = node
        self._notifier = notifier
        self._stop = StopSignal(clock)
        self._thread: Thread | None = None
        # The thread's own.
        self._announced = False
        self._said = ""

    def start(self) -> None:
        """Begin, where somebody listens."""
        if self._notifier:
            self._thread = spawn(self._run, name="service-manager")

    def stopping(self) -> None:
        """Say that the agent is about to stop, and nothing after that."""
        self._stop.set()
        self._notifier.send(STOPPING="1", STATUS="stopping")

    def stop(self, deadline: Deadline) -> None:
        """End."""
        self._stop.set()
        if self._thread is not None:
            join_all([self._thread], deadline)

    def _run(self) -> None:
        interval = min(LOOK, self._notifier.watchdog / 3) if self._notifier.watchdog else LOOK
        while not self._stop.is_set():
            self._look()
            self._stop.wait(interval if self._announced else min(interval, UNTIL_READY))

    def _look(self) -> None:
        problem = self._node.problem()
        notices = {}
        if not problem and not self._announced:
            self._announced = True
            notices["READY"] = "1"
        if self._notifier.watchdog and self._node.healthy():
            notices["WATCHDOG"] = "1"
        status = f"not ready: {problem}" if problem else f"ready; {_running(self._node)} pods running"
        if status != self._said:
            self._said = notices["STATUS"] = status
        if notices and not self._stop.is_set():
            self._notifier.send(**notices)


def _running(node: Node) -> int:
    return sum(
        int(sample.value) for metric in node.metrics.running_pods.collect() for sample in metric.samples
    )


def _watchdog(environ: Mapping[str, str]) -> float:
    """Return the seconds of $WATCHDOG_USEC, 0 where they are not meant for this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0
    try:
        return max(0.0, int(environ.get("WATCHDOG_USEC", "0")) / 1e6)
    except ValueError:
        return 0
