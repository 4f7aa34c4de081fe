"""Which certificate a server shows, whose clients it trusts, and how both are reloaded.

A context is never changed once connections use it: when the certificate or the client CAs are other ones than
before, a new context is made and serves the connections to come.

    CertificateSource      current() -> KeyPair      files, self-signed, or issued by the cluster
    client CAs             a callable -> PEM bytes   the file, or the cluster's own; None: no clients by certificate
"""

from __future__ import annotations

import logging
import os
import ssl
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.runtime.clock import SYSTEM, Clock

__all__ = ["CertificateSource", "FileBytes", "FilePair", "Fixed", "KeyPair", "ServerTls"]

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0  # seconds between two looks for changes


@dataclass(frozen=True)
class KeyPair:
    """A certificate with its chain, and its private key; both PEM."""

    certificate: bytes
    key: bytes

    def __repr__(self) -> str:
        return "KeyPair(...)"  # a key must not reach a log


class CertificateSource(Protocol):
    """Where a server's certificate comes from."""

    def current(self) -> KeyPair:
        """Return the pair to show now; `ConfigError` when there is none. Asked about once a second, so cheap."""


@dataclass(frozen=True)
class Fixed:
    """Always the same pair."""

    pair: KeyPair

    def current(self) -> KeyPair:
        """Return it."""
        return self.pair


class FileBytes:
    """The content of a file, read again when the file changes."""

    def __init__(self, path: str, what: str) -> None:
        """`what` names the setting in errors, for example `--client-ca-file`."""
        self._path = Path(path)
        self._what = what
        self._seen: tuple[int, int, int] | None = None
        self._content = b""

    def __call__(self) -> bytes:
        """Return the content; `ConfigError` when it cannot be read."""
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            if seen != self._seen:
                self._content = self._path.read_bytes()
                self._seen = seen
        except OSError as error:
            raise ConfigError(f"{self._what}: cannot read {self._path}: {error.strerror}") from error
        return self._content


class FilePair:
    """A certificate and its key in two files that others renew."""

    def __init__(self, certificate: str, key: str) -> None:
        self._certificate = FileBytes(certificate, "--tls-cert-file")
        self._key = FileBytes(key, "--tls-private-key-file")

    def current(self) -> KeyPair:
        """Return what the files hold now."""
        return KeyPair(self._certificate(), self._key())


class ServerTls:
    """Makes the contexts of one server: TLS 1.2 and later; client certificates are asked for, not required.

    Without client CAs none are asked for: nobody could tell whether they are genuine.
    """

    def __init__(
        self,
        certificates: CertificateSource,
        client_ca: Callable[[], bytes | None] | None = None,
        *,
        clock: Clock = SYSTEM,
    ) -> None:
        self._certificates = certificates
        self._client_ca = client_ca or (lambda: None)
        self._clock = clock
        self._lock = threading.Lock()
        # All under the lock.
        self._context: ssl.SSLContext | None = None
        self._pair: KeyPair | None = None
        self._trusted: bytes | None = None
        self._looked = 0.0
        self._complaint = ""

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection.

        Raises `ConfigError` when there has never been a usable one; later the last good one goes on, and what
        is wrong with the new files is logged once.
        """
        # Files are read under the lock: whoever waits for it needs the result.
        with self._lock:
            now = self._clock.monotonic()
            if self._context is None or now - self._looked >= LOOK_EVERY:
                self._looked = now
                self._look()
            assert self._context is not None
            return self._context

    def trust(self) -> object:
        """Return a token that changes with the client CAs."""
        self.context()
        return self._trusted

    def _look(self) -> None:
        try:
            pair, trusted = self._certificates.current(), self._client_ca()
            if self._context is None or (pair, trusted) != (self._pair, self._trusted):
                self._context = _make(pair, trusted)
                if self._pair is not None:
                    logger.info("the serving certificate or the client CAs have changed and are in use")
                self._pair, self._trusted = pair, trusted
            self._complaint = ""
        except ConfigError as error:
            if self._context is None:
                raise
            if str(error) != self._complaint:
                self._complaint = str(error)
                logger.warning("the certificates in use stay, the new ones cannot be used: %s", error)


def _make(pair: KeyPair, client_ca: bytes | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION
    _load_pair(context, pair)
    if client_ca is None:
        context.verify_mode = ssl.CERT_NONE
        return context
    context.verify_mode = ssl.CERT_OPTIONAL
    # A CA file may hold an intermediate: as with Go, what is in it is trusted, root or not.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cadata=client_ca.decode("ascii", "replace"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigError(f"the client CA file holds no usable PEM certificate: {error}") from error
    return context


def _load_pair(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Load a pair from memory; the ssl module only knows files."""
    descriptor, path = tempfile.mkstemp(prefix="virtual-kubelet-tls-")  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pair.key.rstrip() + b"\n" + pair.certificate)
        context.load_cert_chain(path, password=_no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        raise ConfigError(
            f"the serving certificate and its key cannot be used: {_reason(error)}; "
            "see --tls-cert-file and --tls-private-key-file"
        ) from error
    finally:
        Path(path).unlink()


def _no_password() -> str:
    raise ValueError("the private key is encrypted; decrypt it first")


def _reason(error: Exception) -> str:
    return getattr(error, "reason", None) or str(error)
