"""The Node object, kept: registered, reported every ten seconds, healed when somebody deletes or changes it.

    provider --conditions, capacity--> NodeController --patches--> API server
    ping -- is the backend there? ---^        ^---- informer on our own Node: deleted? changed?

What is computed each ten seconds is written when it says something new, else each five minutes (the lease is the
heartbeat that counts), as the kubelet does.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

from virtual_kubelet.errors import ApiError, ApiNotFound, NotSupported, ProviderError
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.node.lease import NodeLease
from virtual_kubelet.node.node_writer import NodeWriter
from virtual_kubelet.node.ping import Ping
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.objects import Condition, Node, NodeAddress, NodeStatus
from virtual_kubelet.provider import ConfiguringNode, NodeAddresses, Provider
from virtual_kubelet.pure import times
from virtual_kubelet.pure.node_conditions import node_conditions, transitions
from virtual_kubelet.pure.node_object import NodeWish, base_node, normal_quantities
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline, StopSignal

__all__ = ["NodeController"]

logger = logging.getLogger(__name__)

INTERVAL = 10.0  # seconds between two looks at the provider
REPORT_INTERVAL = 300.0  # seconds after which an unchanged status is written all the same

Event = Callable[[Any, str, str, str], None]


class NodeController:
    """Keeps one Node and its lease; a service. `informer` watches this node alone.

    `wish()` is asked once, in the first report. With `not_ready_on_stop` the last thing it writes is Ready=False; else node and lease stay as they are, so
    that an upgrade of the agent evicts nobody.
    """

    def __init__(
        self,
        wish: Callable[[], NodeWish],
        provider: Provider,
        calls: ProviderCalls,
        client: Client,
        informer: Informer,
        event: Event,
        *,
        name: str,
        port: Callable[[], int],
        addresses: Callable[[], list[NodeAddress]],
        not_ready_on_stop: bool,
        metrics: Metrics,
        clock: Clock = SYSTEM,
    ) -> None:
        self._name = name
        self._make_wish = wish
        self._provider = provider
        self._calls = calls
        self._informer = informer
        self._event = event
        self._port = port
        self._addresses = addresses
        self._not_ready_on_stop = not_ready_on_stop
        self._clock = clock
        self._client = client
        self._stop = StopSignal(clock)
        self._writer = NodeWriter(client, name, event, cancel=self._stop)
        self._ping = Ping(provider, calls, self.report_soon, clock=clock)
        self._lease = NodeLease(client, name, self._uid, metrics=metrics, clock=clock)
        # A daemon: it asks the provider, which may hang.
        self._periodic = Periodic(self._report_or_log, INTERVAL, name="node-status", clock=clock, daemon=True)
        self._condition = threading.Condition()
        self._ready = False  # the API server holds Ready=True; under the condition
        self._stopped = False  # under the condition
        self._version = ""  # the resourceVersion that our last write gave; a late look costs one report
        # Below: of the reporting thread alone.
        self._wish: NodeWish | None = None
        self._capacity: dict[str, str] = {}
        self._conditions: list[Condition] = []
        self._written_at: float | None = None  # monotonic
        self._last: Node | None = None  # what was last wanted
        self._vanished = False  # the API server has no such node, whatever the watch has told
        self._greeted = False
        self._failure = ""  # of the last report
        informer.add_handler(self._on_node)

    def start(self) -> None:
        """Begin to ping, report and renew."""
        self._ping.start()
        self._periodic.start()
        self._lease.start()

    def stop(self, deadline: Deadline) -> None:
        """Stop all three; say that the node is not ready if so configured."""
        self._stop.set()  # first: nobody waits for an API server that stands still
        self._lease.stop(deadline)
        self._periodic.stop(deadline)
        self._ping.stop(deadline)
        with self._condition:
            first, self._stopped = not self._stopped, True
            self._condition.notify_all()
        if first and self._not_ready_on_stop and self._last is not None:
            self._say_not_ready(self._last)

    def report_soon(self) -> None:
        """Look at the provider and the node now; never blocks."""
        self._periodic.trigger()

    @property
    def ready(self) -> bool:
        """Whether the API server holds the node as Ready."""
        with self._condition:
            return self._ready

    def wait_ready(self, timeout: float | None) -> bool:
        """Wait for `ready`, at most `timeout` seconds or until `stop`."""
        end = None if timeout is None else self._clock.monotonic() + timeout
        with self._condition:
            while not self._ready and not self._stopped:
                rest = None if end is None else end - self._clock.monotonic()
                if rest is not None and rest <= 0:
                    break
                self._clock.wait(self._condition, rest)
            return self._ready

    @property
    def problem(self) -> str:
        """Why the node cannot be Ready, as far as the agent knows; ""."""
        return self._ping.problem

    def _uid(self) -> str:
        node = self._informer.store.get(self._name)
        return str(node["metadata"]["uid"]) if node else ""

    def _on_node(self, old: Node | None, new: Node | None) -> None:
        if new is None or old is None or old["metadata"]["uid"] != new["metadata"]["uid"]:
            self._lease.renew_soon()  # its owner is another one
        if new is None or old is None:
            self.report_soon()
        elif new["metadata"].get("resourceVersion") == self._version:
            return  # the echo of our own write
        elif _shared_parts(old) != _shared_parts(new):
            self.report_soon()

    def _report_or_log(self) -> None:
        try:
            self._report()
        except ApiError as error:
            if self._stop.is_set():
                return
            if str(error) != self._failure:  # once an outage, not once a try
                logger.warning("node %s cannot be reported: %s", self._name, error)
            self._failure = str(error)
            return
        if self._failure:
            logger.info("node %s is reported again", self._name)
        self._failure = ""

    def _report(self) -> None:
        """Bring the API server's node up to date: one run of the loop."""
        current = (None if self._vanished else self._known()) or self._read()
        self._vanished = False
        wanted = self._wanted(current)
        if current is None:
            current = self._writer.register(wanted)
            self._take_in(current)
            logger.info("node %s registered", self._name)
            self._written_at = self._clock.monotonic()
        before = current
        if not self._greeted:
            self._greeted = True
            self._event(current, "Normal", "Starting", "Starting virtual-kubelet.")
        try:
            current = self._writer.bring(current, wanted)
            answer = self._writer.report(current, wanted, heartbeat=self._is_due())
        except ApiNotFound:
            self._vanished = True  # deleted under our hands
            self.report_soon()
            return
        if answer is not None:
            self._written_at = self._clock.monotonic()
            current = answer
        if current is not before:
            self._take_in(current)
        self._last = wanted
        self._tell(before, current)

    def _take_in(self, answer: Node) -> None:
        self._version = answer["metadata"].get("resourceVersion", "")
        self._informer.put({**answer})

    def _known(self) -> Node | None:
        if not self._informer.synced:
            return None
        node: Node | None = self._informer.store.get(self._name)
        return node

    def _read(self) -> Node | None:
        try:
            return self._writer.read()
        except ApiNotFound:
            return None

    def _is_due(self) -> bool:
        return self._written_at is None or self._clock.monotonic() - self._written_at >= REPORT_INTERVAL

    def _wanted(self, current: Node | None) -> Node:
        problem = self._look_at_provider() or self._ping.problem
        if self._wish is None:
            self._wish = self._make_wish()
        node = base_node(
            self._wish, capacity=self._capacity, addresses=self._node_addresses(), port=self._port()
        )
        if isinstance(self._provider, ConfiguringNode):
            problem = self._configured(node) or problem
        status = node["status"]
        status["capacity"] = normal_quantities(status.get("capacity") or {})
        status["allocatable"] = normal_quantities(status.get("allocatable") or {})
        held = (current or {}).get("status", {}).get("conditions") or []
        reported = [*self._conditions, *(status.get("conditions") or [])]
        status["conditions"] = node_conditions(
            reported, held, problem=problem, now=times.rfc3339(self._clock.now())
        )
        return node

    def _look_at_provider(self) -> str:
        """Ask for capacity and conditions; return why that failed. What was known is kept then."""
        try:
            capacity = normal_quantities(self._calls.capacity())
            self._conditions = self._calls.node_conditions()
        except ProviderError as error:
            return f"the provider does not tell its state: {error}"
        except ValueError as error:
            return f"the provider's capacity is wrong: {error}"
        self._capacity = capacity
        return ""

    def _configured(self, node: Node) -> str:
        assert isinstance(self._provider, ConfiguringNode)
        configure = self._provider.configure_node
        try:
            self._calls.ability("configure_node", lambda: configure(node))
        except NotSupported:
            return ""
        except ProviderError as error:
            return f"the provider cannot configure the node: {error}"
        return ""

    def _node_addresses(self) -> list[NodeAddress]:
        if isinstance(self._provider, NodeAddresses):
            ask = self._provider.node_addresses
            try:
                return self._calls.ability("node_addresses", ask)
            except ProviderError as error:
                if not isinstance(error, NotSupported):
                    logger.warning("the provider does not tell the node's addresses: %s", error)
        return self._addresses()

    def _tell(self, before: Node, after: Node) -> None:
        now = after.get("status", {}).get("conditions") or []
        with self._condition:
            was, self._ready = self._ready, _is_ready(now)
            changed = was != self._ready
            self._condition.notify_all()
        held = before.get("status", {}).get("conditions") or []
        reason = transitions(held, now) or ("NodeReady" if changed and self._ready else "")
        if reason:
            self._event(after, "Normal", reason, f"Node {self._name} status is now: {reason}")

    def _say_not_ready(self, wanted: Node) -> None:
        writer = NodeWriter(self._client, self._name, self._event)
        try:
            current = writer.read()
            held = current.get("status", {}).get("conditions") or []
            now = times.rfc3339(self._clock.now())
            conditions = node_conditions(self._conditions, held, problem="the agent was stopped", now=now)
            status: NodeStatus = {**wanted["status"], "conditions": conditions}
            writer.report(current, {**wanted, "status": status}, heartbeat=True)
        except ApiError as error:
            logger.warning("the node could not be reported as not ready: %s", error)


def _shared_parts(node: Node) -> tuple[Any, ...]:
    """Return what others change and we mend."""
    metadata, status = node["metadata"], node.get("status", {})
    return (
        metadata.get("labels"),
        metadata.get("annotations"),
        node.get("spec", {}).get("taints"),
        status.get("capacity"),
        status.get("addresses"),
        [(c.get("type"), c.get("status")) for c in status.get("conditions") or ()],
    )


def _is_ready(conditions: Iterable[Condition]) -> bool:
    return any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
