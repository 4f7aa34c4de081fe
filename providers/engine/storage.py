"""A pod's volumes on an engine: binds of this machine's files, or, with an engine elsewhere, volumes of its own."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, NotSupported
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.podruntime.driver import ContainerRequest, Mount
from virtual_kubelet.podruntime.volumes import is_service_account, kind_of
from virtual_kubelet.provider import PodContext
from virtual_kubelet.providers.engine import bodies, labels
from virtual_kubelet.providers.engine.client import Client, quoted

__all__ = ["Storage"]

logger = logging.getLogger(__name__)

TERMINATION_LOG = "/dev/termination-log"


class Storage:
    """Where volumes are."""

    def __init__(
        self,
        client: Client,
        *,
        local: bool,
        driver: str = "",
        driver_options: Callable[[JsonObject], JsonObject] | None = None,
    ) -> None:
        """`local`: the engine sees this machine's files.

        `driver` makes its volumes, "" for the engine's default; `driver_options` are what it is told for one of
        `spec.volumes`, and raise `InvalidInput` for one that it cannot make.
        """
        self._client = client
        self._local = local
        self._driver = driver
        self._driver_options = driver_options or _no_options
        self._context: PodContext | None = None  # written once, by `bind`

    def bind(self, context: PodContext) -> None:
        """Take the surroundings."""
        self._context = context

    def check(self, pod: Pod) -> None:
        """Refuse volumes that an engine elsewhere cannot have."""
        if self._local:
            return
        for volume in pod["spec"].get("volumes") or ():
            kind, name = kind_of(volume), volume.get("name")
            in_memory = kind == "emptyDir" and (volume.get("emptyDir") or {}).get("medium") == "Memory"
            if in_memory:
                raise InvalidInput(
                    f'volume "{name}" is an emptyDir of medium Memory, which an engine elsewhere cannot share'
                )
            if kind != "emptyDir" and not is_service_account(volume):
                raise InvalidInput(
                    f'volume "{name}" is a {kind}: it is made of files of this node, and the engine runs elsewhere;'
                    " an engine on the node itself can have it"
                )
            if kind == "emptyDir" and self._driver:
                self._driver_options(volume)

    def prepare(self, pod: Pod) -> None:
        """Make the engine's own volumes; those that are there stay as they are."""
        if self._local:
            return
        for volume in pod["spec"].get("volumes") or ():
            if kind_of(volume) == "emptyDir":
                with contextlib.suppress(Conflict):  # it is there
                    self._client.json("POST", "/volumes/create", body=self._body(pod, volume), again=True)

    def _body(self, pod: Pod, volume: JsonObject) -> JsonObject:
        assert self._context is not None
        body: JsonObject = {"Name": labels.volume_name(self._prefix(pod["metadata"]["uid"]), volume["name"])}
        if self._driver:
            return body | {"Driver": self._driver, "DriverOpts": self._driver_options(volume)}
        return body | {"Labels": labels.of_volume(pod, self._context.node_name, self._context.cluster_id)}

    def _prefix(self, uid: str = "") -> str:
        assert self._context is not None
        return labels.volume_prefix(self._context.node_name, self._context.cluster_id, uid)

    def release(self, uid: str) -> bool:
        """Remove the engine's own volumes of a pod; False when an ended container still holds one."""
        if self._local:
            return True
        held = False
        for name in self._names(self._prefix(uid)):
            try:
                self._client.send("DELETE", f"/volumes/{quoted(name)}")
            except NotFound:
                continue
            except Conflict:
                held = True
        return not held

    def _names(self, prefix: str) -> list[str]:
        try:
            answer = self._client.json("GET", "/volumes") or {}
        except (NotFound, NotSupported):
            return []  # it has no volumes, then
        names = [str(item["Name"]) for item in answer.get("Volumes") or ()]
        return [name for name in names if name.startswith(prefix)]

    def purge(self) -> None:
        """Remove all of this node."""
        if self._local or self._context is None:
            return
        for name in self._names(self._prefix()):
            with contextlib.suppress(NotFound, Conflict):
                self._client.send("DELETE", f"/volumes/{quoted(name)}")

    def mounts(self, request: ContainerRequest) -> list[JsonObject]:
        """Return what a container sees of the volumes."""
        if self._local:
            return [
                *(bodies.bind_mount(mount, request.container) for mount in request.mounts),
                *_termination(request),
            ]
        volumes = {str(volume["name"]): volume for volume in request.pod["spec"].get("volumes") or ()}
        return [
            self._engine_mount(request, mount)
            for mount in request.mounts
            if kind_of(volumes.get(mount.name) or {}) == "emptyDir"
        ]

    def _engine_mount(self, request: ContainerRequest, mount: Mount) -> JsonObject:
        wanted = next((item for item in request.container.get("volumeMounts") or () if item["mountPath"] == mount.target), {})  # fmt: skip
        if wanted.get("subPath") or wanted.get("subPathExpr"):
            raise InvalidInput(
                f'volumeMount "{mount.name}": subPath is not supported with an engine elsewhere'
            )
        name = labels.volume_name(self._prefix(request.pod["metadata"]["uid"]), mount.name)
        return {"Type": "volume", "Source": name, "Target": mount.target, "ReadOnly": mount.read_only}


def _no_options(_: JsonObject) -> JsonObject:
    return {}


def _termination(request: ContainerRequest) -> list[JsonObject]:
    if not request.termination_log:
        return []
    target = str(request.container.get("terminationMessagePath") or TERMINATION_LOG)
    return [{"Type": "bind", "Source": request.termination_log, "Target": target, "ReadOnly": False}]
