"""Where a node's signed certificate and its pending request are kept: values, and two files.

kubelet-server.pem            the private key, then the certificate with its chain
kubelet-server-pending.json   the request that is not yet decided, with its private key
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from virtual_kubelet import codec
from virtual_kubelet.pure.subject_names import alternative_names, names_of
from virtual_kubelet.runtime import files

__all__ = ["Pending", "Shelf", "Signed", "new_key", "signing_request"]

logger = logging.getLogger(__name__)

PEM = serialization.Encoding.PEM


@dataclass(frozen=True, repr=False)
class Signed:
    """A certificate that was issued to us, with its key; both PEM. Times are seconds since the epoch."""

    certificate: bytes
    key: bytes
    names: frozenset[str]
    not_before: float
    not_after: float

    @classmethod
    def parse(cls, certificate: bytes, key: bytes) -> Signed:
        """Check a pair; `ValueError` where it is none."""
        leaf = x509.load_pem_x509_certificates(certificate)[0]
        private = serialization.load_pem_private_key(key, None)
        if _public_bytes(leaf.public_key()) != _public_bytes(private.public_key()):
            raise ValueError("the certificate is for another key")
        begin, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
        return cls(certificate, key, names_of(leaf), begin.timestamp(), end.timestamp())


@dataclass(frozen=True, repr=False)
class Pending:
    """A CertificateSigningRequest that was made and is not decided."""

    name: str
    uid: str
    key: bytes
    names: frozenset[str]


class Shelf:
    """Keeps both in a directory; without one ("") it keeps nothing.

    What cannot be read is as if it were not there; what cannot be written is logged and lives in memory.
    """

    def __init__(self, directory: str) -> None:
        self._signed = Path(directory) / "kubelet-server.pem" if directory else None
        self._pending = Path(directory) / "kubelet-server-pending.json" if directory else None

    def load_signed(self) -> Signed | None:
        """Return the certificate of an earlier life."""
        data = _read(self._signed)
        key, marker, certificate = data.partition(b"-----BEGIN CERTIFICATE-----")
        try:
            return Signed.parse(marker + certificate, key) if data else None
        except (ValueError, TypeError) as error:
            logger.warning("%s is left aside: %s", self._signed, error)
            return None

    def save_signed(self, signed: Signed) -> None:
        """Keep a certificate."""
        _write(self._signed, signed.key.rstrip() + b"\n" + signed.certificate)

    def load_pending(self) -> Pending | None:
        """Return the request of an earlier life."""
        data = _read(self._pending)
        try:
            value = codec.loads(data) if data else None
            return _pending(value) if value else None
        except (ValueError, TypeError, KeyError, AttributeError):
            logger.warning("%s is damaged and is left aside", self._pending)
            return None

    def save_pending(self, pending: Pending | None) -> None:
        """Keep a request, or that there is none."""
        if pending is None:
            _remove(self._pending)
            return
        value = {
            "name": pending.name,
            "uid": pending.uid,
            "key": pending.key.decode(),
            "names": sorted(pending.names),
        }
        _write(self._pending, codec.dumps(value))


def new_key() -> bytes:
    """Return a new ECDSA P-256 key, PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def signing_request(key: bytes, node_name: str, names: Iterable[str]) -> bytes:
    """Return the PKCS #10 request, PEM, that the signer kubernetes.io/kubelet-serving takes.

    Subject O=system:nodes, CN=system:node:NODE; only DNS names and IP addresses beside it.
    """
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            # A node's name may be longer than X.520's 64 characters; Kubernetes does not mind.
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node_name}", _validate=False),
        ]
    )
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    request = builder.add_extension(alternative_names(names), critical=False).sign(private, hashes.SHA256())
    return request.public_bytes(PEM)


def _public_bytes(key: Any) -> bytes:
    encoded: bytes = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return encoded


def _pending(value: dict[str, Any]) -> Pending:
    key = value["key"].encode()
    serialization.load_pem_private_key(key, None)
    return Pending(str(value["name"]), str(value["uid"]), key, frozenset(map(str, value["names"])))


def _read(path: Path | None) -> bytes:
    if path is None:
        return b""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        logger.warning("cannot read %s: %s", path, error.strerror)
        return b""


def _write(path: Path | None, data: bytes) -> None:
    if path is None:
        return
    try:
        files.replace(path, data)
    except OSError as error:
        logger.warning("cannot keep %s, so it is lost with this process: %s", path, error.strerror)


def _remove(path: Path | None) -> None:
    if path is None:
        return
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logger.warning("cannot remove %s: %s", path, error.strerror)
