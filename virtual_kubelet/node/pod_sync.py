"""One look at one pod: level-triggered, by the table in `pure.pod_acts`.

A look reads the newest pod from the informer's store and the newest word from the snapshot, does one thing, and
reports. It is safe to repeat at any moment; whoever thinks that something may have changed asks for one.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from typing import Final

from virtual_kubelet.kube.store import Store
from virtual_kubelet.node.pod_endings import PodEndings
from virtual_kubelet.node.pod_launch import Incomplete, PodLaunch
from virtual_kubelet.node.pod_look import Look
from virtual_kubelet.node.pod_records import PodRecords
from virtual_kubelet.node.pod_removal import PodRemoval
from virtual_kubelet.node.snapshot import Snapshot
from virtual_kubelet.node.status_writer import StatusWriter
from virtual_kubelet.objects import Pod
from virtual_kubelet.pure import pod_status, times
from virtual_kubelet.pure.pod_acts import Act, Known, choose
from virtual_kubelet.pure.pod_diff import changeable, changed_from, same, same_deletion
from virtual_kubelet.pure.sightings import Sighting
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics

__all__ = ["PodSync"]

logger = logging.getLogger(__name__)

INCOMPLETE_DELAY: Final = 10.0  # seconds


class PodSync:
    """Brings one pod of the provider in line with the API server, and its status back."""

    def __init__(
        self,
        store: Store,
        snapshot: Snapshot,
        records: PodRecords,
        endings: PodEndings,
        launch: PodLaunch,
        removal: PodRemoval,
        writer: StatusWriter,
        *,
        metrics: Metrics,
        clock: Clock = SYSTEM,
    ) -> None:
        self._store = store
        self._snapshot = snapshot
        self._records = records
        self._endings = endings
        self._launch = launch
        self._removal = removal
        self._writer = writer
        self._clock = clock
        self._durations = {act: metrics.pod_work.labels(act.value) for act in Act}

    def __call__(self, key: str) -> float | None:
        """Look at `key`; return the seconds until the next look, None when there is nothing to wait for.

        Raises `VirtualKubeletError` for what is to be tried again by the key's back-off.
        """
        if not self._snapshot.complete:
            return None  # the first listing brings every key back
        pod: Pod | None = self._store.get(key)
        uid = pod["metadata"]["uid"] if pod else ""
        sightings = self._snapshot.of(key)
        others = ((other, sighting) for other, sighting in sightings.items() if other != uid)
        strangers = {
            other: sighting for other, sighting in others if self._removal.is_unfinished(other, sighting)
        }
        if pod is None:
            return self._sweep(key, strangers)
        look = Look(key, pod, uid, self._records.of(key, uid), sightings.get(uid))
        if look.mine is not None and self._snapshot.take_question(uid):
            try:
                look = self._asked(look)
            except BaseException:
                self._snapshot.ask_again(uid)
                raise
        act = self._choose(look, strangers=bool(strangers))
        if act is Act.SWEEP:
            delay = self._removal.sweep(key, strangers)
            self._forget_all_but(key, {uid, *self._snapshot.of(key)})
            # Nothing is begun while another pod of this name still is in the provider.
            return delay if delay is not None else 0.0
        began = self._clock.monotonic()
        try:
            return self._do(act, look)
        finally:
            self._durations[act].observe(self._clock.monotonic() - began)

    def needs_look(self, key: str, old: Pod, new: Pod) -> bool:
        """Tell whether a change from `old` to `new` can lead to anything; `old is new` in a resync.

        Cheap, because the echo of each of our own writes comes here; and strict, because a look that nothing
        calls for would bring forward a pod that waits for its next try.
        """
        metadata = new["metadata"]
        record = self._records.find(key, metadata["uid"])
        if record is None:
            return True
        if record.settled and record.settled == metadata.get("resourceVersion"):
            return False  # the echo of our own write
        if "deletionTimestamp" in metadata:
            return old is new or not same_deletion(old, new)
        if not same(changeable(new), changeable(old)):
            return True
        if record.handed is None:
            return False  # it waits to be begun, which its status has no say in
        sighting = self._snapshot.of(key).get(metadata["uid"])
        if sighting is None:
            return old is new
        return self._writer.differs(new, sighting.status)

    def _choose(self, look: Look, *, strangers: bool) -> Act:
        record, pod = look.record, look.pod
        refused = record.refused is not None and same(changeable(pod), record.refused)
        known = Known(refused=refused, changed=look.mine is not None and self._changed(look, look.mine))
        return choose(pod, look.mine.status if look.mine else None, strangers=strangers, known=known)

    def _changed(self, look: Look, mine: Sighting) -> bool:
        """Tell whether the pod differs from what the provider was last given, by us or before a restart."""
        now = changeable(look.pod)
        if look.record.handed is not None:
            if same(now, look.record.handed):
                look.record.handed = now  # the old one would keep the old pod in memory
                return False
            return True
        if mine.whole is not None and changed_from(look.pod, mine.whole):
            return True
        look.record.handed = now
        self._snapshot.note(look.key, look.uid)
        return False

    def _do(self, act: Act, look: Look) -> float | None:
        if act is Act.DELETE:
            return self._removal.delete(look)
        if act is Act.STOP:
            return self._removal.stop(look)
        if act is Act.LOSE:
            self._lose(look)
        if act is Act.CREATE or act is Act.UPDATE:
            return self._hand_over(act, look)
        if act is Act.REPORT:
            self._report(look)
        return None

    def _hand_over(self, act: Act, look: Look) -> float | None:
        """Give the pod to the provider, and report what comes of it at once.

        A pod that refers to something missing is looked at again when that appears; now and then in any case.
        """
        try:
            if act is Act.CREATE:
                if self._launch.create(look):
                    self._report(look)
            else:
                try:
                    self._launch.update(look)
                finally:
                    self._report(look)
        except Incomplete as error:
            logger.debug("%s: waits: %s", look.key, error)
            return INCOMPLETE_DELAY
        return None

    def _report(self, look: Look) -> None:
        """Write what the provider last said, which may be news since the look began."""
        sighting = self._snapshot.of(look.key).get(look.uid)
        if sighting is not None:
            self._writer.write(look.pod, sighting.status, look.record)

    def _lose(self, look: Look) -> None:
        """Report a pod that had started and is not in the provider any more, after asking for it by name."""
        look = self._asked(look)
        if look.mine is not None:
            self._report(look)
            return
        logger.warning("%s: lost: it had started and the provider no longer has it", look.key)
        self._writer.write(look.pod, pod_status.lost(look.pod, times.rfc3339(self._clock.now())), look.record)

    def _asked(self, look: Look) -> Look:
        metadata = look.pod["metadata"]
        self._snapshot.ask(metadata["namespace"], metadata["name"], look.uid, patient=True)
        mine = self._snapshot.of(look.key).get(look.uid)
        return Look(look.key, look.pod, look.uid, look.record, mine)

    def _sweep(self, key: str, strangers: Mapping[str, Sighting]) -> float | None:
        delay = self._removal.sweep(key, strangers) if strangers else None
        self._forget_all_but(key, self._snapshot.of(key).keys())
        return delay

    def _forget_all_but(self, key: str, uids: Collection[str]) -> None:
        for uid in self._records.keep_only(key, uids):
            self._endings.forget(uid)
