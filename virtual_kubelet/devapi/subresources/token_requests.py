"""serviceaccounts/token: a token for an account, bound to what it is for (authentication.k8s.io/v1 TokenRequest)."""

from __future__ import annotations

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.access.service_tokens import AUDIENCE, TokenIssuer
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.call import Call, CallHandler
from virtual_kubelet.devapi.http.replies import json_reply
from virtual_kubelet.devapi.node_restriction import restrict_token
from virtual_kubelet.devapi.storage.record import Record
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times
from virtual_kubelet.web.messages import Response

__all__ = ["TokenRequests"]

GROUP = "authentication.k8s.io"
DEFAULT_SECONDS = 3600
SHORTEST = 600
LONGEST = 1 << 32
BUCKETS = {"Pod": "pods", "Secret": "secrets", "Node": "nodes"}


class TokenRequests:
    """Answers token requests."""

    def __init__(self, cluster: Cluster, issuer: TokenIssuer) -> None:
        self._cluster = cluster
        self._issuer = issuer

    def handlers(self) -> dict[str, CallHandler]:
        """Return what serves which subresource."""
        return {"serviceaccounts/token": self.create}

    def create(self, call: Call) -> Response:
        """Give out a token."""
        body = call.body(GROUP, "TokenRequest")
        namespace, name = call.info.namespace, call.info.name
        account = self._cluster.storage.get("serviceaccounts", namespace, name)
        if account is None:
            raise failures.not_found("serviceaccounts", name)
        spec: JsonObject = body.get("spec") or {}
        seconds = spec.get("expirationSeconds", DEFAULT_SECONDS)
        _check_seconds(seconds)
        audiences = spec.get("audiences") or [AUDIENCE]
        bound = self._bound(spec.get("boundObjectRef"), namespace, name)
        restrict_token(call.user, name, bound.get("pod"), audiences, AUDIENCE)
        token, end = self._issuer.issue(account.body, audiences, seconds, bound)
        spec = {**spec, "audiences": audiences, "expirationSeconds": seconds}
        answer = {
            "kind": "TokenRequest",
            "apiVersion": f"{GROUP}/v1",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": times.rfc3339(self._cluster.clock.now()),
            },
            "spec": spec,
            "status": {"token": token, "expirationTimestamp": times.rfc3339(end)},
        }
        return json_reply(answer, 201)

    def _bound(self, reference: JsonObject | None, namespace: str, account: str) -> dict[str, JsonObject]:
        if not reference:
            return {}
        kind, name = reference.get("kind", ""), reference.get("name", "")
        bucket = BUCKETS.get(kind)
        if bucket is None:
            raise failures.bad_request(f"cannot bind token to object of type {kind}")
        record = self._cluster.storage.get(bucket, "" if kind == "Node" else namespace, name)
        if record is None:
            raise failures.not_found(bucket, name)
        uid = reference.get("uid")
        if uid and uid != record.uid:
            raise failures.conflict(
                bucket,
                name,
                f"the UID in the bound object reference ({uid}) does not match the UID in record. "
                "The object might have been deleted and then recreated",
            )
        if kind == "Pod":
            return self._bound_pod(record, account)
        return {kind.lower(): record.body}

    def _bound_pod(self, pod: Record, account: str) -> dict[str, JsonObject]:
        runs_as = pod.body["spec"].get("serviceAccountName", "")
        if runs_as != account:
            raise failures.bad_request(
                f'cannot bind token for serviceaccount "{account}" to pod running with different serviceaccount name.'
            )
        bound = {"pod": pod.body}
        node = self._cluster.storage.get("nodes", "", pod.body["spec"].get("nodeName", ""))
        if node is not None:
            bound["node"] = node.body
        return bound


def _check_seconds(seconds: object) -> None:
    field = "spec.expirationSeconds"
    complaint = None
    if not isinstance(seconds, int):
        raise failures.bad_request(f"{field} must be a number of seconds")
    if seconds < SHORTEST:
        complaint = failures.FieldError.invalid(
            field, seconds, "may not specify a duration less than 10 minutes"
        )
    if seconds > LONGEST:
        complaint = failures.FieldError.invalid(
            field, seconds, "may not specify a duration larger than 2^32 seconds"
        )
    if complaint is not None:
        raise failures.invalid("TokenRequest.authentication.k8s.io", "", [complaint])
