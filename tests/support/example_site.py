"""What the examples of Kubernetes' documentation need of a node, whichever provider runs the containers."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path

from support.engine_node import cluster
from support.kubectl import kubectl
from support.podman import IMAGE
from support.process_pods import free_port
from support.waiting import eventually

from virtual_kubelet.providers.docker.provider import create as create_docker
from virtual_kubelet.providers.process.provider import create as create_process

WEB = Path(__file__).with_name("web_of_files.py")
PATIENCE = 60.0  # seconds; whatever is waited for takes less than a tenth of it


class Site:
    """A node, and kubectl."""

    def __init__(self, kube, client, kind, scratch):
        self.kube = kube
        self.client = client
        self.kind = kind
        self.scratch = scratch  # a directory of the machine that containers may use by hostPath

    # -- manifests

    def container(self, script, name="main", **fields):
        return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}

    def pod(self, name, *containers, metadata=None, **spec):
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, **(metadata or {})},
            "spec": {"terminationGracePeriodSeconds": 5, "containers": list(containers), **spec},
        }

    def web(self, directory, port):
        """Return a shell command that serves a directory."""
        if self.kind == "process":
            return f"exec {sys.executable} {WEB} {directory} {port}"
        return f"exec httpd -f -p {port} -h {directory}"

    def port(self):
        """Return a port that a pod can have: pods of processes share the machine's."""
        return free_port() if self.kind == "process" else 8080

    # -- deeds

    def apply(self, *objects):
        found = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
        return self.kube("apply", "-f", "-", stdin=json.dumps(found))

    def get(self, name, kind="pod"):
        return json.loads(self.kube("get", kind, name, "-o", "json"))

    def status(self, name):
        return self.get(name).get("status") or {}

    def container_status(self, name, container="main"):
        status = self.status(name)
        found = [
            item
            for key in ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")
            for item in status.get(key) or ()
            if item["name"] == container
        ]
        return found[0] if found else {}

    def column(self, name):
        """Return READY, STATUS and RESTARTS as `kubectl get pod` shows them."""
        _, ready, status, restarts, *_ = self.kube("get", "pod", name, "--no-headers").split()
        return ready, status, restarts

    def condition(self, name, kind):
        return next((c for c in self.status(name).get("conditions") or () if c["type"] == kind), {})

    def events(self, name):
        """Return (reason, message) of the pod's events."""
        items = json.loads(self.kube("events", "--for", f"pod/{name}", "-o", "json"))["items"]
        return [(item["reason"], item["message"]) for item in items]

    def tells(self, name, reason, text):
        """Wait for an event of the pod's; events come a moment after what they are about."""
        eventually(
            lambda: any(r == reason and m.startswith(text) for r, m in self.events(name)),
            PATIENCE,
            lambda: f"no {reason} {text!r} in {self.events(name)}",
        )

    def ends(self, name, phase="Succeeded"):
        self.kube("wait", f"--for=jsonpath={{.status.phase}}={phase}", f"pod/{name}", "--timeout=60s")

    def is_ready(self, name):
        self.kube("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")


@contextlib.contextmanager
def process_site(tmp_path):
    with cluster(create_process, "", environ={"PATH": os.environ["PATH"]}) as found:
        yield _site(found, "process", tmp_path)


@contextlib.contextmanager
def podman_site(podman, tmp_path):
    config = tmp_path / "docker.toml"
    config.write_text(
        f'host = "unix://{podman.socket}"\ninfra-image = "{IMAGE}"\ninfra-command = ["sleep", "1000000"]\n'
    )
    with cluster(create_docker, str(config)) as found:
        yield _site(found, "podman", tmp_path)


def _site(found, kind, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    Path(scratch).chmod(0o777)
    return Site(kubectl(found.control_plane, tmp_path), found.client, kind, scratch)
