"""Tells on standard output what pods do and what they write, for those who look at a cluster for the first time."""

from __future__ import annotations

import contextlib
import threading
import time

from virtual_kubelet.errors import ApiError
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.kube.watch import ByteStream, LineSplitter
from virtual_kubelet.objects import Pod, pod_key
from virtual_kubelet.runtime.threads import Deadline, Thread, join_all, spawn

__all__ = ["Narrator"]


class Narrator:
    """Watches all pods of a cluster; follows the log of each container once it has started."""

    def __init__(self, client: Client, node: str) -> None:
        self._client = client
        self._node = node
        self._informer = Informer(client, PODS, name="narrator")
        self._informer.add_handler(self._pod_changed)
        self._changed = threading.Condition()  # guards what follows
        self._said: dict[str, str] = {}
        self._followed: set[tuple[str, str]] = set()
        self._written: set[str] = set()  # the keys of pods with a line of output
        self._threads: list[Thread] = []
        self._streams: list[ByteStream] = []
        self._stopped = False

    def introduce(self, url: str, kubeconfig: str, provider: str) -> None:
        """Say where everything is."""
        print(
            f"API server   {url}\n"
            f"node         {self._node} is Ready (provider {provider})\n"
            f"go on with   export KUBECONFIG={kubeconfig}\n"
            f"             kubectl get nodes,pods -o wide\n"
            f"Ctrl-C ends everything.\n",
            flush=True,
        )

    def start(self) -> None:
        """Begin to tell."""
        self._informer.start()

    def stop(self) -> None:
        """Fall silent."""
        with self._changed:
            self._stopped = True
            streams, self._streams = self._streams, []
            threads, self._threads = self._threads, []
            self._changed.notify_all()
        for stream in streams:
            stream.close()
        deadline = Deadline(5)
        self._informer.stop(deadline)
        join_all(threads, deadline)

    def wait_for_output(self, keys: list[str], timeout: float, stopped: threading.Event) -> bool:
        """Wait until each of the pods has run and written a line; tell whether it came to that."""
        end = time.monotonic() + timeout
        with self._changed:
            while not stopped.is_set() and time.monotonic() < end:
                if self._written.issuperset(keys):
                    return True
                self._changed.wait(0.2)
        return False

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is None:
            if old is not None:
                print(f"pod          {pod_key(old)} is gone", flush=True)
            return
        key, phase = pod_key(new), _describe(new)
        with self._changed:
            news = self._said.get(key) != phase
            self._said[key] = phase
        if news:
            print(f"pod          {key} {phase}", flush=True)
        self._follow_started(new)

    def _follow_started(self, pod: Pod) -> None:
        metadata = pod["metadata"]
        for status in pod.get("status", {}).get("containerStatuses", []):
            mark = (metadata["uid"], status.get("containerID", status["name"]))
            if not {"running", "terminated"} & set(status.get("state", {})):
                continue
            with self._changed:
                if mark in self._followed or self._stopped:
                    continue
                self._followed.add(mark)
                arguments = (metadata["namespace"], metadata["name"], status["name"])
                self._threads.append(spawn(self._follow, *arguments, name=f"follow-{metadata['name']}"))

    def _follow(self, namespace: str, name: str, container: str) -> None:
        try:
            stream = self._client.stream_path(
                PODS.path(namespace, name, "log"), query={"container": container, "follow": "true"}
            )
        except ApiError as error:
            print(f"log          {namespace}/{name}: {error}", flush=True)
            return
        with self._changed:
            if self._stopped:
                stream.close()
                return
            self._streams.append(stream)
        splitter = LineSplitter()
        with contextlib.suppress(ApiError):  # the pod's end, or ours, is told elsewhere
            for data in stream:
                for line in splitter.feed(data):
                    print(f"{name} | {line.decode(errors='replace')}", flush=True)
                    self._note_output(f"{namespace}/{name}")

    def _note_output(self, key: str) -> None:
        with self._changed:
            self._written.add(key)
            self._changed.notify_all()


def _describe(pod: Pod) -> str:
    """Return the phase, and why the pod is in it where that is said."""
    status = pod.get("status", {})
    if "deletionTimestamp" in pod["metadata"]:
        return "is being deleted"
    waiting = [
        item["state"]["waiting"].get("reason", "")
        for item in status.get("containerStatuses", [])
        if "waiting" in item.get("state", {})
    ]
    reason = status.get("reason") or next(iter(waiting), "")
    return f"is {status.get('phase', 'Pending')}" + (f" ({reason})" if reason else "")
