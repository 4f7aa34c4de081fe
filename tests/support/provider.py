"""A provider in memory that does as it is told: fail, hang, lose pods, end them late. It remembers every call."""

from __future__ import annotations

import contextlib
import copy
import threading

from virtual_kubelet.errors import NotFound

RUNNING = {"phase": "Running"}


class ScriptedProvider:
    """Polled. `created_as` is the status of new pods; `on_delete`: vanish, end (terminated, still listed), stay."""

    def __init__(self, *, created_as=RUNNING, on_delete="vanish"):
        self.lock = threading.RLock()
        self.pods = {}  # (namespace, name, uid) -> pod
        self.calls = []  # (method, "namespace/name", uid)
        self.handed = []  # (method, pod) as it was given
        self.given = []  # the very objects of create_pod
        self.created_as = created_as
        self.on_delete = on_delete
        self.failures = {}  # method -> errors to raise, first to last
        self.gates = {}  # method -> Event to wait for
        self.conditions = []

    # --- for tests

    def fail(self, method, *errors):
        with self.lock:
            self.failures.setdefault(method, []).extend(errors)

    @contextlib.contextmanager
    def hanging(self, method):
        gate = threading.Event()
        self.gates[method] = gate
        try:
            yield gate
        finally:
            self.gates.pop(method, None)
            gate.set()

    def count(self, method, subject=None):
        with self.lock:
            return sum(1 for call in self.calls if call[0] == method and subject in {None, call[1]})

    def last(self, method):
        with self.lock:
            return next(pod for name, pod in reversed(self.handed) if name == method)

    def set_status(self, name, status, namespace="default"):
        with self.lock:
            for (ns, n, _), pod in self.pods.items():
                if (ns, n) == (namespace, name):
                    pod["status"] = status
                    self.changed(pod)

    def lose(self, name, namespace="default"):
        with self.lock:
            for key in [key for key in self.pods if key[:2] == (namespace, name)]:
                del self.pods[key]

    def plant(self, pod, status=RUNNING):
        with self.lock:
            pod = copy.deepcopy(pod)
            pod["status"] = copy.deepcopy(status)
            self.pods[self.key(pod)] = pod

    def changed(self, pod):
        """Overridden by those who push."""

    # --- the contract

    def create_pod(self, pod):
        self.given.append(pod)
        self.called("create_pod", pod)
        with self.lock:
            if self.key(pod) not in self.pods:
                self.pods[self.key(pod)] = {**pod, "status": copy.deepcopy(self.created_as)}
            made = self.pods[self.key(pod)]
        self.changed(made)

    def update_pod(self, pod):
        self.called("update_pod", pod)
        with self.lock:
            status = self.pods[self.key(pod)]["status"]
            self.pods[self.key(pod)] = {**pod, "status": status}

    def delete_pod(self, pod):
        self.called("delete_pod", pod)
        with self.lock:
            held = self.pods.get(self.key(pod))
            if held is None:
                raise NotFound("no such pod")
            if self.on_delete == "vanish":
                del self.pods[self.key(pod)]
            elif self.on_delete == "end":
                held["status"] = {"phase": "Succeeded"}
                self.changed(held)

    def get_pod(self, namespace, name):
        self.called("get_pod", {"metadata": {"namespace": namespace, "name": name}})
        with self.lock:
            found = [pod for key, pod in self.pods.items() if key[:2] == (namespace, name)]
            return copy.deepcopy(found[-1]) if found else None

    def get_pod_status(self, namespace, name):
        pod = self.get_pod(namespace, name)
        return pod and pod["status"]

    def get_pods(self):
        self.called("get_pods", None)
        with self.lock:
            return copy.deepcopy(list(self.pods.values()))

    def capacity(self):
        return {"cpu": "8", "memory": "16Gi", "pods": "100"}

    def node_conditions(self):
        self.called("node_conditions", None)
        return copy.deepcopy(self.conditions)

    def operating_system(self):
        return "Linux"

    # --- inside

    @staticmethod
    def key(pod):
        metadata = pod["metadata"]
        return metadata["namespace"], metadata["name"], metadata["uid"]

    def called(self, method, pod):
        metadata = pod["metadata"] if pod else {}
        subject = f"{metadata['namespace']}/{metadata['name']}" if metadata else ""
        with self.lock:
            self.calls.append((method, subject, metadata.get("uid")))
            if pod and method != "get_pod":
                self.handed.append((method, copy.deepcopy(pod)))
            gate = self.gates.get(method)
            errors = self.failures.get(method)
            error = errors.pop(0) if errors else None
        if gate is not None:
            gate.wait(30)
        if error is not None:
            raise error


class PushingProvider(ScriptedProvider):
    """The same, but it tells of changes by itself."""

    callback = None

    def notify_pods(self, callback):
        self.callback = callback

    def changed(self, pod):
        if self.callback:
            namespace, name, uid = self.key(pod)
            self.callback(namespace, name, uid, copy.deepcopy(pod["status"]))
