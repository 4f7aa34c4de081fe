"""The heartbeat: a Lease renewed every ten seconds, by which the control plane knows that the agent lives.

It speaks for the agent, not for the provider: it is renewed while the backend is away (the node's Ready
condition says that), because a lease that runs out evicts every pod.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

from virtual_kubelet import codec
from virtual_kubelet.errors import ApiError, ApiNotFound
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import LEASES
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline, StopSignal

__all__ = ["NodeLease"]

logger = logging.getLogger(__name__)

NAMESPACE = "kube-node-lease"
DURATION = 40  # seconds
INTERVAL = DURATION / 4
JITTER = 0.04
TRIES = 5
TIMEOUT = 10.0  # seconds for one request: a hanging one must not cost the lease


class NodeLease:
    """Keeps the lease of one node; a service. `node_uid()` gives the UID of the Node, or "" while unknown.

    A lease is made only for a Node that is known, as the kubelet does: one without an owner would stay for ever.
    """

    def __init__(
        self,
        client: Client,
        name: str,
        node_uid: Callable[[], str],
        *,
        metrics: Metrics,
        clock: Clock = SYSTEM,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._name = name
        self._node_uid = node_uid
        self._metrics = metrics
        self._clock = clock
        self._lease: JsonObject | None = None  # as the server last gave it; of the renewing thread alone
        self._failing = False  # of the renewing thread alone
        self._stop = StopSignal(clock)
        self._how: dict[str, Any] = {"limited": False, "timeout": TIMEOUT, "cancel": self._stop}
        self._periodic = Periodic(
            self._renew_or_log, INTERVAL, name="node-lease", jitter=JITTER, clock=clock, chance=chance
        )

    def start(self) -> None:
        """Begin to renew."""
        self._periodic.start()

    def stop(self, deadline: Deadline) -> None:
        """Stop renewing; the lease is left to run out."""
        self._stop.set()
        self._periodic.stop(deadline)

    def renew_soon(self) -> None:
        """Renew now: the node was made anew, and is the lease's owner."""
        self._periodic.trigger()

    def _renew_or_log(self) -> None:
        try:
            self.renew()
        except ApiError as error:
            if self._stop.is_set():
                return
            if not self._failing:  # once an outage, not once a try
                logger.warning("the node's lease cannot be renewed: %s", error)
            self._failing = True
            return
        if self._lease is None:
            return  # there is no node to have one
        if self._failing:
            logger.info("the node's lease is renewed again")
        self._failing = False

    def renew(self) -> None:
        """Write the time into the lease, making it for a known node that has none; raise the last `ApiError`."""
        for attempt in range(1, TRIES + 1):
            try:
                self._lease = self._write()
            except ApiError:
                # Whatever it was: the lease may have changed, gone, or been written after all. Read it again.
                self._lease = None
                if attempt == TRIES or self._stop.is_set():
                    self._metrics.lease_renewals.labels("failed").inc()
                    raise
            else:
                if self._lease is not None:
                    self._metrics.lease_renewals.labels("ok").inc()
                return

    def _write(self) -> JsonObject | None:
        """Return the lease as written; None while it has no node to belong to."""
        uid = self._node_uid()
        held = self._lease or self._read()
        if held is not None:
            body = self._renewed(held, uid)
            return self._client.update(LEASES, self._name, body, NAMESPACE, **self._how)
        if not uid:
            return None  # `renew_soon` comes with the node
        body = self._renewed({"metadata": {"name": self._name, "namespace": NAMESPACE}}, uid)
        body["apiVersion"], body["kind"] = LEASES.api_version, LEASES.kind
        return self._client.create(LEASES, body, NAMESPACE, **self._how)

    def _read(self) -> JsonObject | None:
        try:
            return self._client.get(LEASES, self._name, NAMESPACE, **self._how)
        except ApiNotFound:
            return None

    def _renewed(self, lease: JsonObject, uid: str) -> JsonObject:
        body: JsonObject = codec.copy(lease)
        body["spec"] = {
            **body.get("spec", {}),
            "holderIdentity": self._name,
            "leaseDurationSeconds": DURATION,
            "renewTime": times.micro_time(self._clock.now()),
        }
        if uid:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": uid}
            body["metadata"]["ownerReferences"] = [owner]
        return body
