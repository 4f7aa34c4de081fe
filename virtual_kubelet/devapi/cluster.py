"""The state that all parts of the server share, handed down explicitly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from virtual_kubelet.devapi.registry.kinds import Kind, Kinds
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import Clock

__all__ = ["Admission", "Cluster"]

Admission = Callable[["Cluster", Kind, JsonObject, str], None]
"""`admit(cluster, kind, object, user name)`: change an object about to be created, or raise an `ApiError`."""


@dataclass
class Cluster:
    """Storage, registry, time and randomness of one control plane."""

    storage: MemoryStorage
    kinds: Kinds
    clock: Clock
    random: random.Random = field(default_factory=random.SystemRandom)
    admission: tuple[Admission, ...] = ()
