"""A provider in one page, embedded in a plain threaded program.

The provider runs each pod as a timer: it "works" for as long as the annotation `example/seconds` says, and then has
succeeded. The program around it is its own master of threads, signals and logging.

    python examples/embedded.py KUBECONFIG
"""

from __future__ import annotations

import sys
import threading
import time

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.errors import NotFound
from virtual_kubelet.objects import Condition, Pod, PodStatus
from virtual_kubelet.settings import Settings


class TimerProvider:
    """The nine methods that every provider has; pods are plain dicts, as Kubernetes writes them (`Pod` names their shape)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # By UID: a pod that is made again under its name is another pod. Each with the time at which it is over.
        self._pods: dict[str, tuple[Pod, float]] = {}

    def create_pod(self, pod: Pod) -> None:
        seconds = float(pod["metadata"].get("annotations", {}).get("example/seconds", "1"))
        with self._lock:  # may be called again for the same pod
            self._pods.setdefault(pod["metadata"]["uid"], (pod, time.monotonic() + seconds))

    def update_pod(self, pod: Pod) -> None:
        with self._lock:
            _, end = self._pods[pod["metadata"]["uid"]]
            self._pods[pod["metadata"]["uid"]] = (pod, end)

    def delete_pod(self, pod: Pod) -> None:
        with self._lock:
            if self._pods.pop(pod["metadata"]["uid"], None) is None:
                raise NotFound(f"pod {pod['metadata']['name']} is not here")

    def get_pod(self, namespace: str, name: str) -> Pod | None:
        wanted = (namespace, name)
        return next(
            (p for p in self.get_pods() if (p["metadata"]["namespace"], p["metadata"]["name"]) == wanted),
            None,
        )

    def get_pod_status(self, namespace: str, name: str) -> PodStatus | None:
        pod = self.get_pod(namespace, name)
        return pod["status"] if pod else None

    def get_pods(self) -> list[Pod]:
        with self._lock:
            pods = list(self._pods.values())
        now = time.monotonic()
        return [
            {"metadata": pod["metadata"], "status": {"phase": "Running" if now < end else "Succeeded"}}
            for pod, end in pods
        ]

    def capacity(self) -> dict[str, str]:
        return {"cpu": "8", "memory": "16Gi", "pods": "100"}

    def node_conditions(self) -> list[Condition]:
        return []

    def operating_system(self) -> str:
        return "Linux"


def main(kubeconfig: str) -> None:
    settings = Settings(
        kubeconfig=kubeconfig, node_name="timers", provider_sync_period=1, port=0, address="127.0.0.1"
    )
    with VirtualKubelet(settings, TimerProvider()) as agent:
        agent.wait_ready(timeout=30)
        print("node timers is Ready; Enter ends the program, pods and node stay as they are", flush=True)
        sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1])
