"""The control plane's keys and certificates: one CA, what it signs, and the key of service account tokens.

ECDSA on P-256 throughout: a key is made in a millisecond and kubectl and Python's ssl both take it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Pair", "new_key"]

LIFETIME = dt.timedelta(days=365)
BACKDATED = dt.timedelta(minutes=5)  # for clients whose clock is behind

SERVER = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT = ExtendedKeyUsageOID.CLIENT_AUTH


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return a new P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM, unencrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read what `key_pem` wrote; `ValueError` for anything else."""
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("not an ECDSA key")  # noqa: TRY004 - a bad file, as every other fault in it
    return key


class Authority:
    """A certificate authority of the cluster."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str, now: float) -> Authority:
        """Make a new self-signed authority."""
        key = new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), now, LIFETIME * 10)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=True,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
        )
        return cls(builder.sign(key, hashes.SHA256()), key)

    @classmethod
    def load(cls, pair: Pair) -> Authority:
        """Take up an authority that was saved."""
        return cls(x509.load_pem_x509_certificate(pair.certificate), load_key(pair.key))

    @property
    def pair(self) -> Pair:
        """The authority's own certificate and key."""
        return Pair(self.certificate, key_pem(self._key))

    @property
    def certificate(self) -> bytes:
        """The authority's certificate, PEM."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def issue_server(self, names: Sequence[str], addresses: Sequence[str], now: float) -> Pair:
        """Make a certificate for a server that is reached under these names and addresses."""
        key = new_key()
        alternatives: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
        alternatives += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        certificate = self._sign(subject, key.public_key(), [SERVER], alternatives, now, LIFETIME)
        return Pair(certificate, key_pem(key))

    def issue_client(self, user: str, groups: Sequence[str], now: float) -> Pair:
        """Make a certificate by which a client is `user` in `groups`."""
        key = new_key()
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
            + [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        )
        certificate = self._sign(subject, key.public_key(), [CLIENT], [], now, LIFETIME)
        return Pair(certificate, key_pem(key))

    def sign_request(
        self,
        request: x509.CertificateSigningRequest,
        usages: Sequence[x509.ObjectIdentifier],
        now: float,
        seconds: float | None = None,
    ) -> bytes:
        """Sign what a CSR asks for, with its subject and alternative names; return PEM."""
        try:
            extension = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            alternatives = list(extension.value)
        except x509.ExtensionNotFound:
            alternatives = []
        lifetime = LIFETIME if seconds is None else dt.timedelta(seconds=seconds)
        return self._sign(request.subject, request.public_key(), usages, alternatives, now, lifetime)

    def _sign(
        self,
        subject: x509.Name,
        public_key: object,
        usages: Sequence[x509.ObjectIdentifier],
        alternatives: Sequence[x509.GeneralName],
        now: float,
        lifetime: dt.timedelta,
    ) -> bytes:
        builder = _builder(subject, self._certificate.subject, public_key, now, lifetime)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(issuer_key, critical=False)
        if alternatives:
            builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: object, now: float, lifetime: dt.timedelta
) -> x509.CertificateBuilder:
    moment = dt.datetime.fromtimestamp(now, dt.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)  # type: ignore[arg-type]  # any public key that a CSR may hold
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - BACKDATED)
        .not_valid_after(moment + lifetime)
    )
