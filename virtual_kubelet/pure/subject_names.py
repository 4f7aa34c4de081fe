"""The names that a serving certificate is for (subjectAltName, RFC 5280 4.2.1.6)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

from cryptography import x509

__all__ = ["alternative_names", "names_of"]


def alternative_names(names: Iterable[str]) -> x509.SubjectAlternativeName:
    """Return the extension for DNS names and IP addresses, each recognized by its form.

    Raises:
        ValueError: no name is given, or one cannot be in a certificate (not ASCII).
    """
    general = [_general(name) for name in sorted(set(names))]
    if not general:
        raise ValueError("a serving certificate needs a name or an address")
    return x509.SubjectAlternativeName(general)


def names_of(certificate: x509.Certificate) -> frozenset[str]:
    """Return the DNS names and IP addresses that a certificate is for."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return frozenset()
    return frozenset(str(name.value) for name in extension.value)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
