"""The API server's side of one node: client, informers, events, references, and what these know of the node.

Made from settings, nothing runs yet. The pod half, the node half and the HTTPS server are put between this and
the provider (`agent`).
"""

from __future__ import annotations

from collections.abc import Mapping

from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.recorder import EventRecorder
from virtual_kubelet.kube.references import References
from virtual_kubelet.kube.resources import NODES, PODS
from virtual_kubelet.kube.tokens import Tokens
from virtual_kubelet.node.api_gate import ApiGate
from virtual_kubelet.node.pod_context import NodePodContext
from virtual_kubelet.node.pod_preparation import PodPreparation
from virtual_kubelet.objects import Node, NodeAddress
from virtual_kubelet.pure.environment import Facts
from virtual_kubelet.runtime.clock import Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import StopSignal
from virtual_kubelet.settings import Settings

__all__ = ["Surroundings"]

SPARE_CONNECTIONS = 8  # of the pool, beside those of the pod workers: watches, node, lease, events, reviews


class Surroundings:
    """Parts that talk to the API server, and answers that several others want. Safe from any thread."""

    def __init__(
        self, settings: Settings, access: ApiAccess, metrics: Metrics, stopping: StopSignal, clock: Clock
    ) -> None:
        self._settings = settings
        name = settings.node_name
        self.client = Client(
            access,
            pool_size=settings.pod_sync_workers + SPARE_CONNECTIONS,
            qps=settings.kube_api_qps,
            burst=settings.kube_api_burst,
            clock=clock,
            metrics=metrics,
            stop=stopping,
        )
        self.gate = ApiGate(self.client, settings, clock=clock)
        self.recorder = EventRecorder(
            self.client, component=f"{name}/pod-controller", host=name, clock=clock, metrics=metrics
        )
        self.event = self.recorder.event
        self.pods = Informer(
            self.client,
            PODS,
            namespace=settings.namespace,
            field_selector=f"spec.nodeName={name}",
            resync_period=settings.full_resync_period,
            clock=clock,
            metrics=metrics,
        )
        self.node = Informer(
            self.client, NODES, field_selector=f"metadata.name={name}", clock=clock, metrics=metrics
        )
        self.references = References(
            self.client, self.pods.store, clock=clock, namespace=settings.namespace, metrics=metrics
        )
        self._tokens = Tokens(self.client, clock)
        self.prepare = PodPreparation(self.references, self.facts, self.event)

    def context(self) -> NodePodContext:
        """Return what a provider may ask of us; once the gate is open."""
        return NodePodContext(
            self._settings,
            node_ip=self.gate.node_ip,
            cluster_id=self.gate.cluster_id,
            pods=self.pods.store,
            references=self.references,
            tokens=self._tokens,
            facts=self.facts,
            node=self.own_node,
            event=self.event,
        )

    def host_ips(self) -> tuple[str, ...]:
        """Return the addresses that pods report as their host's."""
        return (self.gate.node_ip,) if self.gate.node_ip else ()

    def own_node(self) -> Node | None:
        """Return the Node as the API server has it; None while it is not known."""
        found: Node | None = self.node.store.get(self._settings.node_name)
        return found

    def facts(self) -> Facts:
        """Return what containers may know of the node."""
        node = self.own_node() or {}
        allocatable: Mapping[str, str] = node.get("status", {}).get("allocatable") or {}
        return Facts(host_ips=self.host_ips(), allocatable=allocatable)

    def addresses(self) -> list[NodeAddress]:
        """Return the node's addresses, as far as they are ours to say."""
        found: list[NodeAddress] = [{"type": "InternalIP", "address": ip} for ip in self.host_ips()]
        return [*found, {"type": "Hostname", "address": self._settings.node_name}]

    def published_addresses(self) -> list[NodeAddress]:
        """Return the addresses that the API server holds; none before that."""
        node = self.own_node() or {}
        found: list[NodeAddress] = node.get("status", {}).get("addresses") or []
        return found

    def known_addresses(self) -> list[NodeAddress]:
        """Return the addresses that the API server holds; before that, our own."""
        return self.published_addresses() or self.addresses()
