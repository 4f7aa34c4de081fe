"""Who calls: the user that a client certificate or the API server's review names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import NameOID

from virtual_kubelet.runtime.clock import Clock

__all__ = ["ANONYMOUS", "AUTHENTICATED", "User", "from_certificate"]

AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class User:
    """`authentication.k8s.io/v1` UserInfo."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


def from_certificate(der: bytes, clock: Clock) -> User | None:
    """Return the user of a client certificate that TLS has verified: CN is the name, each O a group.

    None where it names nobody, or its time is over: TLS looked when the connection was made, which may
    be long ago.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = [str(item.value) for item in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        groups = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    except ValueError:
        return None
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not names or not names[0] or not begin.timestamp() <= clock.now() <= end.timestamp():
        return None
    return User(names[0], groups=(*(str(item.value) for item in groups), AUTHENTICATED))
