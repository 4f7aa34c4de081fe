"""What all connections of one server have in common."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Protocol

from virtual_kubelet.runtime.clock import Clock
from virtual_kubelet.web.accounting import Accounting
from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.messages import Handler
from virtual_kubelet.web.poller import Poller
from virtual_kubelet.web.pool import Pool
from virtual_kubelet.web.registry import Registry

__all__ = ["Shared", "TlsSource"]


class TlsSource(Protocol):
    """Where a connection's TLS context comes from; see `tls.ServerTls`."""

    def context(self) -> ssl.SSLContext:
        """Return the context for a new connection."""

    def trust(self) -> object:
        """Return a token that changes with the set of client CAs."""


@dataclass(frozen=True)
class Shared:
    """One server's parts."""

    handler: Handler
    limits: Limits
    poller: Poller
    intake: Pool
    workers: Pool
    registry: Registry
    clock: Clock
    accounting: Accounting
    tls: TlsSource | None = None
