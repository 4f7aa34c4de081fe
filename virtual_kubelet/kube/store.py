"""What an informer holds: the newest known state of each object, by key and by indexes. Objects are read-only.

Two sources write to it. The watch tells the truth, in order, but late. The answers to our own writes are newer
(`put`), so that the next reconcile sees what it wrote; but they may arrive after the watch has told of something
still newer, even of the object's end. So an older version never replaces a newer one, and what the watch
has removed is remembered for a while, so that no late answer brings it back.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure.resource_version import newer

__all__ = ["Indexer", "Store", "key_of"]

Indexer: TypeAlias = Callable[[Any], Iterable[str]]
# `list` as a type: inside `Store` the name is a method's.
Objects: TypeAlias = list[Any]
Keys: TypeAlias = list[str]
Added: TypeAlias = list[tuple[Callable[[str], None] | None, str]]  # what to call, and the index's new value

logger = logging.getLogger(__name__)

REMEMBERED = 4096  # removed objects


def key_of(item: Mapping[str, Any]) -> str:
    """Return `namespace/name`, or the name of an object without a namespace."""
    metadata = item["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def version_of(item: Mapping[str, Any]) -> str:
    """Return the resourceVersion, "" where there is none."""
    return str(item["metadata"].get("resourceVersion", ""))


def _uid_of(item: Mapping[str, Any]) -> str:
    return str(item["metadata"].get("uid", ""))


class _Index:
    """One index: values -> keys -> objects."""

    def __init__(
        self, function: Indexer, on_added: Callable[[str], None] | None = None, part: str | None = None
    ) -> None:
        self.function = function
        self.on_added = on_added
        self.part = part
        self.buckets: dict[str, dict[str, JsonObject]] = {}
        self.values: dict[str, frozenset[str]] = {}  # key -> values, which spares asking the function twice

    def set(self, key: str, item: JsonObject, current: JsonObject | None) -> frozenset[str]:
        """File `item` in the place of `current`; return the values that it did not have before."""
        before = self.values.get(key, frozenset())
        values = before if self._is_same_part(item, current) else self._values_of(key, item)
        for value in before - values:
            self._drop(key, value)
        for value in values:
            self.buckets.setdefault(value, {})[key] = item
        self.values[key] = values
        return values - before

    def remove(self, key: str) -> None:
        for value in self.values.pop(key, frozenset()):
            self._drop(key, value)

    def _is_same_part(self, item: JsonObject, current: JsonObject | None) -> bool:
        if self.part is None or current is None:
            return False
        return bool(item.get(self.part) == current.get(self.part))

    def _values_of(self, key: str, item: JsonObject) -> frozenset[str]:
        try:
            return frozenset(self.function(item))
        except Exception:
            # An object of a form that the index does not know must not end the informer's thread.
            logger.exception("%s cannot be indexed", key)
            return frozenset()

    def _drop(self, key: str, value: str) -> None:
        bucket = self.buckets[value]
        del bucket[key]
        if not bucket:
            del self.buckets[value]


class Store:
    """A locked, indexed store of Kubernetes objects."""

    def __init__(self, indexers: Mapping[str, Indexer] | None = None) -> None:
        self._lock = threading.Lock()
        # Everything below is under the lock.
        self._objects: dict[str, JsonObject] = {}
        self._indexes = {name: _Index(function) for name, function in (indexers or {}).items()}
        self._removed: OrderedDict[str, tuple[str, str]] = OrderedDict()  # key -> (uid, version)
        self._put_since_list: set[str] | None = None  # None: no list is under way

    def __len__(self) -> int:
        with self._lock:
            return len(self._objects)

    def get(self, key: str) -> Any:
        """Return the object of `key` ("namespace/name" or "name"), or None."""
        with self._lock:
            return self._objects.get(key)

    def list(self) -> Objects:
        """Return all objects."""
        with self._lock:
            return [*self._objects.values()]

    def keys(self) -> Keys:
        """Return all keys."""
        with self._lock:
            return [*self._objects]

    def by_index(self, index: str, value: str) -> Objects:
        """Return the objects that `index` files under `value`."""
        with self._lock:
            return [*self._indexes[index].buckets.get(value, {}).values()]

    def add_index(
        self,
        name: str,
        function: Indexer,
        on_added: Callable[[str], None] | None = None,
        *,
        part: str | None = None,
    ) -> None:
        """Add an index over the objects that are there and those to come.

        `on_added(value)` is called, outside the lock, for each value that an object newly has; it must
        not block. `part` names the field that the function looks at besides the name ("spec"): as long as
        that is equal, the function is not asked again.
        """
        index = _Index(function, on_added, part)
        with self._lock:
            if name in self._indexes:
                raise ValueError(f"the store has an index {name} already")
            added = [value for key, item in self._objects.items() for value in index.set(key, item, None)]
            self._indexes[name] = index
        _tell([(on_added, value) for value in added])

    def put(self, item: JsonObject) -> bool:
        """Take in the answer to a write; return False when something newer is known."""
        key = key_of(item)
        with self._lock:
            current = self._objects.get(key)
            if current is not None and not newer(version_of(item), version_of(current)):
                return False
            if current is None and self._is_gone(key, item):
                return False
            if self._put_since_list is not None:
                self._put_since_list.add(key)
            added = self._set(key, item)
        _tell(added)
        return True

    def apply(self, item: JsonObject) -> bool:
        """Take in what the watch says; return False when an answer to a write was newer."""
        key = key_of(item)
        with self._lock:
            current = self._objects.get(key)
            if current is not None and not newer(version_of(item), version_of(current)):
                return False
            self._removed.pop(key, None)
            added = self._set(key, item)
        _tell(added)
        return True

    def remove(self, item: JsonObject) -> bool:
        """Take out what the watch says is gone; return False when its successor is already there."""
        key = key_of(item)
        with self._lock:
            current = self._objects.get(key)
            if (
                current is not None
                and _uid_of(current) != _uid_of(item)
                and newer(version_of(current), version_of(item))
            ):
                return False
            self._delete(key, _uid_of(item), version_of(item))
        return True

    def begin_list(self) -> None:
        """Call before a list is asked for: what is `put` from now on may be newer than the list."""
        with self._lock:
            self._put_since_list = set()

    def replace(self, items: Iterable[JsonObject], version: str = "") -> None:
        """Take in a whole list, made at `version`; what is not in it is gone.

        The list wins over what the store holds, whatever the versions: after a restored backup they go
        back. Only what was `put` while the list was under way is kept when it is newer.
        """
        with self._lock:
            recent, self._put_since_list = self._put_since_list or set(), None
            added: Added = []
            listed = set()
            for item in items:
                key = key_of(item)
                listed.add(key)
                current = self._objects.get(key)
                if key in recent and current and newer(version_of(current), version_of(item)):
                    continue
                if current == item:
                    continue  # the very same object stays: nothing has changed for anybody
                self._removed.pop(key, None)
                added += self._set(key, item)
            for key, current in [*self._objects.items()]:
                if key in listed or (key in recent and newer(version_of(current), version)):
                    continue
                self._delete(key, _uid_of(current), version or version_of(current))
        _tell(added)

    def _set(self, key: str, item: JsonObject) -> Added:
        current = self._objects.get(key)
        self._objects[key] = item
        return [
            (index.on_added, value)
            for index in self._indexes.values()
            for value in index.set(key, item, current)
        ]

    def _delete(self, key: str, uid: str, version: str) -> None:
        self._objects.pop(key, None)
        for index in self._indexes.values():
            index.remove(key)
        self._removed[key] = (uid, version)
        self._removed.move_to_end(key)
        if len(self._removed) > REMEMBERED:
            self._removed.popitem(last=False)

    def _is_gone(self, key: str, item: JsonObject) -> bool:
        removed = self._removed.get(key)
        if removed is None:
            return False
        uid, version = removed
        return uid == _uid_of(item) or not newer(version_of(item), version)


def _tell(added: Added) -> None:
    for callback, value in added:
        if callback is not None:
            callback(value)
