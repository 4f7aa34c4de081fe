"""Whose client certificates are trusted: the CAs of --client-ca-file, else the cluster's own.

The API server publishes the CAs that it accepts client certificates from in the ConfigMap
kube-system/extension-apiserver-authentication, for servers like this one. A `system:node` identity may not
read it; then callers come in by token only.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Protocol

from virtual_kubelet.errors import ApiError, ApiForbidden, ApiNotFound
from virtual_kubelet.kube.resources import CONFIG_MAPS, Resource
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.periodic import Periodic
from virtual_kubelet.runtime.threads import Deadline

__all__ = ["ClusterClientCa", "Getter"]

logger = logging.getLogger(__name__)

NAMESPACE = "kube-system"
NAME = "extension-apiserver-authentication"
RETRY_EVERY = 5.0  # seconds, while the API server has not answered
READ_EVERY = 60.0  # seconds


class Getter(Protocol):
    """The part of `kube.client.Client` that this needs."""

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> Any:
        """GET an object."""


class ClusterClientCa:
    """The cluster's client CAs, read once a minute; a service, and a callable for `ServerTls`.

    When the ConfigMap cannot be read any more, what was known stays.
    """

    def __init__(self, client: Getter, *, clock: Clock = SYSTEM) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._pem: bytes | None = None  # under the lock
        # The thread's own.
        self._complaint = ""
        self._next = 0.0
        self._clock = clock
        self._periodic = Periodic(self._look, RETRY_EVERY, name="client-ca", clock=clock, jitter=0.1)

    def start(self) -> None:
        """Begin to look, on a thread of its own: the API server may be away."""
        self._periodic.start()

    def stop(self, deadline: Deadline) -> None:
        """Look no more."""
        self._periodic.stop(deadline)

    def __call__(self) -> bytes | None:
        """Return the CAs, PEM; None while none are known."""
        with self._lock:
            return self._pem

    def _look(self) -> None:
        now = self._clock.monotonic()
        if now >= self._next and self._read():
            self._next = now + READ_EVERY

    def _read(self) -> bool:
        """Ask for the ConfigMap; tell whether the API server has answered."""
        try:
            config_map = self._client.get(CONFIG_MAPS, NAME, NAMESPACE)
        except (ApiForbidden, ApiNotFound) as error:
            self._complain(f"is not readable ({error}); client certificates are not accepted")
            return True
        except ApiError as error:
            self._complain(f"is not readable now ({error})")
            return False
        pem = (config_map.get("data") or {}).get("client-ca-file", "").encode()
        if not pem.strip():
            self._complain("has no client-ca-file; client certificates are not accepted")
            return True
        self._complaint = ""
        with self._lock:
            self._pem = pem
        return True

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            self._complaint = complaint
            logger.warning("--client-ca-file is not set, and ConfigMap %s/%s %s", NAMESPACE, NAME, complaint)
