"""An agent without an API server in a process of its own, to be killed: `process_agent.py STATE PODS.json
[DOCKER.toml]`; with the last, its containers are an engine's.

Takes up what it finds, creates the pods of the file that it does not have, deletes those that the file marks with a
deletionTimestamp, prints "ready", and goes on until its end.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

TESTS = Path(__file__).parent.parent


class Agent:
    """The process, seen from a test."""

    def __init__(self, state, pods, wait=True, docker=""):
        file = Path(state).parent / "pods-to-run.json"
        file.write_text(json.dumps(pods))
        self.process = subprocess.Popen(
            [sys.executable, __file__, str(state), str(file), *([docker] if docker else [])],
            stdout=subprocess.PIPE,
            text=True,
        )
        if wait and self.process.stdout.readline() != "ready\n":
            self.kill()
            raise AssertionError("the agent has failed")

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()


def make_node(state, docker):
    if not docker:
        from support.process_pods import Node

        return Node(state)
    from support import engine_node

    from virtual_kubelet.providers.docker.provider import create

    return engine_node.Node(create, state, docker)


def main(state, file, docker=""):
    sys.path.insert(0, str(TESTS))
    from support.waiting import eventually

    from virtual_kubelet.errors import NotFound, ProviderError

    pods = json.loads(Path(file).read_text())
    node = make_node(state, docker)
    node.context.api_pods = pods

    def known():
        try:
            return {pod["metadata"]["uid"] for pod in node.provider.get_pods()} or {""}
        except ProviderError:
            return None

    have = eventually(known, 60)
    for pod in pods:
        if "deletionTimestamp" in pod["metadata"]:
            with contextlib.suppress(NotFound):
                node.delete(pod, grace=pod["metadata"]["deletionGracePeriodSeconds"])
        elif pod["metadata"]["uid"] not in have:
            node.provider.create_pod(pod)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    threading.Event().wait()


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        os._exit(1)  # its threads would go on
