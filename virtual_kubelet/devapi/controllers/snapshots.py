"""Saves the objects now and then, where there is a data directory."""

from __future__ import annotations

from collections.abc import Sequence

from virtual_kubelet.devapi.state import DataDirectory
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.devapi.storage.record import Change

__all__ = ["Snapshots"]


class Snapshots:
    """What a crash may cost is half a minute."""

    buckets: Sequence[str] = ()
    period = 30.0

    def __init__(self, storage: MemoryStorage, data: DataDirectory) -> None:
        self._storage = storage
        self._data = data
        self._saved = 0

    def urgent(self, change: Change) -> bool:
        """Nothing here is a hurry."""
        return False

    def see(self, change: Change) -> None:
        """Nothing to note: the version tells whether anything changed."""

    def act(self) -> None:
        """Save what has changed."""
        version = self._storage.version
        if version != self._saved:
            self._data.save_objects(self._storage)
            self._saved = version
