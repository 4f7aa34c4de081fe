"""What both sides of a TLS connection go by: our serving certificate, and the CAs of our clients."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from virtual_kubelet.kube.certificates import ServingCertificate
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kubelet.client_ca import ClusterClientCa
from virtual_kubelet.objects import NodeAddress
from virtual_kubelet.runtime.clock import Clock
from virtual_kubelet.runtime.services import Service
from virtual_kubelet.settings import Settings
from virtual_kubelet.web.self_signed import SelfSigned
from virtual_kubelet.web.tls import CertificateSource, FileBytes, FilePair, KeyPair, ServerTls

__all__ = ["Addresses", "Trust", "establish"]

Addresses = Callable[[], Iterable[NodeAddress]]


class Trust(NamedTuple):
    """A server's TLS, and what has to run to keep it up to date."""

    tls: ServerTls
    services: list[Service]


def establish(
    settings: Settings, client: Client, addresses: Addresses, published: Addresses, clock: Clock
) -> Trust:
    """Return the TLS of the kubelet's server.

    The certificate is the one in files; else the cluster's, where it is asked for and as soon as it is there;
    else our own. Ours is for the node's `addresses`, whatever is known of them, and the cluster's for the
    `published` ones. Clients are trusted by the CAs in a file, else by the cluster's.
    """
    services: list[Service] = []
    certificates = _certificates(settings, client, addresses, published, clock, services)
    client_ca = _client_ca(settings, client, clock, services)
    return Trust(ServerTls(certificates, client_ca, clock=clock), services)


def _certificates(
    settings: Settings,
    client: Client,
    addresses: Addresses,
    published: Addresses,
    clock: Clock,
    services: list[Service],
) -> CertificateSource:
    if settings.tls_cert_file:
        return FilePair(settings.tls_cert_file, settings.tls_private_key_file)
    directory = str(Path(settings.state_dir) / "pki") if settings.state_dir else ""
    name = settings.node_name
    self_signed = SelfSigned(directory, lambda: {name, *_values(addresses())}, clock=clock)
    if not settings.rotate_server_certificates:
        return self_signed

    def names() -> set[str]:
        # The request waits for the node's addresses: without them it would be one more to approve.
        found = _values(published())
        return {name, *found} if found else set()

    signed = ServingCertificate(
        client,
        node_name=name,
        directory=directory,
        names=names,
        clock=clock,
    )
    services.append(signed)
    return SignedOrElse(signed, self_signed)


def _values(addresses: Iterable[NodeAddress]) -> set[str]:
    return {item["address"] for item in addresses if item.get("address")}


def _client_ca(
    settings: Settings, client: Client, clock: Clock, services: list[Service]
) -> Callable[[], bytes | None]:
    if settings.client_ca_file:
        return FileBytes(settings.client_ca_file, "--client-ca-file")
    cluster = ClusterClientCa(client, clock=clock)
    services.append(cluster)
    return cluster


class SignedOrElse:
    """A certificate signed by the cluster, and another one as long as there is none."""

    def __init__(self, signed: ServingCertificate, fallback: CertificateSource) -> None:
        self._signed = signed
        self._fallback = fallback

    def current(self) -> KeyPair:
        """Return the pair to show now."""
        pair = self._signed.current()
        return KeyPair(*pair) if pair is not None else self._fallback.current()
