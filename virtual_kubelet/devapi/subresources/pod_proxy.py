"""pods/proxy: HTTP to a port of a pod, and upgrades too; what `kubectl get --raw` and `kubectl proxy` reach."""

from __future__ import annotations

import contextlib
import ssl
from dataclasses import dataclass

import urllib3

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.splice import HOP_BY_HOP, OURS, Backend, pass_upgrade
from virtual_kubelet.devapi.subresources.pod_log import Passage
from virtual_kubelet.devapi.unverified import unverified_pools
from virtual_kubelet.devapi.verbs import read
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Request, Response, Upgrade

__all__ = ["PodAddress", "PodProxy"]

CONNECT_TIME = 10.0  # seconds
PATH_PARTS = 8  # of /api/v1/namespaces/NAMESPACE/pods/NAME/proxy, the empty one in front counted


@dataclass(frozen=True)
class PodAddress:
    """The name part of a proxy's path: `[SCHEME:]NAME[:PORT]`."""

    name: str
    scheme: str = "http"
    port: int = 0  # 0: the pod's first one

    @classmethod
    def parse(cls, text: str) -> PodAddress:
        """Read the name part; `ApiError` 400 when it is none."""
        parts = text.split(":")
        scheme = parts.pop(0) if len(parts) == 3 else "http"
        name, port = (*parts, "")[:2]
        if scheme not in {"http", "https"} or not name or (port and not (port.isascii() and port.isdigit())):
            raise failures.bad_request(f'invalid pod request "{text}"')
        return cls(name, scheme, int(port or 0))


class PodProxy:
    """Reaches pods by their IP address."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE  # as the API server: a pod's certificate is its own affair
        self._pool = unverified_pools(self._context)

    def handlers(self) -> dict[str, CallHandler]:
        """Return what serves which subresource."""
        return {"pods/proxy": self._proxy}

    def close(self) -> None:
        """Let go of idle connections."""
        self._pool.clear()

    def _proxy(self, call: Call) -> Response | Upgrade:
        address = PodAddress.parse(call.info.name)
        kind = self._cluster.kind("pods")
        pod: JsonObject = read.get(self._cluster, kind, call.info.namespace, address.name).body
        ip = (pod.get("status") or {}).get("podIP")
        if not ip:
            raise failures.bad_request("address not allowed")
        port = address.port or _first_port(pod)
        request = call.request
        rest = request.raw_path.split("/", PATH_PARTS)[PATH_PARTS:]
        target = "/" + "".join(rest) + (f"?{request.query_string}" if request.query_string else "")
        backend = Backend(ip, port, self._context if address.scheme == "https" else None)
        try:
            if "upgrade" in {word.lower() for word in request.headers.tokens("Connection")}:
                return pass_upgrade(request, backend, target)
            return self._pass(request, f"{address.scheme}://{backend}{target}")
        except (OSError, urllib3.exceptions.HTTPError) as error:
            reason = str(error) if isinstance(error, OSError) else type(error).__name__
            raise failures.unavailable(f"error trying to reach service: {backend}: {reason}") from error

    def _pass(self, request: Request, url: str) -> Response:
        headers = {name: value for name, value in request.headers if name.lower() not in OURS | HOP_BY_HOP}
        answer = self._pool.request(
            request.method,
            url,
            body=request.read() or None,
            headers=headers,
            preload_content=False,
            decode_content=False,
            redirect=False,
            timeout=urllib3.Timeout(connect=CONNECT_TIME, read=None),
        )
        pairs = [
            (name, value)
            for name, value in answer.headers.items()
            if name.lower() not in HOP_BY_HOP | {"content-type"}
        ]
        return Response(answer.status, Passage(answer), answer.headers.get("Content-Type", ""), pairs)


def _first_port(pod: JsonObject) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or []:
            with contextlib.suppress(KeyError):
                number: int = port["containerPort"]
                return number
    return 80
