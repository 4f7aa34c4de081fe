"""A node's own client certificate: asked for once with somebody else's credentials, renewed with itself.

Kubernetes v1.36: the signer kubernetes.io/kube-apiserver-client-kubelet (pkg/controller/certificates/signer). A cluster
that was set up for it approves these requests: first ones by the group system:bootstrappers, renewals by the node itself.

The file holds the key and the certificate with its chain, as that of a kubelet does; a kubeconfig names it twice.
"""

from __future__ import annotations

import base64
import binascii
import logging
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from virtual_kubelet.errors import ApiError, ApiNotFound, ConfigError
from virtual_kubelet.kube.certificate_shelf import Signed, new_key
from virtual_kubelet.kube.certificates import Requests
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.resources import CERTIFICATE_SIGNING_REQUESTS
from virtual_kubelet.runtime import files
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline

__all__ = [
    "FILE_NAME",
    "Refused",
    "Renewal",
    "Request",
    "ask",
    "load",
    "own_file",
    "read",
    "save",
    "take_owner",
]

logger = logging.getLogger(__name__)

FILE_NAME = "kubelet-client-current.pem"
SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
USAGES = ("digital signature", "client auth")  # of an ECDSA key; RSA would add "key encipherment"
LOOK = 60.0  # seconds between two looks at the time, or at a pending request
ROTATE_AFTER = (0.7, 0.2)  # of its life, and what chance adds: the nodes of a cluster come one by one


class Refused(Exception):
    """A request was denied, failed, or is gone; the text says which."""


@dataclass(frozen=True, repr=False)
class Request:
    """A CertificateSigningRequest of ours, and its key."""

    name: str
    uid: str
    key: bytes


def ask(client: Requests, node_name: str) -> Request:
    """Make a request; raise `ApiError`."""
    key = new_key()
    created = client.create(
        CERTIFICATE_SIGNING_REQUESTS,
        {
            "apiVersion": CERTIFICATE_SIGNING_REQUESTS.api_version,
            "kind": CERTIFICATE_SIGNING_REQUESTS.kind,
            "metadata": {"generateName": "node-csr-"},
            "spec": {
                "request": base64.b64encode(_signing_request(key, node_name)).decode(),
                "signerName": SIGNER,
                "usages": list(USAGES),
            },
        },
    )
    return Request(created["metadata"]["name"], created["metadata"]["uid"], key)


def read(client: Requests, request: Request) -> Signed | None:
    """Return what was issued, None while it is pending; raise `Refused` or `ApiError`."""
    try:
        found = client.get(CERTIFICATE_SIGNING_REQUESTS, request.name)
    except ApiNotFound:
        raise Refused(f"the request {request.name} is gone") from None
    if found["metadata"]["uid"] != request.uid:
        raise Refused(f"the request {request.name} is another one by now")
    status = found.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition.get("type") in {"Denied", "Failed"}:
            reason = condition.get("message") or condition.get("reason") or "no reason is given"
            raise Refused(f"the request {request.name} is {condition['type'].lower()}: {reason}")
    if not status.get("certificate"):
        return None
    try:
        return Signed.parse(base64.b64decode(status["certificate"], validate=True), request.key)
    except (ValueError, binascii.Error) as error:
        raise Refused(f"the certificate of {request.name} cannot be used: {error}") from error


def save(path: Path, signed: Signed) -> None:
    """Write key and certificate in one step, for the owner of `path`'s directory; raise `OSError`."""
    files.replace(path, signed.key.rstrip() + b"\n" + signed.certificate)


def load(path: Path) -> Signed:
    """Read what `save` wrote; raise `ConfigError`."""
    try:
        key, marker, certificate = path.read_bytes().partition(b"-----BEGIN CERTIFICATE-----")
        return Signed.parse(marker + certificate, key)
    except OSError as error:
        raise ConfigError(f"client certificate {path}: {error.strerror}") from error
    except (ValueError, IndexError) as error:
        raise ConfigError(
            f"client certificate {path}: {error}; run virtual-kubelet bootstrap again"
        ) from error


def own_file(access: ApiAccess) -> Path | None:
    """Return the file to be renewed: that which `bootstrap` made and the kubeconfig names; None: another identity."""
    tls = access.tls
    ours = tls.cert_file and tls.cert_file == tls.key_file and Path(tls.cert_file).name == FILE_NAME
    return Path(tls.cert_file) if ours else None


class Renewal:
    """Keeps the certificate of a file new; a service. The client notices the new file by itself."""

    def __init__(
        self,
        client: Requests,
        path: Path,
        node_name: str,
        *,
        clock: Clock = SYSTEM,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._path = path
        self._node_name = node_name
        self._clock = clock
        least, more = ROTATE_AFTER
        self._share = least + more * chance()
        # A request that is pending when the process ends is made anew: the cluster removes the old one.
        self._pending: Request | None = None
        self._complaint = ""
        self._loop = Periodic(self._look, LOOK, name="client-certificate", clock=clock)

    def start(self) -> None:
        """Begin."""
        self._loop.start()

    def stop(self, deadline: Deadline) -> None:
        """End."""
        self._loop.stop(deadline)

    def _look(self) -> None:
        try:
            self._step()
        except (ApiError, Refused, ConfigError, OSError) as error:
            if isinstance(error, Refused):
                self._pending = None
            if str(error) != self._complaint:
                self._complaint = str(error)
                logger.warning("the client certificate is not renewed: %s", error)
        else:
            self._complaint = ""

    def _step(self) -> None:
        if self._pending is None:
            current = load(self._path)
            life = current.not_after - current.not_before
            if self._clock.now() < current.not_before + life * self._share:
                return
            self._pending = ask(self._client, self._node_name)
            logger.info("a new client certificate is requested as %s", self._pending.name)
            self._loop.trigger()  # most clusters approve at once
            return
        signed = read(self._client, self._pending)
        if signed is not None:
            save(self._path, signed)  # where that fails, it is read again
            self._pending = None
            logger.info("the client certificate is renewed")


def take_owner(path: Path) -> None:
    """Give a file or directory the owner of the directory that it is in: root prepares what a service will use."""
    if os.geteuid() == 0:
        parent = path.parent.stat()
        os.chown(path, parent.st_uid, parent.st_gid)


def _signing_request(key: bytes, node_name: str) -> bytes:
    private = serialization.load_pem_private_key(key, None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            # A node's name may be longer than X.520's 64 characters; Kubernetes does not mind.
            x509.NameAttribute(NameOID.COMMON_NAME, f"system:node:{node_name}", _validate=False),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(private, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)
