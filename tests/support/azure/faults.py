"""Faults to order: what Azure Resource Manager is known to do to its clients."""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass, field

# What may happen to a request. `before`: it is not carried out; `after`: it is, and the answer is bad.
BEFORE = {"429", "503", "500", "html", "cut", "400", "409", "401", "404"}
AFTER = {"503-after", "cut-after", "silence-after", "500-after", "404-after", "garbage"}
# Faults that groups.py knows: of the group, not of the answer.
OF_GROUP = {"no-instance-view", "provisioning-fails", "delete-ignored", "stale-list"}


@dataclass
class Fault:
    kind: str
    method: str = ""
    path: str = ""  # regular expression
    times: int | None = None  # None: for ever
    probability: float = 1.0
    code: str = ""
    message: str = ""
    retry_after: str | None = None
    seen: int = field(default=0)


class Faults:
    def __init__(self, seed=1):
        self._lock = threading.Lock()
        self._faults = []
        self._random = random.Random(seed)
        self.injected = 0

    def add(self, kind, **how):
        assert kind in BEFORE | AFTER | OF_GROUP, kind
        fault = Fault(kind, **how)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self):
        with self._lock:
            self._faults.clear()

    def pick(self, kinds, method, path):
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or (fault.method and fault.method != method):
                    continue
                if fault.path and not re.search(fault.path, path):
                    continue
                if fault.times is not None and fault.seen >= fault.times:
                    continue
                if fault.probability < 1 and self._random.random() >= fault.probability:
                    continue
                fault.seen += 1
                self.injected += 1
                return fault
        return None
