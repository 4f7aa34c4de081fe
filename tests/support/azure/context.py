"""A pod context without an API server: what pods refer to is given by the test."""

from __future__ import annotations

from virtual_kubelet.provider import File


class FakeContext:
    def __init__(self):
        self.node_name = "vk"
        self.cluster_id = "cluster-1"
        self.state_dir = ""
        self.namespace = ""
        self.node_ip = "10.0.0.1"
        self.cluster_domain = "cluster.local"
        self.cluster_dns = ()
        self.bound = []  # what the API server has bound to the node
        self.secrets = {}  # container -> names of variables
        self.volumes = {}  # volume's name, or the name of a Secret -> {path: bytes}
        self.registries = []
        self.events = []  # (namespace/name, type, reason, message)
        self.failure = None

    def pods(self):
        return list(self.bound)

    def secret_names(self, pod, container):
        return frozenset(self.secrets.get(container["name"], ()))

    def files(self, pod, volume):
        if self.failure:
            raise self.failure
        name = (volume.get("secret") or {}).get("secretName") or volume["name"]
        return {path: File(content, 0o644) for path, content in self.volumes.get(name, {}).items()}

    def pull_secrets(self, pod):
        return self.registries

    def event(self, pod, event_type, reason, message):
        metadata = pod["metadata"]
        self.events.append((f"{metadata['namespace']}/{metadata['name']}", event_type, reason, message))

    def reasons(self):
        return [event[2] for event in self.events]
