"""Who calls: users by token and by client certificate."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import NameOID

__all__ = ["ADMIN", "AUTHENTICATED", "MASTERS", "Tokens", "User", "user_of_certificate"]

MASTERS = "system:masters"
AUTHENTICATED = "system:authenticated"


@dataclass(frozen=True)
class User:
    """`authentication.k8s.io/v1.UserInfo`."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, Sequence[str]] = field(default_factory=dict)


ADMIN = User("kubernetes-admin", (MASTERS, AUTHENTICATED))


class Tokens:
    """Bearer tokens: random ones given out here, and others that somebody else can verify."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users: dict[str, User] = {}  # guarded by _lock
        self._verifiers: list[Callable[[str], User | None]] = []

    def issue(self, user: User, token: str = "") -> str:
        """Return a token (a new one, or the one given) that stands for `user`."""
        token = token or secrets.token_urlsafe(32)
        with self._lock:
            self._users[token] = user
        return token

    def revoke(self, token: str) -> None:
        """Forget a token."""
        with self._lock:
            self._users.pop(token, None)

    def add_verifier(self, verify: Callable[[str], User | None]) -> None:
        """Ask `verify` about tokens that were not issued here; called while the server is being built."""
        self._verifiers.append(verify)

    def user(self, token: str) -> User | None:
        """Return whom a token stands for, or None."""
        with self._lock:
            users = list(self._users.items())
        for known, user in users:
            if hmac.compare_digest(known.encode(), token.encode()):
                return user
        for verify in self._verifiers:
            found = verify(token)
            if found is not None:
                return found
        return None


def user_of_certificate(der: bytes) -> User | None:
    """Return the user that a verified client certificate names: its CN, in the groups of its Os."""
    subject = x509.load_der_x509_certificate(der).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if not names:
        return None
    groups = [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return User(str(names[0].value), (*groups, AUTHENTICATED))
