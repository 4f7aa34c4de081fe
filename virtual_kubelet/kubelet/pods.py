"""/pods: what is bound to this node; /runningpods/: what the provider runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from virtual_kubelet.kubelet.answers import json
from virtual_kubelet.kubelet.source import PodSource
from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.web.messages import Request, Response
from virtual_kubelet.web.routing import Router

__all__ = ["add_routes"]

FINISHED = frozenset({"Succeeded", "Failed"})


def add_routes(router: Router, pods: PodSource, backend: Callable[[], Sequence[Pod]]) -> None:
    """Serve both lists; the rights are those of `nodes/pods` and, as before 1.33, `nodes/proxy`.

    `backend` returns the pods that the provider has, as `Provider.get_pods`.
    """

    def bound(_: Request) -> Response:
        return json(_pod_list(pods.list()))

    def running(_: Request) -> Response:
        alive = [pod for pod in backend() if pod.get("status", {}).get("phase") not in FINISHED]
        return json(_pod_list([_outline(pod) for pod in alive]))

    router.add("GET", "/pods", bound, subresources=("pods", "proxy"))
    router.add("GET", "/runningpods", running, subresources=("pods", "proxy"))


def _pod_list(items: list[Any]) -> JsonObject:
    return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}


def _outline(pod: Pod) -> JsonObject:
    """Return who a pod is and what images it runs: the provider's pod has its environment resolved."""
    metadata = pod.get("metadata", {})
    spec = pod.get("spec", {})
    known = spec.get("containers") or pod.get("status", {}).get("containerStatuses") or []
    return {
        "metadata": {key: metadata[key] for key in ("name", "namespace", "uid") if key in metadata},
        "spec": {
            "containers": [
                {"name": container.get("name", ""), "image": container.get("image", ""), "resources": {}}
                for container in known
            ]
        },
        "status": {},
    }
