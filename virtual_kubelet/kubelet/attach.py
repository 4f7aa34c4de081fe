"""/attach: what `kubectl attach` and `kubectl run -i` do."""

from __future__ import annotations

from virtual_kubelet.errors import NotSupported
from virtual_kubelet.kubelet.remote_command import asked_streams, upgrade
from virtual_kubelet.kubelet.source import PodSource, addressed_pod, existing_container
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.provider import Attaching, ExecIO, Provider
from virtual_kubelet.web.messages import Request, Upgrade
from virtual_kubelet.web.routing import Router

__all__ = ["add_routes"]

PATTERNS = ("/attach/{namespace}/{pod}/{container}", "/attach/{namespace}/{pod}/{uid}/{container}")


def add_routes(router: Router, pods: PodSource, provider: Provider, streaming: Streaming) -> None:
    """Serve attach where the provider can join containers, else 501."""
    attaching = provider if isinstance(provider, Attaching) else None

    def handler(request: Request) -> Upgrade:
        asked = asked_streams(request)
        pod = addressed_pod(pods, request)
        namespace, name, container = (request.route[key] for key in ("namespace", "pod", "container"))
        existing_container(pod, container)
        if attaching is None:
            raise NotSupported("the provider of this node cannot attach to containers")
        uid = pod.get("metadata", {}).get("uid", "")

        def work(io: ExecIO) -> int:
            attaching.attach_to_container(namespace, name, uid, container, io)
            return 0

        return upgrade(
            request,
            asked,
            streaming,
            work,
            label=f"attach {namespace}/{name}/{container}",
            doing="attaching to container",
        )

    for pattern in PATTERNS:
        router.add(("GET", "POST"), pattern, handler, verb="create")
