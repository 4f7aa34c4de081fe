"""Service account tokens: JWTs (RFC 7519) signed with ES256, bound to objects that must still exist."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from virtual_kubelet import codec
from virtual_kubelet.devapi.identity import AUTHENTICATED, User
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import Clock

__all__ = ["AUDIENCE", "Claims", "TokenIssuer"]

AUDIENCE = "https://kubernetes.default.svc.cluster.local"
COORDINATE = 32  # bytes of r and of s for P-256
BOUND = {"pod": "pods", "secret": "secrets"}


@dataclass(frozen=True)
class Claims:
    """A token that was verified."""

    user: User
    audiences: tuple[str, ...]


class TokenIssuer:
    """Signs and verifies the tokens of one cluster."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, storage: MemoryStorage, clock: Clock) -> None:
        self._key = key
        self._storage = storage
        self._clock = clock
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = _text(hashlib.sha256(public).digest())

    def issue(
        self,
        account: JsonObject,
        audiences: Sequence[str],
        seconds: int,
        bound: dict[str, JsonObject] | None = None,
    ) -> tuple[str, float]:
        """Return a token for a ServiceAccount and its end; `bound` maps pod, node or secret to such an object."""
        meta = account["metadata"]
        now = int(self._clock.now())
        private: JsonObject = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        for kind, obj in (bound or {}).items():
            private[kind] = {"name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
        claims = {
            "aud": list(audiences),
            "exp": now + seconds,
            "iat": now,
            "iss": AUDIENCE,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": now,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
        }
        head = {"alg": "ES256", "kid": self._key_id}
        signed = f"{_text(codec.dumps(head))}.{_text(codec.dumps(claims))}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = r.to_bytes(COORDINATE, "big") + s.to_bytes(COORDINATE, "big")
        return f"{signed}.{_text(signature)}", float(now + seconds)

    def verify(self, token: str) -> Claims | None:
        """Return what a token claims if all of it is true now, else None."""
        claims = self._read(token)
        if claims is None:
            return None
        now = self._clock.now()
        private = claims.get("kubernetes.io") or {}
        namespace = private.get("namespace", "")
        account = private.get("serviceaccount") or {}
        if not claims.get("nbf", 0) <= now < claims.get("exp", 0):
            return None
        if not self._exists("serviceaccounts", namespace, account):
            return None
        for kind, bucket in BOUND.items():
            if kind in private and not self._exists(bucket, namespace, private[kind]):
                return None
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED)
        user = User(claims["sub"], groups, account.get("uid", ""), _extra(claims, private))
        return Claims(user, tuple(claims.get("aud") or ()))

    def user(self, token: str) -> User | None:
        """Return the user of a token that is meant for the API server."""
        claims = self.verify(token)
        return claims.user if claims is not None and AUDIENCE in claims.audiences else None

    def key_set(self) -> JsonObject:
        """Return the JWKS with which others can verify the tokens (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        key = {
            "use": "sig",
            "kty": "EC",
            "kid": self._key_id,
            "crv": "P-256",
            "alg": "ES256",
            "x": _text(numbers.x.to_bytes(COORDINATE, "big")),
            "y": _text(numbers.y.to_bytes(COORDINATE, "big")),
        }
        return {"keys": [key]}

    def _read(self, token: str) -> JsonObject | None:
        try:
            signed, _, signature = token.rpartition(".")
            raw = _bytes(signature)
            r, s = raw[:COORDINATE], raw[COORDINATE:]
            dss = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
            self._key.public_key().verify(dss, signed.encode(), ec.ECDSA(hashes.SHA256()))
            claims: Any = codec.loads(_bytes(signed.partition(".")[2]))
        except (ValueError, InvalidSignature, binascii.Error):
            return None
        return claims if isinstance(claims, dict) else None

    def _exists(self, bucket: str, namespace: str, reference: JsonObject) -> bool:
        record = self._storage.get(bucket, namespace, reference.get("name", ""))
        return record is not None and record.uid == reference.get("uid")


def _extra(claims: JsonObject, private: JsonObject) -> dict[str, list[str]]:
    extra = {"authentication.kubernetes.io/credential-id": [f"JTI={claims.get('jti', '')}"]}
    for kind in ("pod", "node"):
        if kind in private:
            extra[f"authentication.kubernetes.io/{kind}-name"] = [private[kind]["name"]]
            extra[f"authentication.kubernetes.io/{kind}-uid"] = [private[kind]["uid"]]
    return extra


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
