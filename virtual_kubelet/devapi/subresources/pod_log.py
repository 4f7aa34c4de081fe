"""pods/log: the kubelet's answer, passed on as it comes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import urllib3

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.kubelet_access import KubeletAccess
from virtual_kubelet.devapi.registry.pod_defaults import containers_of
from virtual_kubelet.devapi.splice import Backend, pass_upgrade
from virtual_kubelet.devapi.unverified import unverified_pools
from virtual_kubelet.devapi.verbs import read
from virtual_kubelet.devapi.verbs.options import first
from virtual_kubelet.errors import ApiError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.web.messages import Response, Upgrade

__all__ = ["KubeletReads", "Passage"]

TEXT = "text/plain"
PIECE = 65536
CONNECT_TIME = 10.0  # seconds
PASSED_ON = (
    "follow",
    "limitBytes",
    "previous",
    "sinceSeconds",
    "sinceTime",
    "stream",
    "tailLines",
    "timestamps",
)


class KubeletReads:
    """pods/log and nodes/proxy: GETs that a kubelet answers."""

    def __init__(self, cluster: Cluster, kubelets: KubeletAccess) -> None:
        self._cluster = cluster
        self._kubelets = kubelets
        self._pool = unverified_pools(kubelets.context)

    def handlers(self) -> dict[str, CallHandler]:
        """Return what serves which subresource."""
        return {"pods/log": self.log, "nodes/proxy": self.proxy}

    def close(self) -> None:
        """Let go of idle connections."""
        self._pool.clear()

    def log(self, call: Call) -> Response:
        """Ask the pod's kubelet for the log of one container."""
        kind = self._cluster.kind("pods")
        pod = read.get(self._cluster, kind, call.info.namespace, call.info.name).body
        container = choose_container(pod, first(call.request.query, "container"))
        node = pod["spec"].get("nodeName")
        if not node:
            return Response(200, b"", TEXT)  # nothing has run, so nothing was logged
        query = {name: call.request.query[name][0] for name in PASSED_ON if call.request.query.get(name)}
        names = (call.info.namespace, call.info.name, container)
        path = "/containerLogs/" + "/".join(quote(name, safe="") for name in names)
        return self._get(node, path + (f"?{urlencode(query)}" if query else ""), call.info.name)

    def proxy(self, call: Call) -> Response | Upgrade:
        """Ask a node's kubelet for any path."""
        query = call.request.query_string
        if "upgrade" in {word.lower() for word in call.request.headers.tokens("Connection")}:
            return self._upgrade(call, f"/{call.info.rest}" + (f"?{query}" if query else ""))
        if call.request.method not in {"GET", "HEAD"}:
            raise failures.method_not_allowed()
        return self._get(
            call.info.name, f"/{call.info.rest}" + (f"?{query}" if query else ""), call.info.name, "nodes"
        )

    def _upgrade(self, call: Call, target: str) -> Response | Upgrade:
        address = self._kubelets.of_node(call.info.name)
        backend = Backend(address.host, address.port, self._kubelets.context)
        try:
            return pass_upgrade(call.request, backend, target)
        except OSError as error:
            raise failures.unavailable(f"error trying to reach service: {backend}: {error}") from error

    def read(self, node: str, path: str, *, timeout: float) -> bytes:
        """Return what the kubelet of `node` answers at `path`; `ApiError` when it does not, or with an error."""
        address = self._kubelets.of_node(node)
        try:
            answer = self._pool.request("GET", address.url + path, timeout=timeout, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            raise failures.unavailable(f"cannot reach {address.host}:{address.port}") from error
        if answer.status != 200:
            raise failures.unavailable(f"{address.host}:{address.port} answers {answer.status}")
        return answer.data

    def _get(self, node: str, path: str, name: str, resource: str = "pods/log") -> Response:
        address = self._kubelets.of_node(node)
        timeout = urllib3.Timeout(connect=CONNECT_TIME, read=None)
        try:
            answer = self._pool.request(
                "GET", address.url + path, preload_content=False, timeout=timeout, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            reason = f"{type(error).__name__}: cannot reach {address.host}:{address.port}"
            raise failures.internal(f'Get "{address.url}{path}": {reason}') from error
        if answer.status >= 300 and resource == "pods/log":
            raise _refusal(answer, resource, name)
        content_type = answer.headers.get("Content-Type", TEXT)
        return Response(answer.status, Passage(answer), content_type)


# What an API server makes of a kubelet's refusal (apimachinery/pkg/api/errors, NewGenericServerResponse): the reason,
# and a text of its own; "": the kubelet's.
REFUSALS = {
    401: ("Unauthorized", "the server has asked for the client to provide credentials"),
    403: ("Forbidden", ""),
    404: ("NotFound", "the server could not find the requested resource"),
    405: ("MethodNotAllowed", "the server does not allow this method on the requested resource"),
    422: ("Invalid", "the server rejected our request due to an error in our request"),
    429: (
        "TooManyRequests",
        "the server has received too many requests and has asked us to try again later",
    ),
    503: ("ServiceUnavailable", "the server is currently unable to handle the request"),
    504: (
        "Timeout",
        "the server was unable to return a response in the time allotted, but may still be processing the request",
    ),
}


class Passage:
    """A kubelet's answer as the body of ours; closing it from any thread ends both."""

    def __init__(self, answer: urllib3.BaseHTTPResponse) -> None:
        self._answer = answer
        self._begun = False
        self._pieces = self._read()

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def _read(self) -> Iterator[bytes]:
        self._begun = True
        try:
            while piece := self._answer.read1(PIECE):
                yield piece
        except (urllib3.exceptions.HTTPError, OSError) as error:
            # The head is out: an answer that breaks off is all that can tell of it.
            raise ConnectionAbortedError(f"the kubelet's answer broke off: {error}") from error
        finally:
            self._answer.close()

    def close(self) -> None:
        """End the passage."""
        with contextlib.suppress(Exception):  # it may be closed already, and a socket may be gone
            self._answer.shutdown()
        if not self._begun:  # a HEAD's, say: nobody will come by the end of `_read`
            self._answer.close()


def choose_container(pod: JsonObject, name: str) -> str:
    """Return the container that a request means; `ApiError` 400 when that is not clear."""
    every = [container["name"] for _, container in containers_of(pod["spec"])]
    main = [container["name"] for container in pod["spec"]["containers"]]
    pod_name = pod["metadata"]["name"]
    if name:
        if name not in every:
            raise failures.bad_request(f"container {name} is not valid for pod {pod_name}")
        return name
    if len(main) == 1:
        only: str = main[0]
        return only
    raise failures.bad_request(
        f"a container name must be specified for pod {pod_name}, choose one of: [{' '.join(every)}]"
    )


def _refusal(answer: urllib3.BaseHTTPResponse, resource: str, name: str) -> ApiError:
    text = answer.read(8192).decode(errors="replace").strip()
    answer.close()
    if answer.status == 400:
        return failures.bad_request(text)
    if answer.status == 500:
        return failures.internal(text)
    reason, message = REFUSALS.get(
        answer.status,
        ("InternalError", f'an error on the server ("{text}") has prevented the request from succeeding')
        if answer.status > 500
        else (
            "",
            f"the server responded with the status code {answer.status} but did not return more information",
        ),
    )
    return ApiError(
        f"{message or text} ( {resource} {name})",  # the gap is where a verb would be
        status=answer.status,
        reason=reason,
        details={"name": name, "kind": resource},
    )
