"""A `PodContext` without an API server: objects in dicts, events in a list."""

from __future__ import annotations

import base64
import threading

from virtual_kubelet.errors import Unavailable
from virtual_kubelet.provider import File
from virtual_kubelet.pure.expansion import expand


class FakeContext:
    def __init__(self, *, node_ip="127.0.0.1", state_dir=""):
        self.node_name = "node-1"
        self.cluster_id = "cluster-1"
        self.state_dir = state_dir
        self.namespace = ""
        self.node_ip = node_ip
        self.cluster_domain = "cluster.local"
        self.cluster_dns = ()
        self.config_maps = {}  # name -> {key: text}
        self.secrets = {}
        self.api_node = None
        self.api_pods = []
        self.events = []
        self.callbacks = []
        self._lock = threading.Lock()

    def environment(self, pod, container, pod_ips):
        values = {}
        for item in container.get("env") or ():
            source = item.get("valueFrom") or {}
            if "secretKeyRef" in source:
                values[item["name"]] = self._of(self.secrets, source["secretKeyRef"])
            elif "configMapKeyRef" in source:
                values[item["name"]] = self._of(self.config_maps, source["configMapKeyRef"])
            elif source.get("fieldRef", {}).get("fieldPath") == "status.podIP":
                values[item["name"]] = pod_ips[0] if pod_ips else ""
            else:
                values[item["name"]] = expand(item.get("value", ""), values)
        return values

    def _of(self, objects, reference):
        found = objects.get(reference["name"])
        if found is None:
            raise Unavailable(f'"{reference["name"]}" not found')
        return found[reference["key"]]

    def secret_names(self, pod, container):
        return frozenset(
            item["name"]
            for item in container.get("env") or ()
            if "secretKeyRef" in (item.get("valueFrom") or {}) or item["name"].startswith("SECRET")
        )

    def files(self, pod, volume):
        try:
            return self._content(pod, volume)
        except Unavailable as error:
            self.event(pod, "Warning", "FailedMount", str(error))
            raise

    def _content(self, pod, volume):
        if "configMap" in volume:
            return self._files(self.config_maps, volume["configMap"]["name"], 0o644)
        if "secret" in volume:
            return self._files(self.secrets, volume["secret"]["secretName"], 0o600)
        if "downwardAPI" in volume:
            labels = pod["metadata"].get("labels") or {}
            text = "\n".join(f'{key}="{value}"' for key, value in sorted(labels.items()))
            return {item["path"]: File(text.encode(), 0o644) for item in volume["downwardAPI"]["items"]}
        raise Unavailable("no tokens here")

    def _files(self, objects, name, mode):
        found = objects.get(name)
        if found is None:
            raise Unavailable(f'"{name}" not found')
        return {key: File(text.encode(), mode) for key, text in found.items()}

    def pull_secrets(self, pod):
        return []

    def token(self, pod, audience, expiration_seconds):
        return base64.b64encode(audience.encode()).decode()

    def event(self, pod, event_type, reason, message):
        with self._lock:
            self.events.append((pod["metadata"]["name"], event_type, reason, message))

    def reasons(self, pod="web"):
        with self._lock:
            return [reason for name, _, reason, _ in self.events if name == pod]

    def node(self):
        return self.api_node

    def pods(self):
        return self.api_pods

    def on_change(self, callback):
        self.callbacks.append(callback)

    def change(self, namespace, name):
        for callback in self.callbacks:
            callback(namespace, name)
