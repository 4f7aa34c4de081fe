"""How the API server reaches a node's kubelet: where it listens, and the certificate to show there."""

from __future__ import annotations

import os
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path

from virtual_kubelet.devapi import failures
from virtual_kubelet.devapi.pki import Pair
from virtual_kubelet.devapi.storage.memory import MemoryStorage

__all__ = ["KubeletAccess", "KubeletAddress"]

PORT = 10250
PREFERRED = ("InternalIP", "ExternalIP", "Hostname", "InternalDNS", "ExternalDNS")
"""The order that kubeadm sets; the server's own default, Hostname first, needs DNS for nodes."""


@dataclass(frozen=True)
class KubeletAddress:
    """Where a kubelet listens with TLS."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The address as an URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"https://{host}:{self.port}"


class KubeletAccess:
    """Finds kubelets and holds the TLS context for them; safe for threads."""

    def __init__(self, storage: MemoryStorage, client: Pair) -> None:
        self._storage = storage
        self.context = _context(client)
        """Shows the API server's client certificate. The kubelet's own is not verified: it may be self-signed,
        as for a real API server without --kubelet-certificate-authority."""

    def of_node(self, name: str) -> KubeletAddress:
        """Return where the kubelet of a node listens; `ApiError` 404, 500 when it does not say."""
        record = self._storage.get("nodes", "", name)
        if record is None:
            raise failures.not_found("nodes", name)
        status = record.body.get("status") or {}
        endpoint = (status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}
        addresses = {
            each.get("type"): each.get("address") for each in reversed(status.get("addresses") or [])
        }
        for type_ in PREFERRED:
            if addresses.get(type_):
                return KubeletAddress(addresses[type_], endpoint.get("Port") or PORT)
        raise failures.internal(f'no preferred addresses found for node "{name}"; known addresses: []')


def _context(client: Pair) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    descriptor, path = tempfile.mkstemp(prefix="virtual-kubelet-devapi-")  # mode 0600; ssl only reads files
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(client.key + client.certificate)
        context.load_cert_chain(path)
    finally:
        Path(path).unlink()
    return context
