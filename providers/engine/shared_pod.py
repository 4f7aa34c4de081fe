"""Pods whose containers share a network and IPC, and processes where asked: what an infra container holds for them.

prepare: find a running one by its labels, start one that never ran, else remove what is left and make a new one
create:  start it again if it has died meanwhile; its members are killed, as they have lost their network
release: kill it; Podman removes it only after its members, and no engine a volume that one has, so that is tried again
         with each that goes
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from pathlib import Path

from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, ProviderError, Unavailable
from virtual_kubelet.objects import Container, JsonObject, Pod
from virtual_kubelet.podruntime.containers import slots
from virtual_kubelet.podruntime.driver import (
    CREATED,
    EXITED,
    RUNNING,
    ContainerRequest,
    ImageError,
    Sandbox,
    SandboxChanged,
)
from virtual_kubelet.provider import PodContext
from virtual_kubelet.providers.engine import bodies, dialing, dns, labels, security, states
from virtual_kubelet.providers.engine.client import Client, quoted
from virtual_kubelet.providers.engine.images import Images
from virtual_kubelet.providers.engine.inventory import Infra, Inventory, Listing
from virtual_kubelet.providers.engine.machine import Machine
from virtual_kubelet.providers.engine.options import EngineOptions
from virtual_kubelet.providers.engine.storage import Storage

__all__ = ["SharedPods"]

logger = logging.getLogger(__name__)

HOSTS = "/etc/hosts"


class SharedPods:
    """The shape of pods on Docker and Podman."""

    def __init__(
        self,
        client: Client,
        images: Images,
        inventory: Inventory,
        storage: Storage,
        machine: Machine,
        options: EngineOptions,
    ) -> None:
        self._client = client
        self._images = images
        self._inventory = inventory
        self._storage = storage
        self._machine = machine
        self._options = options
        self._context: PodContext | None = None  # written once, by `bind`
        self._lock = threading.Lock()
        self._infras: dict[str, str] = {}  # under the lock: UID -> id of the running one
        self._released: set[str] = set()  # under the lock: UIDs of which something is still there

    def bind(self, context: PodContext) -> None:
        """Take the surroundings."""
        self._context = context

    @property
    def _surroundings(self) -> PodContext:
        assert self._context is not None
        return self._context

    def check(self, pod: Pod) -> None:
        """Refuse what this engine cannot do."""
        security.namespaced_sysctls(pod, self._options.unsafe_sysctls)
        for slot in slots(pod):
            security.check(pod, slot.container)
        self._storage.check(pod)
        if self._machine.rootless and self._options.local:
            _check_rootless(pod)

    # -- the infra container --------------------------------------------------------------------------

    def prepare(self, pod: Pod) -> Sandbox:
        """Make or find it."""
        uid = pod["metadata"]["uid"]
        self._storage.prepare(pod)
        with self._lock:
            self._released.discard(uid)
        infra = self._find(uid)
        if not infra:
            self._kill_members(uid)  # what runs is in the network of one that died while nobody looked
            infra = self._make(pod)
        answer = self._inspect(infra)
        if not (answer.get("State") or {}).get("Running"):
            raise Unavailable(
                "the container that holds the pod's network has ended at once; check the infra image"
            )
        with self._lock:
            self._infras[uid] = infra
        on_host = pod["spec"].get("hostNetwork")
        return Sandbox(infra, () if on_host else states.addresses(answer))

    def _inspect(self, infra: str) -> JsonObject:
        answer: JsonObject = self._client.json("GET", f"/containers/{quoted(infra)}/json")
        return answer

    def _find(self, uid: str) -> str:
        """Return a usable one; remove those that are not."""
        usable = ""
        for item in self._inventory.raw(uid=uid, **{labels.KIND: labels.INFRA}):
            infra, state = str(item["Id"]), states.listed_state(item)
            if not usable and (state == RUNNING or (state == CREATED and self._try_start(infra))):
                usable = infra
            else:
                self._remove(infra)
        return usable

    def _try_start(self, infra: str) -> bool:
        try:
            self._client.send("POST", f"/containers/{quoted(infra)}/start", again=True)
        except Unavailable:
            raise
        except ProviderError:
            return False
        return True

    def _make(self, pod: Pod) -> str:
        context = self._surroundings
        image = self._infra_image()
        facts = bodies.InfraFacts(
            image=image,
            command=self._options.infra_command,
            labels=labels.of_infra(pod, context.node_name, context.cluster_id),
            dns=dns.pod_dns(pod, self._options.dns_servers or context.cluster_dns, context.cluster_domain),
            domain=context.cluster_domain,
            network=self._options.network,
            sysctls=security.namespaced_sysctls(pod, self._options.unsafe_sysctls),
            least_oom_score=self._machine.least_oom_score,
        )
        body = bodies.infra_body(pod, facts)
        infra = str(self._client.json("POST", "/containers/create", body=body)["Id"])
        try:
            self._client.send("POST", f"/containers/{quoted(infra)}/start", again=True)
        except ProviderError as error:
            self._remove(infra)
            raise Unavailable(str(error)) from error
        return infra

    def _infra_image(self) -> str:
        try:
            return self._images.ensure(self._options.infra_image, "IfNotPresent").id
        except ImageError as error:
            raise Unavailable(f"{error}; load the image into the engine, or set infra-image") from error

    def release(self, uid: str) -> None:
        """Remove it, or at least end it."""
        with self._lock:
            self._infras.pop(uid, None)
        infras = self._inventory.raw(uid=uid, **{labels.KIND: labels.INFRA})
        gone = [self._remove(str(item["Id"])) for item in infras]
        if not self._storage.release(uid) or not all(gone):
            with self._lock:
                self._released.add(uid)

    def _remove(self, infra: str) -> bool:
        """Kill and remove; False when it has to stay for its members."""
        path = f"/containers/{quoted(infra)}"
        with contextlib.suppress(Conflict, NotFound):
            self._client.send("POST", f"{path}/kill", query={"signal": "KILL"}, again=True)
        try:
            self._client.send("DELETE", path, query={"force": True, "v": True})
        except NotFound:
            return True
        except Conflict:
            return False
        return True

    def removed(self, uid: str) -> None:
        """Try again what had to stay."""
        with self._lock:
            waiting = uid in self._released
        if waiting:
            with self._lock:
                self._released.discard(uid)
            self.release(uid)

    def died(self, container_id: str, uid: str) -> None:
        """Kill the members of an infra container that has died by itself: they have lost their network."""
        with self._lock:
            ours = self._infras.get(uid) == container_id
        if not ours:
            return
        logger.warning("the infra container of pod %s has died; its containers are started anew", uid)
        with contextlib.suppress(ProviderError):
            self._kill_members(uid)

    def _kill_members(self, uid: str) -> None:
        for seen in self._inventory.members(uid):
            if seen.info.state == RUNNING:
                with contextlib.suppress(Conflict, NotFound):
                    path = f"/containers/{quoted(seen.info.id)}/kill"
                    self._client.send("POST", path, query={"signal": "KILL"})

    def tidy(self, listing: Listing) -> None:
        """Remove those without members that this agent did not make: their pod was forgotten.

        Of one that has died unheard the members are killed.
        """
        self._notice_deaths(listing)
        used = {info.uid for info in listing.containers}
        with self._lock:
            used |= set(self._infras)
        for infra in listing.infras:
            if infra.uid not in used and infra.state == EXITED:
                self._tidy_one(infra)

    def _notice_deaths(self, listing: Listing) -> None:
        """Find the infra containers that died in a time without events."""
        running = {infra.id for infra in listing.infras if infra.state != EXITED}
        with self._lock:
            ours = dict(self._infras)
        alive = {info.uid for info in listing.containers if info.state == RUNNING}
        for uid, infra in ours.items():
            if uid in alive and infra not in running and not self._runs(infra):
                self.died(infra, uid)

    def _runs(self, infra: str) -> bool:
        try:
            return bool((self._inspect(infra).get("State") or {}).get("Running"))
        except NotFound:
            return False
        except ProviderError:
            return True  # nobody knows: the next list tells

    def _tidy_one(self, infra: Infra) -> None:
        with contextlib.suppress(ProviderError):
            self._remove(infra.id)

    # -- members --------------------------------------------------------------------------------------

    def body(self, request: ContainerRequest) -> JsonObject:
        """Return a member."""
        pod, container = request.pod, request.container
        infra = request.sandbox.id
        self._revive(request)
        facts = bodies.ContainerFacts(
            image_user=self._images.facts(request.image_id).user,
            memory_of_node=self._machine.memory,
            least_oom_score=self._machine.least_oom_score,
            log_config=self._options.log_config,
            namespaces=self._namespaces(pod, container, infra),
            mounts=[*self._storage.mounts(request), *self._hosts(request)],
            hostname=self._hostname(pod),
            read_profile=self._options.read_profile,
        )
        return bodies.container_body(request, facts)

    def _revive(self, request: ContainerRequest) -> None:
        """Start the infra container if it does not run; raise `SandboxChanged` where its network is another one."""
        infra = request.sandbox.id
        try:
            answer = self._inspect(infra)
        except NotFound as error:
            raise SandboxChanged("the container that holds the pod's network is gone") from error
        if not (answer.get("State") or {}).get("Running"):
            # Before it runs again: from then on nobody sees that they have lost their network.
            self._kill_members(request.pod["metadata"]["uid"])
            self._client.send("POST", f"/containers/{quoted(infra)}/start", again=True)
            answer = self._inspect(infra)
        ips = states.addresses(answer)
        if ips and ips != request.sandbox.ips and not request.pod["spec"].get("hostNetwork"):
            raise SandboxChanged(f"the pod's network has begun anew, with {', '.join(ips)}")

    def _namespaces(self, pod: Pod, container: Container, infra: str) -> JsonObject:
        spec, joined = pod["spec"], f"container:{infra}"
        config: JsonObject = {
            "NetworkMode": "host" if spec.get("hostNetwork") else joined,
            "IpcMode": "host" if spec.get("hostIPC") else joined,
        }
        if spec.get("hostNetwork"):
            config["UTSMode"] = "host"
        target = container.get("targetContainerName")
        if target:
            config["PidMode"] = f"container:{self._target(pod, str(target))}"
        elif spec.get("hostPID"):
            config["PidMode"] = "host"
        elif spec.get("shareProcessNamespace"):
            config["PidMode"] = joined
        return config

    def _target(self, pod: Pod, name: str) -> str:
        """Return the running container that an ephemeral one looks into."""
        for seen in self._inventory.members(pod["metadata"]["uid"]):
            if seen.info.name == name and seen.info.state == RUNNING:
                return seen.info.id
        raise Unavailable(f'target container "{name}" is not running')

    def _hostname(self, pod: Pod) -> str:
        # Docker gives members the name of the container whose network they join, and refuses another one.
        podman = self._client.engine().is_podman
        return dns.hostname(pod) if podman and not pod["spec"].get("hostNetwork") else ""

    def _hosts(self, request: ContainerRequest) -> list[JsonObject]:
        """Return the mount of our hosts file, where the engine can see our files and the container has none of its own."""
        pod = request.pod
        mounted = {mount.target for mount in request.mounts}
        if (
            not self._options.local
            or pod["spec"].get("hostNetwork")
            or HOSTS in mounted
            or not request.directory
        ):
            return []
        path = Path(request.directory).with_name(f"{request.container['name']}.etc-hosts")
        text = dns.hosts_file(pod, request.sandbox.ips, self._surroundings.cluster_domain)
        if not path.exists():  # a container may have changed it: that lasts as long as the pod
            fresh = path.with_name(f"{path.name}.new")
            fresh.write_text(text, encoding="utf-8")
            fresh.chmod(0o644)
            fresh.replace(path)  # whole or not at all: it is written once
        mount = {"Type": "bind", "Source": str(path), "Target": HOSTS, "ReadOnly": False}
        return [mount]

    # -- ports ----------------------------------------------------------------------------------------

    def dial(self, uid: str, port: int, timeout: float) -> socket.socket:
        """Connect from inside the pod's network, or to its address."""
        with self._lock:
            infra = self._infras.get(uid)
        if infra is None:
            raise Unavailable("the pod has no network yet")
        answer = self._inspect(infra)
        pid = int((answer.get("State") or {}).get("Pid") or 0)
        if self._options.local and pid > 1:
            connection = dialing.dial_namespace(pid, port, timeout)
            if connection is not None:
                return connection
        ips = states.addresses(answer)
        if self._machine.rootless:
            raise Unavailable(
                "the pods of a rootless engine can be reached only by the engine's own user on its machine"
            )
        host = ips[0] if ips else (self._client.endpoint.host or "127.0.0.1")
        return dialing.dial_address(host, port, timeout)


def _check_rootless(pod: Pod) -> None:
    """Refuse probes that connect: a rootless engine's pods have no address that the agent could reach."""
    if pod["spec"].get("hostNetwork"):
        return
    for slot in slots(pod):
        for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
            probe: JsonObject = dict(slot.container).get(kind) or {}  # type: ignore[assignment]  # JSON
            if any(probe.get(handler) for handler in ("httpGet", "tcpSocket", "grpc")):
                raise InvalidInput(
                    f'container "{slot.name}": {kind} connects to the pod, which the node cannot reach with a rootless'
                    " engine; use an exec probe, hostNetwork, or a rootful engine"
                )
