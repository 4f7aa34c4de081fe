"""Where the routes look up pods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from virtual_kubelet.errors import RequestError
from virtual_kubelet.objects import Pod
from virtual_kubelet.web.messages import Request

__all__ = ["PodSource", "addressed_pod", "container_names", "existing_container", "existing_pod"]


class PodSource(Protocol):
    """The pods that the API server has bound to this node; read-only."""

    def list(self) -> list[Pod]:
        """Return all of them."""

    def get(self, key: str) -> Pod | None:
        """Return the pod `NAMESPACE/NAME`, or None."""


def existing_pod(pods: PodSource, namespace: str, name: str) -> Pod:
    """Return a pod; `RequestError` 404 in the kubelet's words where there is none."""
    pod = pods.get(f"{namespace}/{name}")
    if pod is None:
        raise RequestError(404, f'pod "{name}" does not exist')
    return pod


def addressed_pod(pods: PodSource, request: Request) -> Pod:
    """Return the pod of a route; `RequestError` 404 where there is none, or `{uid}` means another one."""
    pod = existing_pod(pods, request.route["namespace"], request.route["pod"])
    uid = request.route.get("uid")
    if uid and uid != pod.get("metadata", {}).get("uid"):
        raise RequestError(404, f'pod "{request.route["pod"]}" with UID {uid} does not exist')
    return pod


def container_names(pod: Pod) -> Iterator[str]:
    """Yield the names of a pod's containers of all kinds."""
    spec = pod.get("spec", {})
    for container in spec.get("containers") or []:
        yield container.get("name", "")
    for container in spec.get("initContainers") or []:
        yield container.get("name", "")
    for container in spec.get("ephemeralContainers") or []:
        yield container.get("name", "")


def existing_container(pod: Pod, container: str) -> None:
    """Raise `RequestError` 404 in the kubelet's words where the pod has no such container."""
    if container not in container_names(pod):
        name = pod.get("metadata", {}).get("name", "")
        raise RequestError(404, f'container "{container}" not found in pod "{name}"')
