"""Pods and their records on disk, so that the next agent knows them: two files a pod.

    <directory>/<uid>/pod.json      the pod as it was handed over, without the values that came from Secrets
    <directory>/<uid>/record.json   what the runtime remembers (`record`)

Each change replaces a whole file, so a kill at any moment leaves the old one or the new one. What cannot be read
(after a power failure) is dropped: a record alone is made anew from the driver's containers.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from virtual_kubelet import codec
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime.record import HOOK_NONE, HOOK_RUNNING, PodRecord

__all__ = ["Journal", "without_secrets"]

logger = logging.getLogger(__name__)

POD = "pod.json"
RECORD = "record.json"
ATTEMPTS = 3  # at removing a directory


def without_secrets(pod: Pod, secret_names: Callable[[Container], Collection[str]]) -> tuple[Pod, bool]:
    """Return a copy of `pod` whose variables from Secrets have no value, and whether there are any.

    They are resolved again when a container is started, from the pod that the API server has.
    """
    plain: Pod = codec.copy(pod)
    spec = plain["spec"]
    found = False
    for container in (
        *spec.get("containers", ()),
        *spec.get("initContainers", ()),
        *spec.get("ephemeralContainers", ()),
    ):
        hidden = secret_names(container)
        for variable in container.get("env") or ():
            if variable.get("name") in hidden:
                variable.pop("value", None)
                found = True
    return plain, found


class Journal:
    """A directory of pods. Calls for one pod do not overlap; calls for different pods may."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self) -> None:
        """Make the directory."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def directory(self, uid: str) -> Path:
        """Return the directory of one pod; its other files may live there, too."""
        return self._directory / uid

    def load(self) -> Iterator[tuple[Pod, PodRecord]]:
        """Yield every pod that can be read."""
        for directory in sorted(self._directory.iterdir()):
            try:
                pod: Pod = codec.loads((directory / POD).read_bytes())
                metadata = pod["metadata"]
                uid, namespace, name = metadata["uid"], metadata["namespace"], metadata["name"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                if not isinstance(error, FileNotFoundError):
                    logger.warning("%s is no pod and is left alone: %s", directory / POD, error)
                continue
            yield pod, self._load_record(directory) or PodRecord(uid, namespace, name)

    def _load_record(self, directory: Path) -> PodRecord | None:
        try:
            record = PodRecord.from_json(codec.loads((directory / RECORD).read_bytes()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            logger.warning("%s cannot be read and is made anew: %s", directory / RECORD, error)
            return None
        for container in record.containers.values():
            # Whoever waited for these hooks is gone: they are run again, as the kubelet does.
            if container.post_start == HOOK_RUNNING:
                container.post_start = HOOK_NONE
            if container.stopping is not None and container.stopping.hook == HOOK_RUNNING:
                container.stopping.hook = HOOK_NONE
        return record

    def save_pod(self, uid: str, pod: Pod) -> None:
        """Write a pod down, for good: it is not lost by a power failure."""
        directory = self.directory(uid)
        directory.mkdir(mode=0o700, exist_ok=True)
        _replace(directory / POD, codec.dumps(pod), sync=True)

    def save_record(self, uid: str, values: JsonObject) -> None:
        """Write a record (`PodRecord.to_json`) down; nothing happens when the pod is gone."""
        with contextlib.suppress(FileNotFoundError):
            _replace(self.directory(uid) / RECORD, json.dumps(values).encode())

    def remove(self, uid: str) -> None:
        """Forget a pod, with everything in its directory. First the pod itself: half a pod is none."""
        directory = self.directory(uid)
        (directory / POD).unlink(missing_ok=True)
        for _ in range(ATTEMPTS):
            shutil.rmtree(directory, ignore_errors=True)
            if not directory.exists():  # else a record was being saved just then
                return


def _replace(path: Path, data: bytes, *, sync: bool = False) -> None:
    temporary = path.with_suffix(".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(fd)
    temporary.replace(path)
