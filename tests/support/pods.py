"""Pods for tests, as the API server hands them out."""

from __future__ import annotations

import itertools

# Of probes: looked at each second, and a busy machine may take its time over it.
OFTEN = {"periodSeconds": 1, "timeoutSeconds": 10}

_numbers = itertools.count(1)


def make_pod(name="web", namespace="default", *, uid=None, node="vk", status=None, metadata=None, **spec):
    """Return a bound pod with one container `main`, as an API server of v1.36 would hold it."""
    number = next(_numbers)
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{number}",
            "resourceVersion": str(number),
            "generation": 1,
            "creationTimestamp": "2026-01-01T00:00:00Z",
            **(metadata or {}),
        },
        "spec": {
            "nodeName": node,
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "enableServiceLinks": True,
            "containers": [{"name": "main", "image": "busybox:1", "resources": {}}],
            **spec,
        },
        "status": {"phase": "Pending", "qosClass": "BestEffort", **(status or {})},
    }
