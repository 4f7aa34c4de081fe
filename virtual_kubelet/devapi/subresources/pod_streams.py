"""pods/exec, pods/attach and pods/portforward: the connection to the pod's kubelet, passed through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.kubelet_access import KubeletAccess
from virtual_kubelet.devapi.splice import Backend, pass_upgrade
from virtual_kubelet.devapi.subresources.pod_log import choose_container
from virtual_kubelet.devapi.verbs import read
from virtual_kubelet.devapi.verbs.options import first
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Response, Upgrade

__all__ = ["PodStreams", "stream_query"]

# The kubelet's names for the streams, and that a wish for one is "1".
STREAMS = {"stdin": "input", "stdout": "output", "stderr": "error", "tty": "tty"}
FALSE = frozenset({"false", "0"})


class PodStreams:
    """Subresources that begin with an upgrade."""

    def __init__(self, cluster: Cluster, kubelets: KubeletAccess) -> None:
        self._cluster = cluster
        self._kubelets = kubelets

    def handlers(self) -> dict[str, CallHandler]:
        """Return what serves which subresource."""
        return {
            "pods/exec": lambda call: self._run(call, "exec"),
            "pods/attach": lambda call: self._run(call, "attach"),
            "pods/portforward": self._forward,
        }

    def _run(self, call: Call, route: str) -> Response | Upgrade:
        pod = self._pod(call)
        container = choose_container(pod, first(call.request.query, "container"))
        return self._pass(call, pod, route, [container], stream_query(call.request.query))

    def _forward(self, call: Call) -> Response | Upgrade:
        ports = [port for value in call.request.query.get("ports", ()) for port in value.split(",") if port]
        return self._pass(
            call, self._pod(call), "portForward", [], [("port", ",".join(ports))] if ports else []
        )

    def _pod(self, call: Call) -> JsonObject:
        kind = self._cluster.kind("pods")
        pod: JsonObject = read.get(self._cluster, kind, call.info.namespace, call.info.name).body
        return pod

    def _pass(
        self, call: Call, pod: JsonObject, route: str, more: list[str], query: list[tuple[str, str]]
    ) -> Response | Upgrade:
        node = pod["spec"].get("nodeName")
        if not node:
            raise failures.bad_request(f"pod {call.info.name} does not have a host assigned")
        address = self._kubelets.of_node(node)
        names = [route, call.info.namespace, call.info.name, *more]
        target = "/" + "/".join(quote(name, safe="") for name in names)
        if query:
            # Bytes that are no UTF-8 came as surrogates and go as the bytes that they were.
            target += "?" + urlencode(query, errors="surrogateescape")
        backend = Backend(address.host, address.port, self._kubelets.context)
        try:
            return pass_upgrade(call.request, backend, target)
        except OSError as error:
            raise failures.internal(f"error dialing backend: {backend}: {error}") from error


def stream_query(query: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Return the kubelet's query for that of `PodExecOptions` or `PodAttachOptions`."""
    asked: list[tuple[str, str]] = []
    for name, kubelet_name in STREAMS.items():
        if name in query and first(query, name).lower() not in FALSE:
            asked.append((kubelet_name, "1"))
    return asked + [("command", part) for part in query.get("command", ())]
