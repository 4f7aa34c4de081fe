"""The process provider with real processes, without an API server."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
import threading
from pathlib import Path

from support.pod_context import FakeContext
from support.waiting import eventually

from virtual_kubelet import codec
from virtual_kubelet.errors import Unavailable
from virtual_kubelet.provider import LogOptions, ProviderConfig
from virtual_kubelet.providers.process.provider import create

_numbers = itertools.count(1)
_ports = set()  # that were given to tests


def container(script="exec sleep 1000", name="c", **fields):
    return {"name": name, "image": "none", "command": ["sh", "-c", script], **fields}


def make_pod(*containers, name="web", uid="", namespace="default", **spec):
    uid = uid or f"{os.getpid()}-{next(_numbers)}"
    metadata = {"namespace": namespace, "name": name, "uid": uid, "resourceVersion": "1"}
    return {
        "metadata": metadata,
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 30,
            "containers": list(containers) or [container()],
            **spec,
        },
    }


def free_port():
    """Return a port that nobody has, nor gets before it is used: neither from the kernel nor from a test of ours."""
    first_of_theirs = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for _ in range(100):
        port = random.randrange(first_of_theirs // 2 + worker, first_of_theirs, workers)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("", port))
            if port not in _ports:
                _ports.add(port)
                return port
    raise AssertionError("this machine has no port left")


class Node:
    """A provider and what it told."""

    def __init__(self, state, context=None, config_path=""):
        self.context = context or FakeContext()
        self.statuses = {}  # uid -> statuses, oldest first
        self._lock = threading.Lock()
        config = ProviderConfig(
            node_name="node-1", state_dir=str(state), internal_ip="127.0.0.1", config_path=config_path
        )
        self.provider = create(config)
        self.provider.notify_pods(self._take)
        self.provider.bind(self.context)

    def _take(self, namespace, name, uid, status):
        with self._lock:
            self.statuses.setdefault(uid, []).append(codec.copy(status))

    def run(self, pod):
        self.context.api_pods = [*self.context.api_pods, pod]
        self.provider.create_pod(codec.copy(pod))
        return pod

    def delete(self, pod, grace=30):
        metadata = {**pod["metadata"], "deletionGracePeriodSeconds": grace}
        self.provider.delete_pod({**pod, "metadata": metadata})

    def status(self, pod):
        uid = pod["metadata"]["uid"]
        try:
            pods = self.provider.get_pods()
        except Unavailable:
            return {}
        return next((p["status"] for p in pods if p["metadata"]["uid"] == uid), {})

    def ready(self):
        try:
            self.provider.get_pods()
        except Unavailable:
            return False
        return True

    def over(self, pod):
        worker = self.provider._pods.get(pod["metadata"]["uid"])
        return worker is None or worker.state.over

    def phase(self, pod):
        return self.status(pod).get("phase")

    def containers(self, pod, kind="containerStatuses"):
        return {item["name"]: item for item in self.status(pod).get(kind) or ()}

    def state(self, pod, name="c", kind="containerStatuses"):
        return self.containers(pod, kind).get(name, {}).get("state", {})

    def wait_phase(self, pod, phase, timeout=30):
        eventually(
            lambda: self.phase(pod) == phase,
            timeout,
            f"{pod['metadata']['name']} never became {phase}",
        )
        return self.status(pod)

    def wait_state(self, pod, key, name="c", kind="containerStatuses", timeout=30):
        return eventually(lambda: self.state(pod, name, kind).get(key), timeout)

    def ref(self, pod, name="c"):
        metadata = pod["metadata"]
        return metadata["namespace"], metadata["name"], metadata["uid"], name

    def logs(self, pod, name="c", **options):
        stream = self.provider.container_logs(*self.ref(pod, name), LogOptions(**options))
        with contextlib.closing(stream):
            return b"".join(iter(stream.read, b"")).decode()

    def close(self):
        self.provider.close(10.0)

    def purge(self):
        self.provider.purge()


@contextlib.contextmanager
def running_node(state, context=None, config_path=""):
    node = Node(state, context, config_path)
    try:
        yield node
    finally:
        node.purge()
