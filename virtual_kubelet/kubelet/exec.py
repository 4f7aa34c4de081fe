"""/exec: what `kubectl exec` and `kubectl cp` do."""

from __future__ import annotations

from virtual_kubelet.errors import NotSupported, RequestError
from virtual_kubelet.kubelet.remote_command import asked_streams, upgrade
from virtual_kubelet.kubelet.source import PodSource, addressed_pod, existing_container
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.provider import Executing, Provider
from virtual_kubelet.web.messages import Request, Upgrade
from virtual_kubelet.web.routing import Router

__all__ = ["add_routes"]

PATTERNS = ("/exec/{namespace}/{pod}/{container}", "/exec/{namespace}/{pod}/{uid}/{container}")


def add_routes(router: Router, pods: PodSource, provider: Provider, streaming: Streaming) -> None:
    """Serve exec where the provider can run commands, else 501."""
    executing = provider if isinstance(provider, Executing) else None

    def handler(request: Request) -> Upgrade:
        asked = asked_streams(request)
        # A path may hold bytes that are no UTF-8: they arrive as surrogates, which os.fsencode undoes.
        command = request.query.get("command", [])
        if not command:
            raise RequestError(400, "you must specify a command")
        if any("\0" in part for part in command):
            raise RequestError(400, "a command cannot hold NUL")
        pod = addressed_pod(pods, request)
        namespace, name, container = (request.route[key] for key in ("namespace", "pod", "container"))
        existing_container(pod, container)
        if executing is None:
            raise NotSupported("the provider of this node cannot run commands in containers")
        uid = pod.get("metadata", {}).get("uid", "")
        return upgrade(
            request,
            asked,
            streaming,
            lambda io: executing.exec_in_container(namespace, name, uid, container, command, io),
            label=f"exec {namespace}/{name}/{container}",
            doing="executing command in container",
        )

    for pattern in PATTERNS:
        router.add(("GET", "POST"), pattern, handler, verb="create")
