"""The signers of node certificates: kubernetes.io/kubelet-serving and kubernetes.io/kube-apiserver-client-kubelet.

Requests have to be approved, by `kubectl certificate approve` or, where the control plane was told so, by itself.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.pki import Authority
from virtual_kubelet.devapi.storage.record import Change, Record
from virtual_kubelet.devapi.verbs.modify import modify
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ApiNotFound
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.pure import times

__all__ = ["CLIENT", "SERVING", "Signer", "why_not_signed"]

GROUP = "certificates.k8s.io"
BUCKET = f"certificatesigningrequests.{GROUP}"
SERVING = "kubernetes.io/kubelet-serving"
CLIENT = "kubernetes.io/kube-apiserver-client-kubelet"
CLIENT_ANY = "kubernetes.io/kube-apiserver-client"
USAGES = {
    SERVING: [ExtendedKeyUsageOID.SERVER_AUTH],
    CLIENT: [ExtendedKeyUsageOID.CLIENT_AUTH],
    CLIENT_ANY: [ExtendedKeyUsageOID.CLIENT_AUTH],
}
NODES = "system:nodes"
NODE_PREFIX = "system:node:"
USER = WriteOptions(user="system:serviceaccount:kube-system:certificate-controller")


class Signer:
    """Approves, if told to, and signs."""

    buckets: Sequence[str] = (BUCKET,)
    period = 60.0

    def __init__(self, cluster: Cluster, authority: Authority, *, approve: bool) -> None:
        self._cluster = cluster
        self._authority = authority
        self._approve = approve
        self._waiting: set[str] = set()

    def urgent(self, change: Change) -> bool:
        """Somebody waits for a certificate."""
        return True

    def see(self, change: Change) -> None:
        """Take note of requests that are not done."""
        name = change.record.name
        status = change.record.body.get("status") or {}
        if (
            change.deleted
            or status.get("certificate")
            or _decision(change.record.body) in {"Denied", "Failed"}
        ):
            self._waiting.discard(name)
        else:
            self._waiting.add(name)

    def act(self) -> None:
        """Approve and sign what can be."""
        for name in sorted(self._waiting):
            record = self._cluster.storage.get(BUCKET, "", name)
            if record is None or record.body["spec"].get("signerName") not in USAGES:
                continue
            decision = _decision(record.body)
            try:
                if not decision and self._approve and not why_not_signed(record.body):
                    record = self._decide(record, "Approved", "AutoApproved", "approved by the control plane")
                    decision = "Approved"
                if decision == "Approved":
                    self._sign(record)
            except ApiNotFound:
                continue

    def _sign(self, record: Record) -> None:
        complaint = why_not_signed(record.body)
        if complaint:
            self._waiting.discard(record.name)
            self._decide(record, "Failed", "SignerValidationFailure", complaint)
            return
        spec = record.body["spec"]
        request = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
        now = self._cluster.clock.now()
        usages = USAGES[spec["signerName"]]
        signed = self._authority.sign_request(request, usages, now, spec.get("expirationSeconds"))

        def issue(old: Record) -> JsonObject:
            body = old.copy()
            body.setdefault("status", {})["certificate"] = base64.b64encode(signed).decode()
            return body

        self._modify(record.name, issue, "status")

    def _decide(self, record: Record, type_: str, reason: str, message: str) -> Record:
        def decide(old: Record) -> JsonObject:
            body = old.copy()
            now = times.rfc3339(self._cluster.clock.now())
            condition = {
                "type": type_,
                "status": "True",
                "reason": reason,
                "message": message,
                "lastUpdateTime": now,
                "lastTransitionTime": now,
            }
            body.setdefault("status", {}).setdefault("conditions", []).append(condition)
            return body

        return self._modify(record.name, decide, "approval" if type_ == "Approved" else "status")

    def _modify(self, name: str, transform: object, subresource: str) -> Record:
        kind = self._cluster.kind("certificatesigningrequests", GROUP)
        aspect = kind.subresource(subresource)
        assert aspect is not None
        return modify(self._cluster, kind, "", name, transform, USER, rules=aspect.rules)  # type: ignore[arg-type]


def _decision(request: JsonObject) -> str:
    conditions = (request.get("status") or {}).get("conditions") or ()
    types = {condition.get("type") for condition in conditions}
    return next((word for word in ("Denied", "Failed", "Approved") if word in types), "")


def why_not_signed(body: JsonObject) -> str:
    """Return what a signer has against a request, "" for nothing (certificates/v1 well-known signers)."""
    spec = body["spec"]
    signer = spec.get("signerName", "")
    if signer == CLIENT_ANY:
        return ""
    request = x509.load_pem_x509_csr(base64.b64decode(spec["request"]))
    organizations = _subject(request, NameOID.ORGANIZATION_NAME)
    names = _subject(request, NameOID.COMMON_NAME)
    if organizations != [NODES]:
        return f"subject organization is not {NODES}"
    if len(names) != 1 or not names[0].startswith(NODE_PREFIX):
        return f"subject common name does not begin with {NODE_PREFIX}"
    try:
        alternatives = list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        alternatives = []
    usages = set(spec.get("usages") or ())
    if signer == CLIENT:
        if alternatives:
            return "DNS, IP, email and URI subjectAltNames are not allowed"
        return "" if "client auth" in usages else "usages did not match: client auth is missing"
    if spec.get("username") != names[0]:
        return "subject common name is not the requesting node's"
    if not any(isinstance(each, (x509.DNSName, x509.IPAddress)) for each in alternatives):
        return "DNS or IP subjectAltName is required"
    return "" if "server auth" in usages else "usages did not match: server auth is missing"


def _subject(request: x509.CertificateSigningRequest, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in request.subject.get_attributes_for_oid(oid)]
