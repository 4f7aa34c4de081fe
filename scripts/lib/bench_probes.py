"""The measurement behind scripts/bench-probes; see there."""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import PATIENCE, control_plane, make_namespace, node_is_ready, wait_for

from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.runtime.threads import spawn

SETTLE = 5.0  # seconds from the last pod's readiness to the measurement


def main() -> int:
    """Measure, print, clean up."""
    parser = argparse.ArgumentParser(prog="scripts/bench-probes", description=__doc__)
    parser.add_argument("--pods", type=int, default=100, help="how many pods (default: 100)")
    parser.add_argument("--seconds", type=float, default=30, help="how long to look (default: 30)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with target() as port:
        found = {kind: measure(probe, arguments) for kind, probe in probes(port).items()}
    print(json.dumps(found, indent=2) if arguments.json else table(found))
    return 0


def probes(port: int) -> dict[str, dict[str, Any]]:
    """Return the kinds of probes; `none` is what the pods cost without."""
    return {
        "none": {},
        "tcpSocket": {"tcpSocket": {"port": port}},
        "httpGet": {"httpGet": {"path": "/", "port": port}},
        "exec": {"exec": {"command": ["true"]}},
    }


class _Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256  # all probes may come at once

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a tcpSocket probe hangs up at once."""


@contextlib.contextmanager
def target() -> Iterator[int]:
    """Answer the probes of all pods, in this process: give the port."""
    server = _Server(("127.0.0.1", 0), _Answer)
    thread = spawn(server.serve_forever, name="target")
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def measure(probe: dict[str, Any], arguments: argparse.Namespace) -> dict[str, float]:
    """Run the pods on a node of their own; return what they cost."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="vk-probes-"))
        kubeconfig = stack.enter_context(control_plane(directory))
        client = Client(config.load(kubeconfig), qps=0)
        stack.callback(client.close)
        namespace = stack.enter_context(make_namespace(client))
        agent, node = stack.enter_context(running_agent(kubeconfig, directory, client))
        for number in range(arguments.pods):
            client.create(PODS, pod(namespace, f"probed-{number}", node, probe), namespace)
        stack.callback(delete_all, client, namespace, agent)
        wait_for(lambda: all_ready(client, namespace), "the pods to be ready", agent, PATIENCE)
        holder = supervisor(directory)
        pause = threading.Event()
        pause.wait(SETTLE)
        start, before = time.monotonic(), [cpu_seconds(pid) for pid in (agent.pid, holder)]
        pause.wait(arguments.seconds)
        spent = time.monotonic() - start
        used = [
            100 * (cpu_seconds(pid) - was) / spent
            for pid, was in zip((agent.pid, holder), before, strict=True)
        ]
        return {"agent_percent": round(used[0], 1), "supervisor_percent": round(used[1], 1), "threads": threads(agent.pid)}  # fmt: skip


@contextlib.contextmanager
def running_agent(
    kubeconfig: str, directory: str, client: Client
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Start an agent with the process provider; give its process and its node."""
    node = f"vk-probes-{uuid.uuid4().hex[:8]}"
    settings = Path(directory) / "process.toml"
    settings.write_text('pods = "100000"\n')
    command = [
        sys.executable, "-m", "virtual_kubelet", "run", "--provider", "process", "--provider-config", str(settings),
        "--kubeconfig", kubeconfig, "--nodename", node, "--port", "0", "--address", "127.0.0.1",
        "--node-ip", "127.0.0.1", "--kube-api-qps", "0", "--log-level", "error",
        "--state-dir", str(Path(directory) / "state"),
    ]  # fmt: skip
    with subprocess.Popen(command) as process:
        try:
            wait_for(lambda: node_is_ready(client, node), "the node to be Ready", process)
            yield process, node
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def pod(namespace: str, name: str, node: str, probe: dict[str, Any]) -> dict[str, Any]:
    """Return a pod that waits, probed each second."""
    container: dict[str, Any] = {"name": "main", "image": "none", "command": ["sleep", "100000"]}
    if probe:
        container["readinessProbe"] = {**probe, "periodSeconds": 1, "timeoutSeconds": 30}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "nodeName": node,
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 60,
            "containers": [container],
            "tolerations": [{"operator": "Exists"}],
        },
    }


def all_ready(client: Client, namespace: str) -> bool:
    """Tell whether every pod is Ready."""
    return all(
        any(c["type"] == "Ready" and c["status"] == "True" for c in item["status"].get("conditions") or ())
        for item in client.list(PODS, namespace)["items"]
    )


def delete_all(client: Client, namespace: str, agent: subprocess.Popen[bytes]) -> None:
    """Delete the pods and wait until they are gone."""
    for item in client.list(PODS, namespace)["items"]:
        client.delete(PODS, item["metadata"]["name"], namespace)
    wait_for(lambda: not client.list(PODS, namespace)["items"], "the pods to go", agent, PATIENCE)


def supervisor(directory: str) -> int:
    """Return the pid of the supervisor, by its command line."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"--dir" in words and words[words.index(b"--dir") + 1].startswith(directory.encode()):
                return int(entry.name)
    raise SystemExit("there is no supervisor")


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, without its children's."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def threads(pid: int) -> int:
    """Return how many threads a process has."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def table(found: dict[str, dict[str, float]]) -> str:
    """Return the numbers as rows of a Markdown table."""
    rows = [
        "| probe | agent, % of a core | supervisor, % of a core | threads of the agent |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {kind} | {item['agent_percent']} | {item['supervisor_percent']} | {item['threads']} |"
        for kind, item in found.items()
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
