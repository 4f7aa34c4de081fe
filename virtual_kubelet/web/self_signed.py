"""A serving certificate that nobody has signed: for a node without another one, and until it gets one.

The API server does not verify a kubelet's certificate unless told to (--kubelet-certificate-authority), so
this is enough for logs and exec; kubectl users never see it.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.pure.subject_names import alternative_names, names_of
from virtual_kubelet.runtime import files
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.web.tls import KeyPair

__all__ = ["SelfSigned", "self_signed"]

logger = logging.getLogger(__name__)

LIFE = dt.timedelta(days=365)
RENEW_BEFORE = dt.timedelta(days=30)
SKEW = dt.timedelta(hours=1)  # a peer's clock may be behind
FILE = "kubelet-self-signed.pem"

# Whoever pins this certificate verifies it as its own CA, strictly (RFC 5280) from Python 3.13 on.
_SIGNS_ITSELF = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)


def self_signed(
    names: Iterable[str],
    *,
    clock: Clock = SYSTEM,
) -> KeyPair:
    """Return a new ECDSA P-256 pair, valid for a year, for `names`: DNS names and IP addresses."""
    names = list(names)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])])
    now = dt.datetime.fromtimestamp(clock.now(), dt.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + LIFE)
        .add_extension(alternative_names(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_SIGNS_ITSELF, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )


class SelfSigned:
    """A `CertificateSource` that signs for itself, and again before the end or for other names.

    With a directory the pair is kept there (mode 0600) and outlives the process; without, it lives in memory.
    """

    def __init__(
        self,
        directory: str,
        names: Callable[[], Iterable[str]],
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._path = Path(directory) / FILE if directory else None
        self._names = names
        self._clock = clock
        self._pair: KeyPair | None = None
        self._covers: frozenset[str] = frozenset()
        self._renew_at = 0.0

    def current(self) -> KeyPair:
        """Return the pair to show now."""
        names = frozenset(self._names())
        if self._pair is None:
            self._take(self._load())
        if self._pair is None or not self._fits(names):
            self._take(self_signed(sorted(names), clock=self._clock))
            self._store()
        assert self._pair is not None
        return self._pair

    def _fits(self, wanted: frozenset[str]) -> bool:
        return wanted <= self._covers and self._clock.now() < self._renew_at

    def _take(self, pair: KeyPair | None) -> None:
        if pair is None:
            return
        certificate = x509.load_pem_x509_certificate(pair.certificate)
        self._covers = names_of(certificate)
        self._renew_at = (certificate.not_valid_after_utc - RENEW_BEFORE).timestamp()
        self._pair = pair

    def _load(self) -> KeyPair | None:
        if self._path is None:
            return None
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"--state-dir: cannot read {self._path}: {error.strerror}") from error
        key, marker, certificate = data.partition(b"-----BEGIN CERTIFICATE-----")
        try:
            x509.load_pem_x509_certificate(marker + certificate)
            serialization.load_pem_private_key(key, None)
        except (ValueError, TypeError):
            logger.warning("%s is damaged and is made anew", self._path)
            return None
        return KeyPair(marker + certificate, key)

    def _store(self) -> None:
        if self._path is None or self._pair is None:
            return
        try:
            files.replace(self._path, self._pair.key + self._pair.certificate)
        except OSError as error:
            raise ConfigError(
                f"--state-dir: cannot keep the serving certificate in {self._path.parent}: {error.strerror}"
            ) from error
