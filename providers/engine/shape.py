"""What differs between engines in how a pod's containers belong together: a Protocol with two implementations.

`shared_pod` joins them in namespaces that one small container holds, as Docker and Podman can; `loose_pod` runs
each on its own, for services that know single containers only.
"""

from __future__ import annotations

import socket
from typing import Protocol

from virtual_kubelet.objects import JsonObject, Pod
from virtual_kubelet.podruntime.driver import ContainerRequest, Sandbox
from virtual_kubelet.provider import PodContext
from virtual_kubelet.providers.engine.inventory import Listing

__all__ = ["Shape"]


class Shape(Protocol):
    """How a pod is made of containers."""

    def bind(self, context: PodContext) -> None:
        """Take the surroundings; once, before anything else."""

    def check(self, pod: Pod) -> None:
        """Raise `InvalidInput` for what can never be had in this shape."""

    def prepare(self, pod: Pod) -> Sandbox:
        """Make what the containers share, or find it."""

    def release(self, uid: str) -> None:
        """Remove it; ended containers of the pod may still be there."""

    def body(self, request: ContainerRequest) -> JsonObject:
        """Return what creates a container."""

    def removed(self, uid: str) -> None:
        """Note that a container of the pod was removed."""

    def died(self, container_id: str, uid: str) -> None:
        """Note that something that is no container of the pod's spec has ended."""

    def tidy(self, listing: Listing) -> None:
        """Remove what nobody needs any more, after a complete list."""

    def dial(self, uid: str, port: int, timeout: float) -> socket.socket:
        """Connect to a port of the pod."""
