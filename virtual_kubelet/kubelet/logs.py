"""/containerLogs: what `kubectl logs` shows."""

from __future__ import annotations

from collections.abc import Iterator

from virtual_kubelet.errors import NotFound, NotSupported, RequestError
from virtual_kubelet.kubelet import log_options
from virtual_kubelet.kubelet.source import PodSource, existing_container, existing_pod
from virtual_kubelet.objects import ContainerStatus, Pod
from virtual_kubelet.provider import KeepingLogs, LogOptions, LogStream, Provider
from virtual_kubelet.runtime.clock import Clock
from virtual_kubelet.web.messages import TEXT, Request, Response
from virtual_kubelet.web.routing import Router

__all__ = ["add_routes"]

WAITING = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}
"""What the kubelet says instead of the waiting reason."""


def add_routes(router: Router, pods: PodSource, provider: Provider, clock: Clock) -> None:
    """Serve logs where the provider keeps them, else 501."""
    keeper = provider if isinstance(provider, KeepingLogs) else None

    def handler(request: Request) -> Response:
        options = log_options.parse(request.query, clock.now())
        namespace, name, container = (request.route[key] for key in ("namespace", "pod", "container"))
        pod = existing_pod(pods, namespace, name)
        existing_container(pod, container)
        if keeper is None:
            raise NotSupported("the provider of this node keeps no container logs")
        uid = pod.get("metadata", {}).get("uid", "")
        try:
            stream = keeper.container_logs(namespace, name, uid, container, options)
        except NotFound as error:
            raise _explained(error, pod, container, options) from error
        return Response(200, LogBody(stream, options.limit_bytes), TEXT, endless=options.follow)

    router.add("GET", "/containerLogs/{namespace}/{pod}/{container}", handler)


class LogBody:
    """A log as an answer in pieces."""

    def __init__(self, stream: LogStream, limit: int | None) -> None:
        self._stream = stream
        self._left = limit

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        data = b"" if self._left == 0 else self._stream.read()
        if self._left is not None:
            # The provider's to honour, too; here it keeps one that does not from being read for ever.
            data = data[: self._left]
            self._left -= len(data)
        if not data:
            raise StopIteration
        return data

    def close(self) -> None:
        """Let go of the log; wakes a waiting `__next__`."""
        self._stream.close()


def _explained(error: NotFound, pod: Pod, container: str, options: LogOptions) -> Exception:
    """Return why there is no log, in the kubelet's words where the pod's status tells."""
    name = pod.get("metadata", {}).get("name", "")
    status = _status(pod, container)
    if options.previous and not status.get("lastState", {}).get("terminated"):
        return RequestError(400, f'previous terminated container "{container}" in pod "{name}" not found')
    waiting = status.get("state", {}).get("waiting")
    if waiting is not None:
        reason = waiting.get("reason") or "ContainerCreating"
        reason = WAITING.get(reason, reason)
        return RequestError(400, f'container "{container}" in pod "{name}" is waiting to start: {reason}')
    return error


def _status(pod: Pod, container: str) -> ContainerStatus:
    status = pod.get("status", {})
    known = [
        *(status.get("containerStatuses") or []),
        *(status.get("initContainerStatuses") or []),
        *(status.get("ephemeralContainerStatuses") or []),
    ]
    for item in known:
        if item.get("name") == container:
            return item
    return {}
