"""pods/binding and pods/eviction."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.http.replies import json_reply
from virtual_kubelet.devapi.verbs.bind import bind
from virtual_kubelet.devapi.verbs.delete import DeleteOptions, delete
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.web.messages import Response

__all__ = ["PodActions"]


class PodActions:
    """What a scheduler and a drain do to pods."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    def handlers(self) -> dict[str, CallHandler]:
        """Return what serves which subresource."""
        return {"pods/binding": self.bind, "pods/eviction": self.evict}

    def bind(self, call: Call) -> Response:
        """Assign the pod to the node that the Binding names."""
        body = call.body("", "Binding")
        target = body.get("target") or {}
        if target.get("kind", "Node") not in {"Node", ""} or not target.get("name"):
            complaint = failures.FieldError.required("target.name")
            raise failures.invalid("Binding", call.info.name, [complaint])
        bind(
            self._cluster,
            call.info.namespace,
            call.info.name,
            target["name"],
            WriteOptions.from_query(call.request.query, user=call.user.name),
            uid=body["metadata"].get("uid", ""),
            annotations=body["metadata"].get("annotations"),
        )
        return _created()

    def evict(self, call: Call) -> Response:
        """Delete the pod as the Eviction says; no PodDisruptionBudgets exist here that could forbid it."""
        said = call.body("policy", "Eviction")
        if said["metadata"].get("name", call.info.name) != call.info.name:
            raise failures.bad_request("name in URL does not match name in Eviction object")
        options = DeleteOptions.from_body(
            said.get("deleteOptions") or {}, dry_run="All" in call.request.query.get("dryRun", ())
        )
        kind = self._cluster.kind("pods")
        delete(self._cluster, kind, call.info.namespace, call.info.name, options)
        return _created()


def _created() -> Response:
    return json_reply(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201
    )
