"""What is known of the provider's pods, and how old the word is.

Words about a pod come from listings, from single questions, from the provider by itself, and from our own writes;
they overlap in time. Each word carries an *order*: a number taken when the question began. A word
changes what is known only if it is younger than what is known, so that a listing which was under way while a
pod was created or deleted says nothing about that pod.

This is a plain value with no lock: `node.snapshot` has the threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from virtual_kubelet.objects import ObjectMeta, Pod, PodStatus, pod_key

__all__ = ["Sighting", "Sightings", "check"]


@dataclass(frozen=True)
class Sighting:
    """The last word about one pod of the provider."""

    metadata: ObjectMeta
    status: PodStatus
    order: int
    told: bool = True
    """False: we began it, and the provider has not yet spoken of it."""

    began: float = 0.0
    """When we began it (monotonic seconds), where `told` is false."""

    whole: Pod | None = None
    """The provider's own copy of the pod, as first listed, until somebody took note of it."""


class Sightings:
    """The provider's pods by key and UID."""

    def __init__(self, *, patience: float) -> None:
        """`patience`: seconds for which a pod that we began may be missing from listings (they can lag)."""
        self._patience = patience
        self._order = 0
        self._pods: dict[str, dict[str, Sighting]] = {}
        self._listed = 0  # the order of the last complete listing, 0: there was none
        self._absent: dict[str, int] = {}  # UID -> order of the last word that it is not there

    @property
    def complete(self) -> bool:
        """Whether there has been a listing: until then, a missing pod means nothing."""
        return self._listed > 0

    def next_order(self) -> int:
        """Return the order of a question that begins now."""
        self._order += 1
        return self._order

    def of(self, key: str) -> Mapping[str, Sighting]:
        """Return what is known of the pods of one name, by UID."""
        return dict(self._pods.get(key, {}))

    def all(self) -> list[Sighting]:
        """Return the last word about each pod."""
        return [sighting for pods in self._pods.values() for sighting in pods.values()]

    def absent_since(self, uid: str) -> int:
        """Return the order of the last word by which `uid` was not there; 0: there was none."""
        return max(self._listed, self._absent.get(uid, 0))

    def take_listing(self, pods: Iterable[Pod], order: int, now: float) -> list[str]:
        """Take in a complete listing that began at `order`; return the keys for which it was news."""
        news: dict[str, None] = {}
        named: set[str] = set()
        for pod in pods:
            named.add(pod["metadata"]["uid"])
            if self.see(pod, order):
                news[pod_key(pod)] = None
        for key, uid in self._missing(named, order, now):
            self._drop(key, uid)
            news[key] = None
        self._listed = order
        self._absent = {uid: at for uid, at in self._absent.items() if at > order}
        return list(news)

    def see(self, pod: Pod, order: int) -> bool:
        """Take in one pod as the provider has it; return whether that was news."""
        metadata = pod["metadata"]
        key, uid = pod_key(pod), metadata["uid"]
        before = self._pods.get(key, {}).get(uid)
        if before is not None and before.order > order:
            return False
        if before is None and self._absent.get(uid, 0) > order:
            return False
        status = pod.get("status", {})
        same = before is not None and before.status == status
        if before is not None and same:
            status = before.status  # readers know it by identity; the new one can go
        whole = pod if before is None else before.whole
        self._put(key, Sighting(metadata, status, order, whole=whole))
        return not (same and before is not None and before.told)

    def hear(self, namespace: str, name: str, uid: str, status: PodStatus) -> bool:
        """Take in a status that the provider pushed; return whether that was news."""
        key, order = f"{namespace}/{name}", self.next_order()
        before = self._pods.get(key, {}).get(uid)
        if before is None:
            metadata: ObjectMeta = {"namespace": namespace, "name": name, "uid": uid}
            self._put(key, Sighting(metadata, status, order))
            return True
        same = before.status == status
        kept = before.status if same else status
        self._put(key, Sighting(before.metadata, kept, order, whole=before.whole))
        return not (same and before.told)

    def wrote(self, pod: Pod, now: float) -> None:
        """Take note that we have just begun `pod`, or changed it: what was asked before is out of date."""
        metadata = pod["metadata"]
        key, uid, order = pod_key(pod), metadata["uid"], self.next_order()
        before = self._pods.get(key, {}).get(uid)
        if before is None:
            slim: ObjectMeta = {"namespace": metadata["namespace"], "name": metadata["name"], "uid": uid}
            self._put(key, Sighting(slim, {"phase": "Pending"}, order, told=False, began=now))
        else:
            self._put(
                key,
                Sighting(before.metadata, before.status, order, told=before.told, began=before.began),
            )

    def miss(self, key: str, uid: str, order: int, *, now: float | None = None) -> None:
        """Take in that the provider, asked at `order`, does not have the pod.

        With `now`, a pod that we began a moment ago gets the patience that it has with listings.
        """
        before = self._pods.get(key, {}).get(uid)
        if before is not None and before.order > order:
            return
        if before is not None and now is not None and self._is_awaited(before, now):
            return
        self._absent[uid] = max(order, self._absent.get(uid, 0))
        self._drop(key, uid)

    def forget(self, key: str, uid: str) -> None:
        """Drop what is known of a pod that is done with; only a listing that begins later brings it back."""
        self._absent[uid] = self.next_order()
        self._drop(key, uid)

    def note(self, key: str, uid: str) -> None:
        """Let go of the provider's own copy of a pod: its reader has what it wanted."""
        before = self._pods.get(key, {}).get(uid)
        if before is not None and before.whole is not None:
            self._put(key, Sighting(before.metadata, before.status, before.order, before.told, before.began))

    def _missing(self, named: set[str], order: int, now: float) -> list[tuple[str, str]]:
        return [
            (key, uid)
            for key, pods in self._pods.items()
            for uid, sighting in pods.items()
            if uid not in named and sighting.order <= order and not self._is_awaited(sighting, now)
        ]

    def _is_awaited(self, sighting: Sighting, now: float) -> bool:
        return not sighting.told and now - sighting.began <= self._patience

    def _put(self, key: str, sighting: Sighting) -> None:
        self._pods.setdefault(key, {})[sighting.metadata["uid"]] = sighting

    def _drop(self, key: str, uid: str) -> None:
        pods = self._pods.get(key)
        if pods and pods.pop(uid, None) is not None and not pods:
            del self._pods[key]


def check(pods: Iterable[Pod]) -> None:
    """Raise `ValueError` for a listing with a pod that has no namespace, name or UID."""
    for pod in pods:
        metadata = pod.get("metadata", {})
        for field in ("namespace", "name", "uid"):
            if not metadata.get(field):
                name = f"{metadata.get('namespace', '?')}/{metadata.get('name', '?')}"
                raise ValueError(f"get_pods returned a pod without metadata.{field}: {name}")
