"""The state that all parts of the server share, handed down explicitly."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from virtual_kubelet.devapi.registry.kinds import Kind, Kinds
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import Clock

__all__ = ["Admission", "Cluster", "Created", "UpdateAdmission"]

Admission = Callable[["Cluster", Kind, JsonObject, WriteOptions], None]
"""`admit(cluster, kind, object, options)`: change an object about to be created, or raise an `ApiError`."""

UpdateAdmission = Callable[["Cluster", Kind, JsonObject, JsonObject, WriteOptions], None]
"""`admit(cluster, kind, new, old, options)`: raise an `ApiError` for a change that this writer may not make."""

Created = Callable[["Cluster", Kind, JsonObject], None]
"""`created(cluster, kind, object)`: called after an object was stored, before its creator has an answer."""


@dataclass
class Cluster:
    """Storage, registry, time and randomness of one control plane."""

    storage: MemoryStorage
    kinds: Kinds
    clock: Clock
    random: random.Random = field(default_factory=random.Random)
    """For names and UIDs. Not the system's: each call there gives up the interpreter lock, and under load it takes
    milliseconds to get it back. Keys and tokens are made with `secrets`."""
    admission: tuple[Admission, ...] = ()
    update_admission: tuple[UpdateAdmission, ...] = ()
    mount_tokens: bool = True
    """Whether pods get the volume with a token of their service account."""
    created: tuple[Created, ...] = ()
    root_ca: bytes = b""
    """What pods trust: the content of kube-root-ca.crt."""

    def kind(self, plural: str, group: str = "", version: str = "v1") -> Kind:
        """Return a kind that is known to exist."""
        found = self.kinds.find(group, version, plural)
        assert found is not None, plural
        return found
