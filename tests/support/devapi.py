"""A running embedded control plane, and a bare client for it that shows what is on the wire."""

from __future__ import annotations

import contextlib
import json

import urllib3

from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.runtime.threads import Deadline

RBAC = "/apis/rbac.authorization.k8s.io/v1"
BOOTSTRAPPERS = "system:bootstrappers"


@contextlib.contextmanager
def control_plane(**options):
    plane = ControlPlane(**options)
    plane.start()
    try:
        yield plane
    finally:
        plane.stop(Deadline(10))


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = response.headers
        self.data = response.data

    @property
    def json(self):
        return json.loads(self.data)


class Api:
    """Requests with the administrator's token unless told otherwise."""

    def __init__(self, plane, token=None, tmp=None):
        config = plane.kubeconfig()
        self.url = plane.url
        self.token = config["users"][0]["user"]["token"] if token is None else token
        self.pool = urllib3.PoolManager(
            ca_cert_data=plane.ca.decode(), cert_reqs="CERT_REQUIRED", timeout=60, retries=False, maxsize=8
        )

    def close(self):
        self.pool.clear()

    def request(self, method, path, body=None, content_type="application/json", headers=None, **options):
        fields = dict(headers or {})
        if self.token:
            fields.setdefault("Authorization", f"Bearer {self.token}")
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            fields["Content-Type"] = content_type
        return self.pool.request(method, self.url + path, body=body, headers=fields, **options)

    def __call__(self, method, path, body=None, **options):
        return Answer(self.request(method, path, body, **options))

    def get(self, path, **options):
        return self("GET", path, **options)

    def create(self, path, body, **options):
        return self("POST", path, body, **options)

    def update(self, path, body, **options):
        return self("PUT", path, body, **options)

    def delete(self, path, body=None, **options):
        return self("DELETE", path, body, **options)

    def merge(self, path, body, **options):
        return self("PATCH", path, body, content_type="application/merge-patch+json", **options)

    def strategic(self, path, body, **options):
        return self("PATCH", path, body, content_type="application/strategic-merge-patch+json", **options)

    def json_patch(self, path, body, **options):
        return self("PATCH", path, body, content_type="application/json-patch+json", **options)

    @contextlib.contextmanager
    def watch(self, path, timeout=10, headers=None, **query):
        query = {"watch": "1", **query}
        text = "&".join(f"{key}={value}" for key, value in query.items())
        response = self.request(
            "GET",
            f"{path}?{text}",
            headers=headers,
            preload_content=False,
            timeout=urllib3.Timeout(connect=timeout, read=timeout),
        )
        try:
            yield Events(response)
        finally:
            response.close()


class Events:
    """Watch events, one by one."""

    def __init__(self, response):
        self.status = response.status
        self._lines = self._read(response)

    @staticmethod
    def _read(response):
        rest = b""
        for piece in response.stream(65536, decode_content=False):
            rest += piece
            *lines, rest = rest.split(b"\n")
            for line in lines:
                yield json.loads(line)

    def next(self):
        event = next(self._lines)
        return event["type"], event["object"]

    def rest(self):
        return [(event["type"], event["object"]) for event in self._lines]


def pod(name="web", **changes):
    spec = {"containers": [{"name": "main", "image": "nginx"}], **changes.pop("spec", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **changes.pop("metadata", {})},
        "spec": spec,
        **changes,
    }


def node(name="n1", **changes):
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, **changes}


def register(api, name="n1", *, pods="110", cpu="4", memory="8Gi", address="127.0.0.1", port=10250):
    """Make a Ready node, as a kubelet would; return it. (The taint of new nodes goes a moment later.)"""
    api.create(
        "/api/v1/nodes", node(name, metadata={"name": name, "labels": {"kubernetes.io/hostname": name}})
    )
    now = "2026-01-02T03:04:05Z"
    status = {
        "capacity": {"cpu": cpu, "memory": memory, "pods": pods},
        "allocatable": {"cpu": cpu, "memory": memory, "pods": pods},
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "KubeletReady",
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
        ],
        "addresses": [{"type": "InternalIP", "address": address}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        "nodeInfo": {"kubeletVersion": "v1.36.0-vk", "operatingSystem": "linux", "architecture": "amd64"},
    }
    return api.strategic(f"/api/v1/nodes/{name}/status", {"status": status}).json


def running(name="main", **changes):
    """Return the status of a pod whose one container runs."""
    return {
        "phase": "Running",
        "conditions": [
            {"type": "Ready", "status": "True"},
            {"type": "ContainersReady", "status": "True"},
        ],
        "hostIP": "127.0.0.1",
        "podIP": "10.1.2.3",
        "containerStatuses": [
            {
                "name": name,
                "ready": True,
                "started": True,
                "state": {"running": {"startedAt": "2026-01-02T03:04:05Z"}},
                "image": "nginx",
                "imageID": "",
            }
        ],
        **changes,
    }


def allow_bootstrap(plane):
    """Do what kubeadm does for new nodes."""
    api = Api(plane)
    rule = {
        "apiGroups": ["certificates.k8s.io"],
        "resources": ["certificatesigningrequests"],
        "verbs": ["create", "get"],
    }
    api.create(f"{RBAC}/clusterroles", {"metadata": {"name": "system:node-bootstrapper"}, "rules": [rule]})
    api.create(
        f"{RBAC}/clusterrolebindings",
        {
            "metadata": {"name": "bootstrappers"},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "system:node-bootstrapper",
            },
            "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": BOOTSTRAPPERS}],
        },
    )
    api.close()
