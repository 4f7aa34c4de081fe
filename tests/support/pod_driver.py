"""The pod runtime over a container backend that is a dict: real threads and files, nothing runs."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace

from support.pod_context import FakeContext
from support.waiting import eventually

from virtual_kubelet import codec
from virtual_kubelet.errors import Unavailable
from virtual_kubelet.podruntime.driver import (
    CREATED,
    EXITED,
    RUNNING,
    CommandResult,
    ContainerInfo,
    Image,
    Sandbox,
)
from virtual_kubelet.podruntime.manager import ManagerOptions, PodManager


class Gate:
    """Lets everybody through; when it has been shut, the next one only as soon as it is opened."""

    def __init__(self):
        self._shut = False
        self._opened = threading.Event()
        self.reached = threading.Event()

    def shut(self):
        self._shut = True

    def open(self):
        self._opened.set()

    def go_through(self):
        if self._shut:
            self._shut = False
            self.reached.set()
            assert self._opened.wait(30)


class SlowContext(FakeContext):
    """Content of volumes comes through a gate, as it was when it was asked for."""

    def __init__(self):
        super().__init__()
        self.gate = Gate()

    def files(self, pod, volume):
        found = super().files(pod, volume)
        self.gate.go_through()
        return found


class DictDriver:
    """Containers are called `uid_name_attempt`. None ends by itself: tests say which, or it is told to."""

    name = "dict"

    def __init__(self):
        self.lock = threading.Lock()
        self.infos = {}  # id -> its newest
        self.started = []  # ids
        self.lists = 0  # how many have been asked for
        self.list_gate = Gate()
        self.broken_signals = 0  # how many of the next do not get through
        self.result = CommandResult(0)  # of every command
        self.asked = []  # commands
        self.listener = None

    def put(self, container_id, **changes):
        """Change a container, and tell nobody; return it."""
        with self.lock:
            info = self.infos[container_id] = replace(self.infos[container_id], **changes)
        return info

    def end(self, container_id, code):
        """A container that runs ends, and the runtime is told."""
        if self.infos[container_id].state == RUNNING:
            self.listener.container_changed(
                self.put(container_id, state=EXITED, exit_code=code, finished_at=time.time())
            )

    # what the runtime calls

    def open(self, listener):
        self.listener = listener

    def close(self, deadline):
        pass

    def purge(self):
        self.infos.clear()

    def check(self, pod):
        pass

    def capacity(self):
        return {"cpu": "4", "memory": "8Gi", "pods": "10"}

    def prepare_pod(self, pod):
        return Sandbox("s1")

    def release_pod(self, uid):
        pass

    def ensure_image(self, reference, policy, credentials, pulling):
        return Image()

    def list_containers(self):
        with self.lock:
            self.lists += 1
            found = list(self.infos.values())
        self.list_gate.go_through()
        return found

    def create(self, request):
        uid, name = request.pod["metadata"]["uid"], request.container["name"]
        info = ContainerInfo(
            f"{uid}_{name}_{request.attempt}",
            uid,
            request.pod["metadata"]["namespace"],
            request.pod["metadata"]["name"],
            name,
            request.attempt,
            CREATED,
            image=request.image,
        )
        with self.lock:
            self.infos[info.id] = info
        return info.id

    def start(self, container_id):
        self.started.append(container_id)
        return self.put(container_id, state=RUNNING, started_at=time.time())

    def signal(self, container_id, signal):
        if self.broken_signals:
            self.broken_signals -= 1
            raise Unavailable("the connection to the backend broke")
        self.end(container_id, 143)

    def kill(self, container_id):
        self.end(container_id, 137)

    def remove(self, container_id):
        with self.lock:
            self.infos.pop(container_id, None)

    def run(self, container_id, command, timeout, done):
        self.asked.append(command)
        done(self.result)


class RuntimeNode:
    """A manager, its driver and its context."""

    def __init__(self, state):
        self.state = state
        self.driver = DictDriver()
        self.context = SlowContext()
        self.manager = PodManager(self.driver, ManagerOptions(state, None))
        self.manager.notify_pods(lambda *_: None)
        self.manager.bind(self.context)

    def run(self, pod):
        """Run a pod; return its worker when all of its containers run."""
        names = {container["name"] for container in pod["spec"]["containers"]}
        uid = pod["metadata"]["uid"]
        self.context.api_pods = [*self.context.api_pods, pod]
        self.manager.create_pod(codec.copy(pod))
        worker = self.manager._pods.get(uid)
        eventually(lambda: all(worker.state.runs(name) for name in names))
        return worker

    def listed(self):
        """Wait until what has been listed by now is taken in: one thread lists, so the next one has begun."""
        count = self.driver.lists
        self.manager.lost_track()
        eventually(lambda: self.driver.lists > count)


@contextlib.contextmanager
def runtime_node(state):
    node = RuntimeNode(state)
    try:
        yield node
    finally:
        node.driver.list_gate.open()
        node.context.gate.open()
        node.manager.purge()
