"""Pods whose containers have nothing in common but their labels, for services that know single containers only."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime.driver import RUNNING, ContainerRequest, Sandbox
from virtual_kubelet.provider import PodContext
from virtual_kubelet.providers.engine import bodies, dialing, dns
from virtual_kubelet.providers.engine.images import Images
from virtual_kubelet.providers.engine.inventory import Inventory, Listing
from virtual_kubelet.providers.engine.options import EngineOptions
from virtual_kubelet.providers.engine.storage import Storage

__all__ = ["LoosePods"]


class LoosePods:
    """The shape of pods on Hyper: each container has a network of its own, the pod's address is its first one's."""

    def __init__(
        self,
        images: Images,
        inventory: Inventory,
        storage: Storage,
        options: EngineOptions,
        *,
        rules: Callable[[Pod], None],
        labels: Callable[[Pod, Container], Mapping[str, str]],
        publish_all: bool = True,
    ) -> None:
        """`rules` raise `InvalidInput` for what the service has not; `labels` are more of them, the service's own.

        `publish_all`: ports without a hostPort are published at their own number, not left alone.
        """
        self._images = images
        self._inventory = inventory
        self._storage = storage
        self._options = options
        self._rules = rules
        self._labels = labels
        self._publish_all = publish_all
        self._context: PodContext | None = None  # written once, by `bind`

    def bind(self, context: PodContext) -> None:
        """Take the surroundings."""
        self._context = context

    def check(self, pod: Pod) -> None:
        """Refuse what the service has not."""
        self._rules(pod)
        for container in (*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]):
            self._labels(pod, container)
        self._storage.check(pod)

    def prepare(self, pod: Pod) -> Sandbox:
        """Make the volumes; there is nothing else in common."""
        self._storage.prepare(pod)
        return Sandbox(pod["metadata"]["uid"])

    def release(self, uid: str) -> None:
        """Remove the volumes."""
        self._storage.release(uid)

    def body(self, request: ContainerRequest) -> JsonObject:
        """Return a container."""
        pod = request.pod
        facts = bodies.ContainerFacts(
            image_user=self._images.facts(request.image_id).user,
            memory_of_node=0,
            least_oom_score=0,
            log_config=self._options.log_config,
            namespaces={"NetworkMode": self._options.network or "bridge"},
            mounts=self._storage.mounts(request),
            hostname=dns.hostname(pod),
            read_profile=self._options.read_profile,
        )
        body = bodies.container_body(request, facts)
        body["Image"] = request.image  # the service knows images by name
        body["Labels"] = {**body["Labels"], **self._labels(pod, request.container)}
        body["ExposedPorts"], body["HostConfig"]["PortBindings"] = _ports(
            request.container, publish_all=self._publish_all
        )
        # Mounts came with API 1.25; Binds have always been there.
        mounts = body["HostConfig"].pop("Mounts")
        body["HostConfig"]["Binds"] = [_bind(mount) for mount in mounts]
        # The service's own defaults: no restarts, which the runtime does, and nothing of a host's.
        for field in ("OomScoreAdj", "MemorySwap", "RestartPolicy"):
            body["HostConfig"].pop(field, None)
        body.pop("Healthcheck", None)
        body["NetworkingConfig"] = {}
        return body

    def removed(self, uid: str) -> None:
        """Remove volumes that an ended container held, once nothing of the pod is left."""
        if not self._inventory.members(uid):
            self._storage.release(uid)

    def died(self, container_id: str, uid: str) -> None:
        """Do nothing: there is no container but those of the spec."""

    def tidy(self, listing: Listing) -> None:
        """Do nothing, for the same reason."""

    def dial(self, uid: str, port: int, timeout: float) -> socket.socket:
        """Connect to the first container that answers at the port."""
        problem = Unavailable("no container of the pod has an address")
        for seen in self._inventory.members(uid):
            if seen.info.state == RUNNING and seen.info.ip:
                try:
                    return dialing.dial_address(seen.info.ip, port, timeout)
                except Unavailable as error:
                    problem = error
        raise problem


def _ports(container: Container, *, publish_all: bool) -> tuple[JsonObject, JsonObject]:
    """Return ExposedPorts and PortBindings."""
    exposed: JsonObject = {}
    bindings: JsonObject = {}
    for port in container.get("ports") or ():
        name = f"{port['containerPort']}/{(port.get('protocol') or 'TCP').lower()}"
        exposed[name] = {}
        number = port.get("hostPort") or (port["containerPort"] if publish_all else 0)
        if not number:
            continue
        bindings.setdefault(name, []).append(
            {"HostIp": port.get("hostIP") or "0.0.0.0", "HostPort": str(number)}
        )
    return exposed, bindings


def _bind(mount: JsonObject) -> str:
    return f"{mount['Source']}:{mount['Target']}{':ro' if mount['ReadOnly'] else ''}"
