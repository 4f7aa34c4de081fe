"""The benchmark behind scripts/bench; see there."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import queue
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from virtual_kubelet.errors import ApiAlreadyExists, ApiError
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.resources import NAMESPACES, NODES, PODS, SERVICE_ACCOUNTS
from virtual_kubelet.objects import Pod
from virtual_kubelet.runtime.threads import Deadline, spawn

CREATORS = 10  # threads of the load generator
EVENTS = 50  # a second that an agent writes; it goes on when all pods run
PATIENCE = 600  # seconds until a phase that does not end is given up


def main() -> int:
    """Measure, print, clean up."""
    arguments = parse()
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="vk-bench-"))
        kubeconfig = arguments.kubeconfig or stack.enter_context(control_plane(directory))
        client = Client(config.load(kubeconfig), qps=0, pool_size=CREATORS + 2)
        stack.callback(client.close)
        namespace = stack.enter_context(make_namespace(client))
        agent = stack.enter_context(Agent.running(kubeconfig, directory, client, arguments))
        stack.callback(delete_node, client, agent.node)
        result = measure(client, namespace, agent, arguments)
    print(json.dumps(result, indent=2) if arguments.json else table(result))
    return 0


def parse() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--pods", type=int, default=1000, help="how many pods (default: 1000)")
    parser.add_argument("--kubeconfig", default="", help="a cluster (default: the embedded control plane)")
    parser.add_argument("--qps", default="0", help="the agent's --kube-api-qps (default: 0, no limit)")
    parser.add_argument(
        "--idle", type=float, default=0, help="also measure the agent's CPU at rest, over so many seconds"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args()


@contextlib.contextmanager
def control_plane(directory: str) -> Iterator[str]:
    """Run the embedded control plane in a process of its own; give its kubeconfig."""
    kubeconfig = str(Path(directory) / "kubeconfig")
    script = Path(__file__).with_name("control_plane.py")
    with subprocess.Popen(
        [sys.executable, str(script), kubeconfig], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != b"ready":
            raise SystemExit("the embedded control plane did not start")
        try:
            yield kubeconfig
        finally:
            process.stdin.close()
            process.wait(30)


@contextlib.contextmanager
def make_namespace(client: Client) -> Iterator[str]:
    """Make a namespace for the pods, and take it away again."""
    name = f"vk-bench-{uuid.uuid4().hex[:8]}"
    client.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    # The controller manager makes it a moment later, and there may be none; no pod is admitted without it.
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    with contextlib.suppress(ApiAlreadyExists):
        client.create(SERVICE_ACCOUNTS, account, name)
    try:
        yield name
    finally:
        client.delete(NAMESPACES, name)


def delete_node(client: Client, node: str) -> None:
    """Take the node away; it would stay otherwise, as after an upgrade."""
    with contextlib.suppress(ApiError):
        client.delete(NODES, node)


class Agent:
    """The agent's process, seen from outside."""

    def __init__(self, process: subprocess.Popen[bytes], node: str) -> None:
        self.process = process
        self.node = node

    @classmethod
    @contextlib.contextmanager
    def running(
        cls, kubeconfig: str, directory: str, client: Client, arguments: argparse.Namespace
    ) -> Iterator[Agent]:
        """Start it and wait until its node is Ready."""
        node = f"vk-bench-{uuid.uuid4().hex[:8]}"
        mock = Path(directory) / "mock.json"
        mock.write_text(json.dumps({node: {"cpu": "100000", "memory": "100Ti", "pods": "100000"}}))
        command = [
            sys.executable, "-m", "virtual_kubelet", "run", "--provider", "mock", "--provider-config", str(mock),
            "--kubeconfig", kubeconfig, "--nodename", node, "--port", "0", "--address", "127.0.0.1",
            "--node-ip", "127.0.0.1", "--kube-api-qps", arguments.qps, "--log-level", "warning",
            "--state-dir", str(Path(directory) / "state"),
        ]  # fmt: skip
        with subprocess.Popen(command) as process:
            try:
                agent = cls(process, node)
                wait_for(lambda: node_is_ready(client, node), "the node to be Ready", process)
                yield agent
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(30)
                except subprocess.TimeoutExpired:
                    process.kill()

    def cpu_seconds(self) -> float:
        """Return the CPU time that the process has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_rss(self) -> float:
        """Return the most memory that it ever held, in MB."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1000
        return 0.0


def node_is_ready(client: Client, node: str) -> bool:
    """Tell whether the Node object says so."""
    try:
        conditions = client.get(NODES, node)["status"].get("conditions", [])
    except ApiError:
        return False
    return any(item["type"] == "Ready" and item["status"] == "True" for item in conditions)


def wait_for(
    predicate: Callable[[], bool], what: str, process: subprocess.Popen[bytes], limit: float = 60
) -> None:
    """Ask again until `predicate` is true, for `limit` seconds at most."""
    end = time.monotonic() + limit
    pause = threading.Event()
    while not predicate():
        if process.poll() is not None:
            raise SystemExit(f"the agent ended with {process.returncode} while waiting for {what}")
        if time.monotonic() > end:
            raise SystemExit(f"gave up waiting for {what}")
        pause.wait(0.05)


class Observer:
    """Sees pods run and go by a watch of its own, as a user would."""

    def __init__(self, client: Client, namespace: str, count: int) -> None:
        self.running: dict[str, float] = {}
        self.gone: dict[str, float] = {}
        self.all_running, self.all_gone = threading.Event(), threading.Event()
        self._count = count
        # An informer: an API server that is short of time ends watches, and a bare one would miss the rest.
        self._informer = Informer(client, PODS, namespace=namespace, name="observer")
        self._informer.add_handler(self._look)
        self._informer.start()
        self._informer.wait_synced(30)

    def _look(self, old: Pod | None, new: Pod | None) -> None:
        now = time.monotonic()
        if new is None:
            if old is not None:
                self.gone[old["metadata"]["name"]] = now
        elif new.get("status", {}).get("phase") == "Running":
            self.running.setdefault(new["metadata"]["name"], now)
        if len(self.running) == self._count:
            self.all_running.set()
        if len(self.gone) == self._count:
            self.all_gone.set()

    def close(self) -> None:
        """Stop looking."""
        self._informer.stop(Deadline(10))


def measure(client: Client, namespace: str, agent: Agent, arguments: argparse.Namespace) -> dict[str, Any]:
    """Create all pods and delete them again; return the numbers."""
    count = arguments.pods
    observer = Observer(client, namespace, count)
    names = [f"bench-{number}" for number in range(count)]
    try:
        up = phase(
            lambda name: client.create(PODS, pod(namespace, name, agent.node), namespace),
            names, observer.all_running, observer.running, agent,
        )  # fmt: skip
        idle = at_rest(agent, arguments.idle, after=count / EVENTS) if arguments.idle else None
        down = phase(
            lambda name: client.delete(PODS, name, namespace), names, observer.all_gone, observer.gone, agent
        )
    finally:
        observer.close()
    return {
        "pods": count,
        "api": "cluster" if arguments.kubeconfig else "embedded control plane",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}",
        "up": up,
        "down": down,
        "cpu_ms_per_pod": round(up["cpu_ms_per_pod"] + down["cpu_ms_per_pod"], 2),
        "idle_cpu_percent": idle,
        "peak_rss_mb": round(agent.peak_rss()),
    }


def phase(
    act: Callable[[str], Any], names: list[str], done: threading.Event, seen: dict[str, float], agent: Agent
) -> dict[str, float]:
    """Do something to each pod from several threads; wait until the watch has seen the outcome of all."""
    work: queue.SimpleQueue[str] = queue.SimpleQueue()
    for name in names:
        work.put(name)
    begun: dict[str, float] = {}
    refused: list[ApiError] = []

    def worker() -> None:
        while not refused:
            try:
                name = work.get_nowait()
            except queue.Empty:
                return
            begun[name] = time.monotonic()
            try:
                act(name)
            except ApiError as error:
                refused.append(error)

    cpu, start = agent.cpu_seconds(), time.monotonic()
    threads = [spawn(worker, name=f"load-{number}") for number in range(CREATORS)]
    for thread in threads:
        thread.join()
    if refused:
        raise SystemExit(f"the API server refuses the load: {refused[0]}")
    sent = time.monotonic() - start
    if not done.wait(PATIENCE):
        raise SystemExit(f"only {len(seen)} of {len(names)} pods were seen within {PATIENCE} s")
    seconds = max(seen.values()) - start
    latencies = sorted(seen[name] - begun[name] for name in names)
    return {
        "per_second": round(len(names) / seconds, 1),
        "requests_per_second": round(len(names) / sent, 1),
        "p50_ms": round(1000 * statistics.median(latencies)),
        "p99_ms": round(1000 * latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))]),
        "cpu_ms_per_pod": round(1000 * (agent.cpu_seconds() - cpu) / len(names), 2),
    }


def at_rest(agent: Agent, seconds: float, *, after: float) -> float:
    """Return how much of a core the agent uses while nothing happens, in per cent, `after` its last events."""
    pause = threading.Event()
    pause.wait(2 + after)
    before = agent.cpu_seconds()
    pause.wait(seconds)
    return round(100 * (agent.cpu_seconds() - before) / seconds, 2)


def pod(namespace: str, name: str, node: str) -> dict[str, Any]:
    """Return a pod of one container, bound to the node."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": "bench"}},
        "spec": {
            "nodeName": node,
            "enableServiceLinks": False,
            "automountServiceAccountToken": False,
            "containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}],
            "tolerations": [{"operator": "Exists"}],
        },
    }


def table(result: dict[str, Any]) -> str:
    """Return the numbers as rows of a Markdown table."""
    up, down = result["up"], result["down"]
    rows = [
        ("API server", result["api"]),
        ("machine", result["machine"]),
        ("pods", result["pods"]),
        ("pods/s to Running", up["per_second"]),
        ("creates/s sent", up["requests_per_second"]),
        ("created to Running, p50 / p99", f"{up['p50_ms']} / {up['p99_ms']} ms"),
        ("pods/s to gone", down["per_second"]),
        ("deletes/s sent", down["requests_per_second"]),
        ("deleted to gone, p50 / p99", f"{down['p50_ms']} / {down['p99_ms']} ms"),
        ("agent's CPU per pod, up + down", f"{up['cpu_ms_per_pod']} + {down['cpu_ms_per_pod']} ms"),
        ("agent's peak RSS", f"{result['peak_rss_mb']} MB"),
    ]
    if result["idle_cpu_percent"] is not None:
        rows.append(("agent's CPU at rest", f"{result['idle_cpu_percent']} %"))
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


if __name__ == "__main__":
    sys.exit(main())
