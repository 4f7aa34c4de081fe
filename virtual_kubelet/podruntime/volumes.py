"""The volumes of a pod as directories of this machine, and what of them a container sees where.

    <pods>/<uid>/volumes/<name>       emptyDir, configMap, projected, downwardAPI
    <memory>/<uid>/<name>             secrets, projected ones with a token, emptyDir of medium Memory
    <pods>/<uid>/containers/<name>    a directory of the container's own

Secrets never touch a disk where the machine has a tmpfs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import stat
import threading
from collections.abc import Mapping
from pathlib import Path

from virtual_kubelet.errors import InvalidInput, ProviderError, Unavailable
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime import payload
from virtual_kubelet.podruntime.driver import Mount
from virtual_kubelet.provider import File, PodContext
from virtual_kubelet.pure import quantity

__all__ = ["SUPPORTED", "ReferenceMissing", "Volumes", "check_volumes", "is_service_account", "kind_of"]

logger = logging.getLogger(__name__)

GROUP_READS = 0o440
CONTENT = ("configMap", "secret", "projected", "downwardAPI")
SUPPORTED = ("emptyDir", "hostPath", *CONTENT)


class ReferenceMissing(Unavailable):
    """What a volume is to hold cannot be had; the agent has recorded an event about it."""


def kind_of(volume: JsonObject) -> str:
    """Return the source of a volume: emptyDir (the default), configMap, persistentVolumeClaim ..."""
    return next((key for key, value in volume.items() if key != "name" and value is not None), "emptyDir")


def _group_of(pod: Pod) -> int:
    """Return the pod's fsGroup, -1 where it has none or this process may not give files away."""
    group = (pod["spec"].get("securityContext") or {}).get("fsGroup")
    return int(group) if group is not None and os.geteuid() == 0 else -1


def is_service_account(volume: JsonObject) -> bool:
    """Tell whether admission may have added the volume: a projected one with a service account token."""
    sources = (volume.get("projected") or {}).get("sources") or ()
    return any("serviceAccountToken" in source for source in sources)


def check_volumes(pod: Pod) -> None:
    """Raise `InvalidInput` for a volume that can never be had here."""
    for volume in pod["spec"].get("volumes") or ():
        kind = kind_of(volume)
        if kind not in SUPPORTED:
            raise InvalidInput(
                f'volume "{volume.get("name")}" is a {kind}, which this node does not have;'
                f" it has {', '.join(SUPPORTED)}"
            )


class Volumes:
    """Makes, refreshes and removes volumes. Calls for one pod do not overlap; but `refresh` comes at any time."""

    def __init__(
        self, pods: Path, memory: Path | None, context: PodContext, *, lenient: bool = False
    ) -> None:
        self._pods = pods
        self._memory = memory or pods
        self._context = context
        self._lenient = lenient
        """Whether a pod runs without its service account volume rather than not at all."""
        self._lock = threading.Lock()  # held while content is written, so that no removal begins
        self._made: set[str] = set()  # UIDs of the pods that have their volumes; under the lock

    def open(self) -> None:
        """Make the directories; one for secrets that somebody else could look into is not used."""
        if self._memory == self._pods:
            return
        try:
            self._memory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = self._memory.lstat()
        except OSError as error:
            logger.warning("secrets are kept on disk: %s", error)
            self._memory = self._pods
            return
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            logger.warning("secrets are kept on disk: %s is not ours alone", self._memory)
            self._memory = self._pods

    def prepare(self, pod: Pod) -> None:
        """Make what is not there; raise `Unavailable` when something it refers to is missing."""
        uid = pod["metadata"]["uid"]
        with self._lock:
            self._made.add(uid)
        for volume in pod["spec"].get("volumes") or ():
            try:
                self._prepare(pod, uid, volume)
            except ReferenceMissing:
                raise
            except Unavailable as error:
                text = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {error}'
                raise Unavailable(text, retry_after=error.retry_after) from error

    def _prepare(self, pod: Pod, uid: str, volume: JsonObject) -> None:
        kind = kind_of(volume)
        if kind == "hostPath":
            _check_host_path(volume)
        elif kind == "emptyDir":
            path = self._path(uid, volume)
            path.mkdir(mode=0o777, parents=True, exist_ok=True)
            path.chmod(0o777)  # as the kubelet's: whoever a container runs as may write there
            group = _group_of(pod)
            if group >= 0:
                with contextlib.suppress(OSError):  # root without the right to, or a group that is not mapped
                    os.chown(path, -1, group)
                    path.chmod(0o2777)  # what is made in it has that group, too
        else:
            self._fill(pod, uid, volume)

    def _fill(self, pod: Pod, uid: str, volume: JsonObject) -> None:
        files = self._files(pod, uid, volume)  # it may take long
        with self._lock:
            if uid in self._made:  # else they have been removed meanwhile, and nobody would do so again
                self._write(pod, self._path(uid, volume), files)

    def _files(self, pod: Pod, uid: str, volume: JsonObject) -> Mapping[str, File] | None:
        """Return what the volume is to hold, None where the pod goes without."""
        try:
            return self._context.files(pod, volume)
        except ProviderError as error:
            if not (self._lenient and is_service_account(volume)):
                raise ReferenceMissing(str(error), retry_after=error.retry_after) from error
            logger.debug("pod %s goes without volume %s: %s", uid, volume.get("name"), error)
            return None

    def _write(self, pod: Pod, path: Path, files: Mapping[str, File] | None) -> None:
        if files is None:
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
            return
        group = _group_of(pod)
        if group >= 0:
            files = {name: File(file.content, file.mode | GROUP_READS) for name, file in files.items()}
        payload.write(path, files, group=group)

    def refresh(self, pod: Pod) -> None:
        """Bring what ConfigMaps, Secrets, tokens and labels say now into running containers."""
        uid = pod["metadata"]["uid"]
        for volume in pod["spec"].get("volumes") or ():
            if kind_of(volume) in CONTENT:
                self._fill(pod, uid, volume)

    def _path(self, uid: str, volume: JsonObject) -> Path:
        kind = kind_of(volume)
        in_memory = (
            kind == "secret"
            or is_service_account(volume)
            or any("secret" in source for source in (volume.get("projected") or {}).get("sources") or ())
            or (kind == "emptyDir" and (volume.get("emptyDir") or {}).get("medium") == "Memory")
        )
        if in_memory and self._memory != self._pods:
            return self._memory / uid / str(volume["name"])
        return self._pods / uid / "volumes" / str(volume["name"])

    def directory(self, uid: str, container: str) -> Path:
        """Return the container's own directory, made if it is not there."""
        path = self._pods / uid / "containers" / container
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        return path

    def mounts(self, pod: Pod, container: Container, environment: Mapping[str, str]) -> tuple[Mount, ...]:
        """Return what the container is to see of the pod's volumes; raise `InvalidInput`."""
        volumes = {str(volume["name"]): volume for volume in pod["spec"].get("volumes") or ()}
        return tuple(
            self._mount(pod, volumes, mount, environment) for mount in container.get("volumeMounts") or ()
        )

    def _mount(
        self,
        pod: Pod,
        volumes: Mapping[str, JsonObject],
        mount: JsonObject,
        environment: Mapping[str, str],
    ) -> Mount:
        name = str(mount["name"])
        volume = volumes.get(name)
        if volume is None:
            raise InvalidInput(f'volumeMount "{name}" names no volume of the pod')
        kind = kind_of(volume)
        if kind == "hostPath":
            source = Path(volume["hostPath"]["path"])
        else:
            source = self._path(pod["metadata"]["uid"], volume)
        sub_path = _sub_path(mount, environment)
        if sub_path:
            source = _below(source, sub_path, make=kind in {"emptyDir", "hostPath"})
        return Mount(
            name=name,
            source=str(source),
            target=str(mount["mountPath"]),
            read_only=bool(mount.get("readOnly")) or kind in CONTENT,
            optional=self._lenient and is_service_account(volume),
        )

    def remove(self, uid: str) -> None:
        """Remove the pod's volumes with what is in them; what hostPath points to stays."""
        with self._lock:
            self._made.discard(uid)
        shutil.rmtree(self._pods / uid / "volumes", ignore_errors=True)
        shutil.rmtree(self._pods / uid / "containers", ignore_errors=True)
        if self._memory != self._pods:
            shutil.rmtree(self._memory / uid, ignore_errors=True)

    def oversized(self, pod: Pod) -> str:
        """Return why the pod is to be evicted: an emptyDir holds more than its sizeLimit; "" where none does."""
        uid = pod["metadata"]["uid"]
        for volume in pod["spec"].get("volumes") or ():
            limit = (volume.get("emptyDir") or {}).get("sizeLimit")
            if limit and _size(self._path(uid, volume)) > quantity.parse(limit).value > 0:
                return f'Usage of EmptyDir volume "{volume["name"]}" exceeds the limit "{limit}". '
        return ""


def _sub_path(mount: JsonObject, environment: Mapping[str, str]) -> str:
    expression = mount.get("subPathExpr")
    if not expression:
        return str(mount.get("subPath") or "")
    from virtual_kubelet.pure.expansion import expand

    return expand(str(expression), environment)


def _below(source: Path, sub_path: str, *, make: bool) -> Path:
    """Return the place of a subPath; raise `InvalidInput` for one that leads out of its volume."""
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise InvalidInput(f'subPath "{sub_path}" must be relative and without ".."')
    path = source / sub_path
    if make and not path.exists():
        path.mkdir(mode=0o777, parents=True, exist_ok=True)
        path.chmod(0o777)
    resolved, root = path.resolve(), source.resolve()
    if not resolved.is_relative_to(root):
        raise InvalidInput(f'subPath "{sub_path}" leads out of its volume')
    if not resolved.exists():
        raise Unavailable(f'subPath "{sub_path}" is not in the volume')
    return resolved


def _check_host_path(volume: JsonObject) -> None:
    """Make what the type says to make; raise `Unavailable`, as the path may come to be later."""
    source = volume["hostPath"]
    path, kind = Path(source["path"]), source.get("type") or ""
    try:
        if kind == "DirectoryOrCreate":
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif kind == "FileOrCreate" and not path.exists():
            path.touch(mode=0o644)
        mode = path.stat().st_mode if kind else 0
    except OSError as error:
        raise Unavailable(f"hostPath type check failed: {path}: {error.strerror}") from error
    check, what = _HOST_PATH_TYPES.get(kind, (None, ""))
    if check is not None and not check(mode):
        raise Unavailable(f"hostPath type check failed: {path} is not a {what}")


_HOST_PATH_TYPES = {
    "Directory": (stat.S_ISDIR, "directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "directory"),
    "File": (stat.S_ISREG, "file"),
    "FileOrCreate": (stat.S_ISREG, "file"),
    "Socket": (stat.S_ISSOCK, "socket file"),
    "CharDevice": (stat.S_ISCHR, "character device"),
    "BlockDevice": (stat.S_ISBLK, "block device"),
}


def _size(directory: Path) -> int:
    total = 0
    for root, _, names in os.walk(directory):
        for name in names:
            try:
                total += os.lstat(f"{root}/{name}").st_blocks * 512
            except OSError:
                continue  # gone meanwhile
    return total
