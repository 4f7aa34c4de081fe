"""HTTPS to servers whose certificates nobody here can verify: kubelets' and pods' own.

A real API server does not verify them either unless it is told by whom they are signed. urllib3 warns of each such
request, to every user of the process: here it is said once, in the name.
"""

from __future__ import annotations

import ssl

import urllib3
from urllib3.connection import HTTPSConnection

__all__ = ["unverified_pools"]

POOL_SIZE = 32  # connections that are kept to one server; urllib3 warns of each that it cannot keep


class _Connection(HTTPSConnection):
    def connect(self) -> None:
        super().connect()
        self.is_verified = True  # as verified as it is meant to be


class _Pool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _Connection


def unverified_pools(context: ssl.SSLContext) -> urllib3.PoolManager:
    """Return pools for any host; `context` is one that verifies nothing, names neither."""
    pools = urllib3.PoolManager(
        ssl_context=context, cert_reqs="CERT_NONE", retries=False, maxsize=POOL_SIZE
    )  # without assert_hostname, which old releases of urllib3 hand to plain connections too
    pools.pool_classes_by_scheme = {"http": urllib3.HTTPConnectionPool, "https": _Pool}
    return pools
