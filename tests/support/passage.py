"""An embedded control plane in front of a kubelet's streaming routes."""

from __future__ import annotations

import contextlib

from support.devapi import Api, control_plane, pod, register, running
from support.remote import kubelet


@contextlib.contextmanager
def passage(provider=None, **streaming):
    """Yield the control plane, its client, and the `remote.Kubelet` of the node n1, where the pod web runs."""
    with kubelet(provider, **streaming) as node, control_plane() as plane:
        api = Api(plane)
        try:
            register(api, port=node.server.port)
            add_pod(api)
            yield plane, api, node
        finally:
            api.close()


def add_pod(api, name="web", ip="127.0.0.1", **spec):
    path = "/api/v1/namespaces/default/pods"
    answer = api.create(path, pod(name, spec={"nodeName": "n1", **spec}))
    assert answer.status == 201, answer.data
    assert api.strategic(f"{path}/{name}/status", {"status": running(podIP=ip)}).status == 200
