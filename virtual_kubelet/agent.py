"""The composition root: a whole node from settings and a provider. This is what programs embed.

    from virtual_kubelet.agent import VirtualKubelet
    from virtual_kubelet.settings import Settings

    with VirtualKubelet(Settings(kubeconfig=path, node_name="edge"), MyProvider()) as agent:
        agent.wait_ready(timeout=30)
        ...

Several agents live in one process. None of them touches signals or logging: these are the program's own. An agent
starts its parts in this order, and stops them in reverse under one deadline:

    HTTPS server, events -> (the API server answers) -> informers -> pods -> node and lease
"""

from __future__ import annotations

import logging
import threading
from types import TracebackType

from virtual_kubelet.errors import ApiUnavailable, ProviderError, VirtualKubeletError
from virtual_kubelet.kube import client_certificate, config
from virtual_kubelet.kubelet import api
from virtual_kubelet.kubelet.service import KubeletServer
from virtual_kubelet.node.health import Health, first_problem, passes
from virtual_kubelet.node.host import host_facts
from virtual_kubelet.node.node_controller import NodeController
from virtual_kubelet.node.pods import Pods
from virtual_kubelet.node.surroundings import Surroundings
from virtual_kubelet.node.synced import SLICE, Synced
from virtual_kubelet.objects import Taint
from virtual_kubelet.provider import Binding, Closing, Provider
from virtual_kubelet.pure.node_object import NodeWish
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.services import Service, ServiceGroup
from virtual_kubelet.runtime.threads import Deadline, StopSignal
from virtual_kubelet.settings import Settings
from virtual_kubelet.version import KUBERNETES_VERSION, __version__

__all__ = ["VirtualKubelet"]

logger = logging.getLogger(__name__)

STOP_TIMEOUT = 30.0  # seconds
SERVICES_TIMEOUT = 5.0  # seconds to wait for the list of services
WEBSOCKET_FEATURE = "ExtendWebSocketsToKubelet"
WEBSOCKET_SINCE = (1, 36)


class VirtualKubelet:
    """A Kubernetes node whose pods run in `provider`.

    `start` may be called once; `stop` from any thread, more than once, also during `start`. The provider is
    closed by `stop` where it can be (`Closing`); its workloads go on.
    """

    def __init__(self, settings: Settings, provider: Provider, *, clock: Clock = SYSTEM) -> None:
        """Make the agent; nothing runs and nothing is read yet."""
        self.settings = settings
        self.provider = provider
        self.metrics = Metrics()
        self._clock = clock
        self._stopping = StopSignal(clock)
        self._finished = StopSignal(clock)
        self._lock = threading.Lock()
        self._ending = threading.RLock()  # held through a stop: a second one waits for the first
        self._node: _Node | None = None  # under the lock; set once
        self._started = False  # under the lock

    def start(self) -> None:
        """Start everything; return when the pods' first list is there and the node is being registered.

        An API server that cannot be reached is waited for, up to `settings.startup_timeout`; a stop
        meanwhile makes this return. Whatever it raises, nothing is left running.

        Raises:
            ConfigError: a setting, the kubeconfig, credentials or rights are wrong; waiting would not help.
            ApiUnavailable: the API server was not there in time.
            RuntimeError: it was started before.
        """
        with self._lock:
            if self._started:
                raise RuntimeError("an agent is started once: make another one")
            self._started = True
        try:
            node = _Node(self.settings, self.provider, self.metrics, self._stopping, self._clock)
            with self._lock:
                self._node = node
            if self._stopping.is_set():
                node.stop(Deadline(0, self._clock))  # whoever stopped us saw no node
            else:
                node.services.start()
        except BaseException as error:
            if self._stopping.is_set() and isinstance(error, VirtualKubeletError):
                logger.debug("stopped while starting: %s", error)
                return
            self.stop(STOP_TIMEOUT)
            raise

    def wait_ready(self, timeout: float | None = None) -> None:
        """Wait until the API server holds the node as Ready.

        Raises `ApiUnavailable` when that takes more than `timeout` seconds (None: for ever), or the agent stops.
        """
        node = self._running()
        if not node.controller.wait_ready(timeout):
            why = node.controller.problem or node.pods.snapshot.failure or "the API server has not said so"
            raise ApiUnavailable(f"node {self.settings.node_name} is not Ready: {why}")

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Stop everything within `timeout` seconds; node, lease and workloads stay as they are.

        A stop that is under way already is waited for.
        """
        self._stopping.set()
        deadline = Deadline(timeout, self._clock)
        if not self._ending.acquire(timeout=deadline.remaining()):
            return
        try:
            self._stop_all(deadline)
        finally:
            self._ending.release()

    def _stop_all(self, deadline: Deadline) -> None:
        with self._lock:
            node = self._node
        if node is not None:
            node.stop(deadline)
        if not self._finished.is_set():
            self._close_provider(deadline)
        self._finished.set()

    def run(self) -> None:
        """Start, then return when somebody called `stop` and it is done; raises what `start` raises."""
        self.start()
        self._finished.wait()

    def __enter__(self) -> VirtualKubelet:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    @property
    def port(self) -> int:
        """The port of the kubelet's HTTPS server: the real one, once started."""
        return self._running().server.port

    def healthy(self) -> bool:
        """Tell whether the agent runs and works; what is wrong otherwise only a restart would cure. See /healthz."""
        node = self._up()
        return node is not None and passes(node.health.live())

    def ready(self) -> bool:
        """Tell whether API server, provider and node are all as they should be. See /readyz."""
        node = self._up()
        return node is not None and passes(node.health.ready())

    def problem(self) -> str:
        """Return what keeps the agent from being ready, in one line; "" when it is."""
        node = self._up()
        return "not running" if node is None else first_problem(node.health.ready())

    def _up(self) -> _Node | None:
        with self._lock:
            return None if self._stopping.is_set() else self._node

    def _running(self) -> _Node:
        with self._lock:
            if self._node is None:
                raise RuntimeError("the agent has not been started")
            return self._node

    def _close_provider(self, deadline: Deadline) -> None:
        if not isinstance(self.provider, Closing):
            return
        try:
            self.provider.close(deadline.remaining())
        except Exception:
            logger.exception("the provider could not be closed")


class _Node:
    """The parts of a running agent, wired; nothing is started here."""

    def __init__(
        self, settings: Settings, provider: Provider, metrics: Metrics, stopping: StopSignal, clock: Clock
    ) -> None:
        self._settings = settings
        self._provider = provider
        self._stopping = stopping
        self._clock = clock
        access = config.load(settings.kubeconfig)
        self._around = around = Surroundings(settings, access, metrics, stopping, clock)
        self.pods = Pods(
            provider,
            around.client,
            around.pods,
            around.prepare,
            around.event,
            host_ips=around.host_ips,
            namespace=settings.namespace,
            workers=settings.pod_sync_workers,
            sync_period=settings.provider_sync_period,
            metrics=metrics,
            clock=clock,
        )
        around.references.on_change(self.pods.look_at)
        self.controller = NodeController(
            self._wish,
            provider,
            self.pods.calls,
            around.client,
            around.node,
            around.event,
            name=settings.node_name,
            port=lambda: self.server.port,
            addresses=around.addresses,
            not_ready_on_stop=settings.not_ready_on_stop,
            metrics=metrics,
            clock=clock,
        )
        self.health = Health(
            around.gate, around.pods, self.pods, self.controller, workers=settings.pod_sync_workers
        )
        self.server = self._make_server(metrics, clock)
        self.services = ServiceGroup(self._in_order(access, clock), clock=clock)
        metrics.node_name.labels(settings.node_name).set(1)

    def stop(self, deadline: Deadline) -> None:
        """Stop all parts, then close the connections."""
        self.services.stop(deadline)
        self.controller.stop(deadline)  # for those who wait for Ready, though it may never have begun
        self._around.client.close()

    def _make_server(self, metrics: Metrics, clock: Clock) -> KubeletServer:
        node = api.Node(
            self._settings,
            self._provider,
            self._around.pods.store,
            metrics,
            ready=self.health.ready(),
            live=self.health.live(),
            backend=self.pods.backend,
            clock=clock,
        )
        around = self._around
        return KubeletServer(
            node, around.client, addresses=around.known_addresses, published=around.published_addresses
        )

    def _in_order(self, access: config.ApiAccess, clock: Clock) -> list[Service]:
        """Return all services in the order of their start."""
        around, timeout = self._around, self._settings.startup_timeout
        return [
            around.recorder,
            self.server,
            around.gate,
            around.pods,
            around.references,
            around.node,
            Synced([around.pods, around.node], self._bind, timeout=timeout, clock=clock),
            self.pods,
            self.controller,
            *self._renewals(access, clock),
        ]

    def _renewals(self, access: config.ApiAccess, clock: Clock) -> list[Service]:
        """Return what renews the certificate that `bootstrap` got; nothing for identities of others' making."""
        own = client_certificate.own_file(access)
        if own is None:
            return []
        return [client_certificate.Renewal(self._around.client, own, self._settings.node_name, clock=clock)]

    def _bind(self) -> None:
        """Introduce the provider to its surroundings, before its first pod."""
        # Not for ever: an agent that may not read services runs pods without their variables.
        deadline = Deadline(SERVICES_TIMEOUT, self._clock)
        while not self._around.references.wait_synced(SLICE) and not deadline.expired:
            if self._stopping.is_set():
                return
        if isinstance(self._provider, Binding):
            self._provider.bind(self._around.context())

    def _wish(self) -> NodeWish:
        """Return what the settings, the host and the API server's version make of the node."""
        settings = self._settings
        features = (WEBSOCKET_FEATURE,) if self._around.gate.version >= WEBSOCKET_SINCE else ()
        return NodeWish(
            name=settings.node_name,
            operating_system=self._operating_system(),
            version=__version__,
            kubernetes_version=KUBERNETES_VERSION,
            host=host_facts(),
            labels=settings.node_labels,
            taints=[_taint(taint.key, taint.value, taint.effect) for taint in settings.taints],
            features=features,
        )

    def _operating_system(self) -> str:
        try:
            return self.pods.calls.ability("operating_system", self._provider.operating_system)
        except ProviderError as error:
            logger.warning("the provider does not tell its operating system: %s", error)
            return self._settings.operating_system


def _taint(key: str, value: str, effect: str) -> Taint:
    taint: Taint = {"key": key, "effect": effect}
    if value:
        taint["value"] = value
    return taint
