"""The node half of an agent on a real API server, on a clock that the test steps."""

from __future__ import annotations

import yaml
from support.devapi import Api
from support.podnode import Events
from support.waiting import eventually

from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import load
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.resources import NODES
from virtual_kubelet.node.node_controller import NodeController
from virtual_kubelet.node.provider_calls import ProviderCalls
from virtual_kubelet.pure.node_object import HostFacts, NodeWish
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline

TAINT = {"key": "virtual-kubelet.io/provider", "value": "test", "effect": "NoSchedule"}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/vk"


class NodeHost:
    """Started by `with`; `restart(**wish)` is a new version of the agent."""

    def __init__(self, plane, provider, tmp_path, *, token="", not_ready_on_stop=False, **wish):
        self.plane, self.provider, self.not_ready_on_stop = plane, provider, not_ready_on_stop
        self.wish = wish
        self.kubeconfig = tmp_path / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(plane.kubeconfig(token)))
        self.admin = Api(plane)
        self.events = Events()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.admin.close()

    def start(self):
        self.clock = SteppedClock()
        metrics = Metrics()
        self.client = Client(load(str(self.kubeconfig)), qps=0, metrics=metrics)
        self.informer = Informer(self.client, NODES, field_selector="metadata.name=vk", metrics=metrics)
        self.calls = ProviderCalls(self.provider, metrics=metrics, clock=self.clock)
        values = {"labels": {}, "taints": [TAINT], "features": (), **self.wish}
        wish = NodeWish(
            name="vk",
            operating_system="Linux",
            version="0.1.0",
            kubernetes_version="1.36.0",
            host=HostFacts("amd64"),
            **values,
        )
        self.controller = NodeController(
            lambda: wish,
            self.provider,
            self.calls,
            self.client,
            self.informer,
            self.events,
            name="vk",
            port=lambda: 10250,
            addresses=lambda: [{"type": "InternalIP", "address": "10.0.0.1"}],
            not_ready_on_stop=self.not_ready_on_stop,
            metrics=metrics,
            clock=self.clock,
        )
        self.informer.start()
        assert self.informer.wait_synced(30)
        self.controller.start()

    def stop(self):
        deadline = Deadline(10)
        self.controller.stop(deadline)
        self.informer.stop(deadline)
        self.client.close()

    def restart(self, **wish):
        self.stop()
        self.wish = {**self.wish, **wish}
        self.start()

    def step(self, seconds):
        """Let the time pass while both loops wait, and let them run.

        One that is at work, as somebody asked for, would begin its wait with the new time and miss the step.
        """
        reporting = self.controller._periodic._condition
        renewing = self.controller._lease._periodic._condition

        def stepped():
            with reporting, renewing:  # whoever waits goes on waiting now
                waiting = len(self.clock._waiters) == 2
                if waiting:
                    self.clock.advance(seconds)
                return waiting

        eventually(stepped, message="the loops never wait")
        self.clock.block_until(2)

    def node(self):
        answer = self.admin.get("/api/v1/nodes/vk")
        return answer.json if answer.status == 200 else None

    def conditions(self):
        node = self.node()
        return {c["type"]: c for c in node["status"].get("conditions", [])} if node else {}

    def wait_ready(self, status="True"):
        eventually(
            lambda: self.conditions().get("Ready", {}).get("status") == status,
            message=f"never Ready={status}",
        )
        return self.conditions()["Ready"]

    def lease(self):
        answer = self.admin.get(LEASE)
        return answer.json if answer.status == 200 else None

    def rewrite(self, change):
        """Write the node whole, with a change, as soon as nobody else writes between the reading and the writing."""

        def written():
            node = self.node()
            change(node)
            answer = self.admin.update("/api/v1/nodes/vk", node)
            assert answer.status in {200, 409}, answer.json
            return answer.status == 200

        eventually(written)

    def patch(self, body):
        answer = self.admin.strategic("/api/v1/nodes/vk", body)
        assert answer.status == 200, answer.json
