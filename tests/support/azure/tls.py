"""TLS for fakes, by a certificate of their own."""

from __future__ import annotations

import ssl

from virtual_kubelet.web.self_signed import self_signed


def own_tls(directory):
    """Return a server's context for localhost, and the path of the bundle by which a client trusts it."""
    pair = self_signed(["localhost"])
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    certificate.write_bytes(pair.certificate)
    key.write_bytes(pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)
