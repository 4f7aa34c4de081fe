"""A node for the kubelet's routes to speak for, and an API server that reviews as a test says."""

from __future__ import annotations

import threading

from virtual_kubelet.kubelet import api
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.settings import Settings


def pod(name="web", namespace="default", uid="uid-1", containers=("app",), **status):
    return {
        "metadata": {"name": name, "namespace": namespace, "uid": uid},
        "spec": {"containers": [{"name": container, "image": f"{container}:1"} for container in containers]},
        "status": status,
    }


class Pods:
    """A `PodSource`."""

    def __init__(self, *pods):
        self.pods = list(pods)

    def list(self):
        return self.pods

    def get(self, key):
        return next(
            (p for p in self.pods if f"{p['metadata']['namespace']}/{p['metadata']['name']}" == key), None
        )


class Bare:
    """A provider without abilities."""

    def __init__(self, *pods):
        self.pods = list(pods)

    def get_pods(self):
        return self.pods


def node(provider=None, pods=(), settings=None, **options):
    made = settings or Settings(node_name="vk", address="127.0.0.1", port=0)
    return api.Node(made, provider or Bare(), Pods(*pods), options.pop("metrics", Metrics()), **options)


class ReviewingClient:
    """Stands for `kube.client.Client`: tokens, rights and ConfigMaps as told; each may be an exception."""

    def __init__(self, *, tokens=None, allow=lambda attributes, user: True, config_map=None):
        self.tokens = tokens or {}
        self.allow = allow
        self.config_map = config_map
        self.lock = threading.Lock()
        self.reviews = []

    def create(self, resource, body, *, limited=True, timeout=30):
        assert not limited
        assert timeout <= 10  # a caller waits
        assert body["kind"] == resource.kind
        assert body["apiVersion"] == resource.api_version
        with self.lock:
            self.reviews.append(body)
        spec = body["spec"]
        if resource.kind == "TokenReview":
            return {"status": self._token(spec["token"])}
        answer = self.allow(spec["resourceAttributes"], spec["user"])
        if isinstance(answer, Exception):
            raise answer
        return {"status": answer if isinstance(answer, dict) else {"allowed": answer}}

    def _token(self, token):
        user = self.tokens.get(token)
        if isinstance(user, Exception):
            raise user
        return {"authenticated": True, "user": user} if user else {"error": "no such token"}

    def get(self, resource, name, namespace=None):
        assert (resource.kind, namespace) == ("ConfigMap", "kube-system")
        if isinstance(self.config_map, Exception):
            raise self.config_map
        return self.config_map

    def kinds(self):
        with self.lock:
            return [body["kind"] for body in self.reviews]
