"""A provider on an engine without an API server, and one in a whole cluster."""

from __future__ import annotations

import contextlib
import os

from support import process_pods
from support.podman import IMAGE

from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.testing.cluster import DevCluster


def container(script="exec sleep 1000", name="c", **fields):
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def make_pod(*containers, **spec):
    return process_pods.make_pod(*(containers or [container()]), **spec)


class Node(process_pods.Node):
    """A provider made by `create`, and what it told."""

    def __init__(self, create, state, config_path, context=None, environ=None):
        self.context = context or process_pods.FakeContext()
        self.statuses = {}
        self._lock = process_pods.threading.Lock()
        config = ProviderConfig(
            node_name="node-1",
            state_dir=str(state),
            internal_ip="127.0.0.1",
            config_path=config_path,
            environ=environ or {},
        )
        self.provider = create(config)
        self.provider.notify_pods(self._take)
        self.provider.bind(self.context)


@contextlib.contextmanager
def running_node(create, state, config_path, **options):
    node = Node(create, state, config_path, **options)
    try:
        yield node
    finally:
        node.purge()
        node.close()


def cluster(create, config_path, environ=None, **settings):
    """Return a DevCluster whose provider is made from the settings of its agent."""

    def make(given):
        return create(
            ProviderConfig(
                node_name=given.node_name,
                internal_ip=given.node_ip,
                config_path=config_path,
                state_dir=given.state_dir,
                environ=environ or dict(os.environ),
            )
        )

    made = []

    def remember(given):
        made.append(given)
        return make(given)

    found = DevCluster(remember, node_name="engine", **settings)
    found.made = made
    found.make_provider = make
    return found
