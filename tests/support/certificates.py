"""Certificate authorities and certificates, made in a millisecond each."""

from __future__ import annotations

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Issued:
    certificate: bytes  # PEM
    key: bytes  # PEM

    @property
    def der(self):
        return x509.load_pem_x509_certificate(self.certificate).public_bytes(serialization.Encoding.DER)

    def write(self, directory, name):
        certificate, key = directory / f"{name}.crt", directory / f"{name}.key"
        certificate.write_bytes(self.certificate)
        key.write_bytes(self.key)
        return str(certificate), str(key)


class Authority:
    """A CA that signs what it is told to."""

    def __init__(self, name="test-ca"):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._build(
            self._name, self._key.public_key(), x509.BasicConstraints(ca=True, path_length=None), [], None
        )

    @property
    def pem(self):
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def client(self, name, groups=(), *, before=-DAY, after=DAY):
        """A client certificate: CN is the user, each O a group."""
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else []
        subject += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        return self._issue(subject, ExtendedKeyUsageOID.CLIENT_AUTH, [], before, after)

    def server(self, *names, before=-DAY, after=DAY):
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, names[0])]
        return self._issue(subject, ExtendedKeyUsageOID.SERVER_AUTH, names, before, after)

    def sign(self, csr_pem, *, before=-DAY, after=DAY):
        """Sign a certificate request as a cluster's signer does; returns PEM."""
        request = x509.load_pem_x509_csr(csr_pem)
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        certificate = self._build(
            request.subject,
            request.public_key(),
            x509.BasicConstraints(ca=False, path_length=None),
            [names, x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])],
            (before, after),
        )
        return certificate.public_bytes(serialization.Encoding.PEM)

    def _issue(self, subject, usage, names, before, after):
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [x509.ExtendedKeyUsage([usage])]
        if names:
            extensions.append(x509.SubjectAlternativeName([_general(name) for name in names]))
        certificate = self._build(
            x509.Name(subject),
            key.public_key(),
            x509.BasicConstraints(ca=False, path_length=None),
            extensions,
            (before, after),
        )
        return Issued(
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            ),
        )

    def _build(self, subject, public_key, constraints, extensions, window):
        now = dt.datetime.now(dt.timezone.utc)  # noqa: TID251 - TLS libraries look at the real one
        before, after = window or (-10 * DAY, 3650 * DAY)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + before)
            .not_valid_after(now + after)
            .add_extension(constraints, critical=True)
            # Python 3.13 verifies strictly (RFC 5280): it wants both identifiers, and the use of a CA's key.
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .add_extension(_key_usage(ca=constraints.ca), critical=True)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self._key, hashes.SHA256())


def _key_usage(*, ca):
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
