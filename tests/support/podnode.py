"""The pod half of an agent on a real API server: informer, queue, workers, and a provider of the test's."""

from __future__ import annotations

import contextlib
import copy
import threading

import yaml
from support.devapi import Api
from support.pods import make_pod
from support.waiting import eventually

from virtual_kubelet.errors import ApiNotFound
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import load
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.references import References
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.node.pod_preparation import PodPreparation
from virtual_kubelet.node.pods import Pods
from virtual_kubelet.pure.environment import Facts
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.runtime.threads import Deadline

NODE = "vk"


class Events:
    """Stands where the event recorder will."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seen = []  # (name, type, reason, message)

    def __call__(self, pod, kind, reason, message):
        with self.lock:
            self.seen.append((pod["metadata"]["name"], kind, reason, message))

    def reasons(self, name=None):
        with self.lock:
            return [event[2] for event in self.seen if name in {None, event[0]}]

    def messages(self, reason):
        with self.lock:
            return [event[3] for event in self.seen if event[2] == reason]


def copy_of(pod, said):
    return copy.deepcopy(pod)


class PodNode:
    """Started by `with`; `restart()` is what an upgrade of the agent is."""

    def __init__(self, plane, provider, tmp_path, **settings):
        self.plane, self.provider, self.settings = plane, provider, settings
        self.kubeconfig = tmp_path / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(plane.kubeconfig()))
        self.admin = Api(plane)
        self.events = Events()
        self.pods = None
        self.references = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()
        self.plane.faults.clear()
        for pod in self.admin.get("/api/v1/pods").json["items"]:
            path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
            if pod["metadata"].get("finalizers"):
                self.admin.merge(path, {"metadata": {"finalizers": None}})
            self.admin.delete(path, {"gracePeriodSeconds": 0})
        self.admin.close()

    def start(self):
        options = {"namespace": "", "workers": 4, "sync_period": 0.2, **self.settings}
        resolving = options.pop("resolving", False)
        resync = options.pop("resync", 0)
        self.metrics = Metrics()
        self.client = Client(load(str(self.kubeconfig)), qps=0, metrics=self.metrics)
        self.informer = Informer(
            self.client,
            PODS,
            namespace=options["namespace"],
            field_selector=f"spec.nodeName={NODE}",
            resync_period=resync,
            metrics=self.metrics,
        )
        prepare = copy_of
        if resolving:
            self.references = References(self.client, self.informer.store)
            facts = Facts(host_ips=("10.9.8.7",), allocatable={"cpu": "4", "memory": "8Gi"})
            prepare = PodPreparation(self.references, lambda: facts, self.events)
        self.pods = Pods(
            self.provider, self.client, self.informer, prepare, self.events,
            host_ips=lambda: ("10.9.8.7",), metrics=self.metrics, **options,
        )  # fmt: skip
        if self.references:
            self.references.on_change(self.pods.look_at)
            self.references.start()
            assert self.references.wait_synced(30)  # or the first pods would wait for the services
        self.informer.start()
        assert self.informer.wait_synced(30)
        self.pods.start()

    def stop(self):
        deadline = Deadline(10)
        self.pods.stop(deadline)
        if self.references:
            self.references.stop(deadline)
        self.informer.stop(deadline)
        self.client.close()

    def restart(self):
        self.stop()
        self.start()

    # --- what users do

    def apply(self, name="web", namespace="default", metadata=None, **spec):
        pod = make_pod(name, namespace, **spec)
        body = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, **(metadata or {})},
            "spec": {**pod["spec"], "nodeName": spec.get("nodeName", NODE)},
        }
        answer = self.admin.create(f"/api/v1/namespaces/{namespace}/pods", body)
        assert answer.status == 201, answer.json
        return answer.json

    def delete(self, name="web", grace=None, namespace="default"):
        body = {} if grace is None else {"gracePeriodSeconds": grace}
        answer = self.admin.delete(f"/api/v1/namespaces/{namespace}/pods/{name}", body)
        assert answer.status in {200, 202}, answer.json

    def patch(self, name, body, subresource="", namespace="default"):
        path = f"/api/v1/namespaces/{namespace}/pods/{name}{subresource}"
        answer = self.admin.strategic(path, body)
        assert answer.status == 200, answer.json
        return answer.json

    # --- what users see

    def get(self, name="web", namespace="default"):
        try:
            return self.client.get(PODS, name, namespace)
        except ApiNotFound:
            return None

    def phase(self, name="web", namespace="default"):
        pod = self.get(name, namespace)
        return pod and pod["status"].get("phase")

    def wait_phase(self, phase, name="web", namespace="default"):
        eventually(lambda: self.phase(name, namespace) == phase, message=f"{name} never became {phase}")
        return self.get(name, namespace)

    def wait_gone(self, name="web", namespace="default"):
        eventually(lambda: self.get(name, namespace) is None, message=f"{name} is still there")

    @contextlib.contextmanager
    def writes(self):
        """Collect the writes that the agent makes meanwhile."""
        self.settled()  # a write that can be seen already may not be in the log yet: its answer is
        log = self.plane.requests
        before = len(log.all())
        found = []
        yield found
        self.settled()
        found += [
            (request.verb, request.subresource, request.name)
            for request in log.all()[before:]
            if request.resource == "pods"
            and request.verb not in {"get", "list", "watch"}
            and request.user_agent.startswith("virtual-kubelet/")
        ]

    def listed(self):
        """Wait until the provider's first listing is taken in, and has asked for its look at every pod.

        That look would bring forward a pod whose first try has just failed.
        """
        eventually(lambda: self.pods.snapshot.complete)
        with self.pods.snapshot._listing_lock:  # held until all is told
            pass

    def settled(self):
        """Wait until nothing waits in the queue and no worker is busy, both at one moment."""
        queue = self.pods._queue

        def idle():
            with queue._lock:
                return not queue._state.ready(queue._clock.monotonic()) and not queue._state.in_hand

        eventually(idle)
