"""Pods on Azure Container Instances: the contract with the agent, kept by the parts of this package."""

from __future__ import annotations

import logging

from virtual_kubelet.errors import InvalidInput, NotFound, NotSupported, ProviderError, Unavailable
from virtual_kubelet.objects import Condition, JsonObject, Node, Pod, PodStatus
from virtual_kubelet.provider import ExecIO, ForwardStream, LogOptions, LogStream, PodContext, ProviderConfig
from virtual_kubelet.providers.azure import config as configuration
from virtual_kubelet.providers.azure import forward as forwarding
from virtual_kubelet.providers.azure import parts, sessions
from virtual_kubelet.providers.azure.capacity import Capacity
from virtual_kubelet.providers.azure.client import Client
from virtual_kubelet.providers.azure.config import AzureConfig
from virtual_kubelet.providers.azure.creation import Creation
from virtual_kubelet.providers.azure.deadlines import Deadlines
from virtual_kubelet.providers.azure.entry import Entry, is_there
from virtual_kubelet.providers.azure.inventory import Inventory
from virtual_kubelet.providers.azure.logs import GroupLog
from virtual_kubelet.providers.azure.metrics import Metrics
from virtual_kubelet.providers.azure.refresh import Refresh
from virtual_kubelet.providers.azure.removal import Removal
from virtual_kubelet.providers.azure.subnet import SubnetKeeper
from virtual_kubelet.providers.azure.surroundings import Surroundings
from virtual_kubelet.providers.azure.update import Update
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal

__all__ = ["AzureProvider", "create"]

logger = logging.getLogger(__name__)

UNKNOWN_LOOK = 1.0  # seconds for which a list is good enough for a question about a pod that we do not know
PING_AGE = 20.0  # seconds for which any answer of ARM's stands for one to a ping
PURGE_WITHIN = 60.0  # seconds
PURGE_PAUSE = 0.5

LABELS = {
    "alpha.service-controller.kubernetes.io/exclude-balancer": "true",
    "node.kubernetes.io/exclude-from-external-load-balancers": "true",
    "kubernetes.azure.com/managed": "false",
}
REGION_LABEL = "topology.kubernetes.io/region"


def create(config: ProviderConfig) -> AzureProvider:
    """Return the provider of one node; raises `ConfigError`, sends nothing."""
    return AzureProvider(configuration.load(config))


class AzureProvider:
    """Nine methods, and the abilities that ACI has something to offer for."""

    def __init__(self, config: AzureConfig, *, clock: Clock = SYSTEM) -> None:
        self._config = config
        self._clock = clock
        self._connection = parts.connect(config, clock)
        client, budget = self._connection.client, self._connection.budget
        self._client = client
        self._surroundings = Surroundings(config)
        self._inventory = Inventory(lambda: self._surroundings.owner, clock=clock)
        self._refresh = Refresh(client, self._inventory, self._surroundings, budget, clock=clock)
        subnet = SubnetKeeper(client, config.subnet)
        self._creation = Creation(
            client, self._inventory, self._surroundings, config, subnet.ensure, clock=clock
        )
        self._update = Update(client, self._inventory, self._surroundings, self._creation)
        self._removal = Removal(client, self._inventory, self._surroundings, self._creation, clock=clock)
        self._deadlines = Deadlines(client, self._inventory, self._surroundings, clock=clock)
        self._capacity = Capacity(config, client, clock=clock)
        self._metrics = Metrics(client, self._inventory, budget, clock=clock)

    def bind(self, context: PodContext) -> None:
        """Take the Kubernetes side."""
        self._surroundings.bind(context)

    # --- pods

    def create_pod(self, pod: Pod) -> None:
        """Begin the pod's container group."""
        self._creation.create(pod)

    def update_pod(self, pod: Pod) -> None:
        """Apply new images and tags; say what would need a new container group."""
        self._update.update(pod)

    def delete_pod(self, pod: Pod) -> None:
        """Begin to remove the pod's container group, and pursue that until it is gone."""
        self._removal.delete(pod)

    def get_pods(self) -> list[Pod]:
        """Return the pods of this node's container groups; raises when the list cannot be had."""
        self._refresh.run()
        self._deadlines.enforce()
        return self._inventory.pods(self._surroundings.namespace, self._surroundings.held())

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        """Return the pod as its container group shows it, read now where the budget allows."""
        entry = self._entry(namespace, name)
        if entry is None:
            # Not known: a list tells, for a group may be there since before this process.
            self._refresh.list_once(UNKNOWN_LOOK)
            entry = self._entry(namespace, name)
        if entry is None:
            return None
        if entry.removing:
            self._refresh.check_removal(entry)
        else:
            self._refresh.read_one(entry)
        current = self._entry(namespace, name)
        if current is None:
            return None
        pod = current.pod()
        # Looked at after the status was taken: the failure may become known in between, and Failed is final.
        wanted = self._surroundings.held() if current.waits_for_room else ()
        return pod if is_there(current, wanted) else None

    def get_pod_status(self, namespace: str, name: str) -> PodStatus | None:
        """Return the status of one pod."""
        pod = self.get_pod(namespace, name)
        return pod["status"] if pod else None

    # --- the node

    def capacity(self) -> dict[str, str]:
        """Return what is configured, or what the region's quotas allow."""
        return self._capacity.get()

    def node_conditions(self) -> list[Condition]:
        """Return Ready as Azure Resource Manager answers us."""
        verdict = self._connection.health.verdict()
        status = "True" if verdict.ready else "False"
        return [{"type": "Ready", "status": status, "reason": verdict.reason, "message": verdict.message}]

    def operating_system(self) -> str:
        """Return `Linux` or `Windows`."""
        return self._config.operating_system

    def configure_node(self, node: Node) -> None:
        """Keep load balancers and AKS's own controllers away, and say where the pods are."""
        labels = node["metadata"].setdefault("labels", {})
        labels.update(LABELS)
        labels.setdefault(REGION_LABEL, self._config.region)

    def ping(self) -> None:
        """Return when Azure Resource Manager answers; asks only when it has been silent for a while."""
        verdict = self._connection.health.verdict()
        if verdict.ready and verdict.age < PING_AGE:
            return
        self._refresh.list_once(0.0)

    # --- looking into containers

    def container_logs(
        self, namespace: str, pod: str, uid: str, container: str, options: LogOptions
    ) -> LogStream:
        """Open a container's log."""
        entry = self._find(namespace, pod, uid)
        self._check_container(entry, container)
        self._check_started(entry, pod, container)
        if options.previous:
            raise NotFound(
                f'previous terminated container "{container}" in pod "{pod}" not found:'
                " Azure keeps the log of the last instance only"
            )
        if options.stream != "All":
            raise NotSupported("Azure keeps standard output and standard error as one log")

        def fetch(tail: int | None, timestamps: bool) -> str:  # noqa: FBT001  # as `logs.Fetch` has it
            return self._client.logs(entry.name, container, tail=tail, timestamps=timestamps)

        return GroupLog(fetch, lambda: self._has_ended(entry, container), options, clock=self._clock)

    def exec_in_container(
        self, namespace: str, pod: str, uid: str, container: str, command: list[str], io: ExecIO
    ) -> int:
        """Run a command by ACI's exec; Azure does not tell its exit code, so an end is a good end."""
        entry = self._running(namespace, pod, uid, container)
        size = sessions.terminal_size(io)
        session = self._client.exec(entry.name, container, sessions.command_line(command), size)
        sessions.connect(session, io, secure=self._secure, with_input=io.stdin)
        return 0

    def attach_to_container(self, namespace: str, pod: str, uid: str, container: str, io: ExecIO) -> None:
        """Show a container's output; its input cannot be reached."""
        entry = self._running(namespace, pod, uid, container)
        if io.stdin:
            raise NotSupported(
                "Azure lets nobody write to a running container's input; attach without stdin, or use exec"
            )
        session = self._client.attach(entry.name, container)
        sessions.connect(session, io, secure=self._secure, with_input=False)

    def port_forward(self, namespace: str, pod: str, uid: str, port: int, stream: ForwardStream) -> None:
        """Connect to a port of the container group, where this agent reaches its address."""
        entry = self._find(namespace, pod, uid)
        self._refresh.read_one(entry)
        address = entry.status.get("podIP", "")
        if not address:
            raise Unavailable(
                f'pod "{pod}" has no address: a container group has one in a subnet, or with a port'
            )
        forwarding.forward(address, port, stream)

    def stats_summary(self) -> JsonObject:
        """Return what containers use, as Azure Monitor has it."""
        return self._metrics.summary()

    # --- ending

    def close(self, deadline: float) -> None:
        """Let go; container groups go on."""
        self._refresh.close()
        self._creation.close()
        self._client.close()
        self._removal.close(Deadline(deadline, self._clock))

    def purge(self) -> None:
        """Remove every container group of this node; also after `close`."""
        client = parts.connect(self._config, self._clock, self._connection.tokens).client
        pause, deadline = StopSignal(self._clock), Deadline(PURGE_WITHIN, self._clock)
        try:
            while left := self._ours(client.list_all()):
                if deadline.expired:
                    raise Unavailable(f"container groups that are still there: {', '.join(left)}")
                for name in left:
                    _delete_quietly(client, name)
                pause.wait(PURGE_PAUSE)
        finally:
            client.close()

    # --- inside

    @property
    def _secure(self) -> bool:
        return self._config.credential.resource_manager.startswith("https:")

    def _ours(self, groups: list[JsonObject]) -> list[str]:
        owner, held = self._surroundings.owner, self._surroundings.held()
        return [str(group.get("name")) for group in groups if owner.identify(group, held)]

    def _entry(self, namespace: str, name: str) -> Entry | None:
        """Return the group of the pod of this name; of several, the one that the API server has."""
        found = self._inventory.of_key(namespace, name)
        if len(found) > 1:
            held = self._surroundings.held()
            found.sort(key=lambda entry: entry.identity.uid not in held)
        return found[0] if found else None

    def _find(self, namespace: str, pod: str, uid: str) -> Entry:
        entry = self._inventory.by_uid(uid)
        if entry is None:
            self._refresh.list_once(UNKNOWN_LOOK)
            entry = self._inventory.by_uid(uid)
        if entry is None:
            raise NotFound(f'pod "{namespace}/{pod}" not found')
        return entry

    def _check_container(self, entry: Entry, container: str) -> None:
        spec = entry.pod()["spec"]
        names = [item["name"] for item in (*spec["containers"], *spec.get("initContainers", []))]
        if names and container not in names:
            name = entry.identity.name
            raise NotFound(f'container "{container}" in pod "{name}" not found; it has {", ".join(names)}')

    def _check_started(self, entry: Entry, pod: str, container: str) -> None:
        """Say it as a kubelet does when there can be no log yet."""
        if "waiting" not in _state(entry, container):
            return
        self._refresh.read_one(entry)
        for item in entry.status.get("containerStatuses", []):
            waiting = item.get("state", {}).get("waiting")
            if item["name"] == container and waiting is not None and not item.get("restartCount"):
                reason = waiting.get("reason", "ContainerCreating")
                raise InvalidInput(f'container "{container}" in pod "{pod}" is waiting to start: {reason}')

    def _running(self, namespace: str, pod: str, uid: str, container: str) -> Entry:
        entry = self._find(namespace, pod, uid)
        self._check_container(entry, container)
        self._refresh.read_one(entry)
        state = _state(entry, container)
        if "terminated" in state or "waiting" in state:
            raise InvalidInput(f'container "{container}" in pod "{pod}" is not running')
        return entry

    def _has_ended(self, entry: Entry, container: str) -> bool:
        self._refresh.read_one(entry)
        current = self._inventory.by_uid(entry.identity.uid)
        return current is None or "terminated" in _state(current, container)


def _delete_quietly(client: Client, name: str) -> None:
    try:
        client.delete(name)
    except ProviderError as error:
        logger.info("container group %s cannot be removed yet: %s", name, error)


def _state(entry: Entry, container: str) -> JsonObject:
    status = entry.status
    for item in (*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])):
        if item["name"] == container:
            return {**item.get("state", {})}
    return {}
