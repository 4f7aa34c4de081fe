"""One task again and again, in a thread of its own."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable

from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn
from virtual_kubelet.runtime.trouble import Trouble

__all__ = ["Periodic"]

logger = logging.getLogger(__name__)


class Periodic:
    """Runs `task()` at once and then `interval` seconds after the end of each run; a service.

    `jitter` is the share of the interval that chance adds: 0.04 gives 1 to 1.04 times the interval.
    `trigger` asks for a run now; while one is under way it asks for another one after it. A failing
    run is logged, now and then, and the loop lives on. With immediately=False the first run comes after an interval.
    """

    def __init__(
        self,
        task: Callable[[], object],
        interval: float,
        *,
        name: str,
        jitter: float = 0.0,
        clock: Clock = SYSTEM,
        immediately: bool = True,
        daemon: bool = False,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._task = task
        self._interval = interval
        self._name = name
        self._jitter = jitter
        self._clock = clock
        self._daemon = daemon
        self._chance = chance
        self._condition = threading.Condition()
        self._wanted = immediately  # under the condition
        self._stopped = False  # under the condition
        self._thread: Thread | None = None  # under the condition
        self._trouble = Trouble(name, logger, clock)  # of the loop's thread alone

    def start(self) -> None:
        """Start the thread."""
        with self._condition:
            if not self._stopped and self._thread is None:
                self._thread = spawn(self._loop, name=self._name, daemon=self._daemon)

    def stop(self, deadline: Deadline) -> None:
        """End the loop; a run that is under way is waited for."""
        with self._condition:
            self._stopped = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None:
            join_all([thread], deadline)

    def trigger(self) -> None:
        """Run the task as soon as possible."""
        with self._condition:
            self._wanted = True
            self._condition.notify_all()

    def _loop(self) -> None:
        while self._wait_for_turn():
            try:
                self._task()
            except Exception as error:  # noqa: BLE001 - said in the log; the loop outlives its task
                self._trouble.say(error)
            else:
                self._trouble.over()

    def _wait_for_turn(self) -> bool:
        """Return True when the task is to run, False when the loop is to end."""
        pause = self._interval * (1.0 + self._jitter * self._chance())
        with self._condition:
            end = self._clock.monotonic() + pause
            while not self._stopped and not self._wanted:
                rest = end - self._clock.monotonic()
                if rest <= 0:
                    break
                self._clock.wait(self._condition, rest)
            self._wanted = False
            return not self._stopped
