"""CertificateSigningRequests: who asked is taken down, approval and certificate have ways of their own."""

from __future__ import annotations

import base64

from cryptography import x509

from virtual_kubelet.devapi.failures import FieldError
from virtual_kubelet.devapi.registry.strategy import Strategy, UpdateRules
from virtual_kubelet.objects import JsonObject

__all__ = ["ApprovalRules", "CertificateRules", "SigningRequestStrategy"]

DECISIONS = frozenset({"Approved", "Denied"})
SHORTEST = 600  # seconds


class SigningRequestStrategy(Strategy):
    """The main resource: a spec that nobody can change."""

    has_status = True

    def default(self, obj: JsonObject) -> None:
        """Ask for the usual usages where none are named."""
        spec = obj.setdefault("spec", {})
        if not spec.get("usages"):
            spec["usages"] = ["digital signature", "key encipherment"]

    def prepare_create(self, obj: JsonObject) -> None:
        """Begin undecided."""
        obj["status"] = {}

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Keep spec and status."""
        new["spec"] = old["spec"]
        new["status"] = old.get("status", {})

    def validate(self, obj: JsonObject) -> list[FieldError]:
        """Check that there is a request that can be read, and a signer."""
        spec = obj.get("spec") or {}
        found = []
        try:
            x509.load_pem_x509_csr(base64.b64decode(spec.get("request", "")))
        except ValueError as error:
            found.append(
                FieldError.invalid("spec.request", "", f"PEM block type must be CERTIFICATE REQUEST: {error}")
            )
        signer = spec.get("signerName", "")
        if not signer:
            found.append(FieldError.required("spec.signerName"))
        elif "/" not in signer:
            complaint = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
            found.append(FieldError.invalid("spec.signerName", signer, complaint))
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < SHORTEST:
            complaint = "may not specify a duration less than 600 seconds (10 minutes)"
            found.append(FieldError.invalid("spec.expirationSeconds", seconds, complaint))
        return found


class ApprovalRules(UpdateRules):
    """certificatesigningrequests/approval: the conditions Approved and Denied, either, and for good."""

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back all but the conditions."""
        conditions = (new.get("status") or {}).get("conditions")
        new["spec"] = old["spec"]
        new["status"] = dict(old.get("status", {}))
        if conditions:
            new["status"]["conditions"] = conditions

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check that there is one decision, and that it stays."""
        now, before = _decisions(new), _decisions(old)
        path = "status.conditions"
        if len(now) > 1:
            return [FieldError.invalid(path, "", "Approved and Denied conditions are mutually exclusive")]
        if before - now:
            return [
                FieldError.forbidden(path, f"updates may not remove a condition of type {before.pop()!r}")
            ]
        return []


class CertificateRules(UpdateRules):
    """certificatesigningrequests/status: the certificate, which a signer puts in once."""

    def prepare_update(self, new: JsonObject, old: JsonObject) -> None:
        """Put back the spec and the decision."""
        new["spec"] = old["spec"]

    def validate_update(self, new: JsonObject, old: JsonObject) -> list[FieldError]:
        """Check that the certificate stays, and that the decision is not made here."""
        before, now = old.get("status", {}).get("certificate"), new.get("status", {}).get("certificate")
        found = []
        if before and now != before:
            found.append(
                FieldError.forbidden(
                    "status.certificate", "updates may not modify existing certificate content"
                )
            )
        if _decisions(new) != _decisions(old):
            complaint = "updates may not add or remove a decision; use the approval subresource"
            found.append(FieldError.forbidden("status.conditions", complaint))
        return found


def _decisions(request: JsonObject) -> set[str]:
    conditions = request.get("status", {}).get("conditions") or ()
    return {condition.get("type", "") for condition in conditions} & DECISIONS
