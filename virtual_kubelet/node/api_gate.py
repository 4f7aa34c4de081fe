"""Waiting for the API server at the start: a machine boots before its network, and a node may come before its cluster.

What waiting cannot mend (wrong credentials, missing rights, a server that is not the right one) ends the start at
once, in a line that says what to do.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Any

from virtual_kubelet.errors import (
    ApiError,
    ApiForbidden,
    ApiNotFound,
    ApiUnauthorized,
    ApiUnavailable,
    ConfigError,
)
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.failures import NOT_TRUSTED
from virtual_kubelet.kube.resources import NAMESPACES, NODES, PODS, Resource
from virtual_kubelet.node.host import address_towards
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline, StopSignal
from virtual_kubelet.settings import Settings

__all__ = ["ApiGate", "hopeless"]

logger = logging.getLogger(__name__)

RETRY = 1.0  # seconds between two tries
COMPLAIN = 10.0  # seconds between two lines in the log


class ApiGate:
    """A service whose `start` returns when the API server answers and lets us work.

    Raises from `start`: `ConfigError` for what waiting cannot mend, `ApiUnavailable` when `startup_timeout`
    is over. A stop from another thread ends the wait; `open` stays false then.
    """

    def __init__(self, client: Client, settings: Settings, *, clock: Clock = SYSTEM) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._stop = StopSignal(clock)
        self._lock = threading.Lock()
        self._open = False  # this and what follows: under the lock
        self._version: tuple[int, int] = (0, 0)
        self._cluster_id = ""
        self._node_ip = settings.node_ip

    def start(self) -> None:
        """Wait."""
        timeout = self._settings.startup_timeout
        deadline = Deadline(timeout, self._clock) if timeout > 0 else None
        complain_at = self._clock.monotonic()
        while not self._stop.is_set():
            try:
                self._enter()
            except (ApiUnavailable, ApiError) as error:
                self._refuse_hopeless(error)
                if deadline is not None and deadline.expired:
                    text = f"the API server was not to be had within {timeout:g} s: {error}"
                    raise ApiUnavailable(text) from error
                if self._clock.monotonic() >= complain_at:
                    logger.warning("waiting for the API server: %s", error)
                    complain_at = self._clock.monotonic() + COMPLAIN
                self._stop.wait(RETRY)
            else:
                return

    def stop(self, deadline: Deadline) -> None:
        """End the wait."""
        self._stop.set()

    @property
    def open(self) -> bool:
        """Whether the API server has answered."""
        with self._lock:
            return self._open

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the API server; (0, 0) when it does not tell."""
        with self._lock:
            return self._version

    @property
    def cluster_id(self) -> str:
        """The UID of the kube-system namespace; "" where our rights do not let us read it."""
        with self._lock:
            return self._cluster_id

    @property
    def node_ip(self) -> str:
        """The node's address: as configured, else that which reaches the API server."""
        with self._lock:
            return self._node_ip

    def _enter(self) -> None:
        version = self._ask_version()
        self._check_right(PODS, "list pods", self._settings.namespace or None)
        self._check_right(NODES, "read its node", None, name=self._settings.node_name)
        cluster_id = self._ask_cluster_id()
        node_ip = self._settings.node_ip or address_towards(self._client.server)
        if not node_ip:
            logger.warning("no address leads to the API server; set --node-ip")
        with self._lock:
            self._open = True
            self._version = version
            self._cluster_id = cluster_id
            self._node_ip = node_ip

    def _ask_version(self) -> tuple[int, int]:
        try:
            answer: Any = self._client.get_path("/version", limited=False)
        except (ApiForbidden, ApiNotFound):
            return (0, 0)
        if not isinstance(answer, dict):
            return (0, 0)
        return _number(answer.get("major")), _number(answer.get("minor"))

    def _check_right(self, resource: Resource, what: str, namespace: str | None, *, name: str = "") -> None:
        try:
            if name:
                self._client.get(resource, name, namespace, limited=False)
            else:
                # Also what a node's own identity may ask: the pods of this node only.
                selector = f"spec.nodeName={self._settings.node_name}"
                query = {"fieldSelector": selector, "limit": "1"}
                self._client.list(resource, namespace, query=query, limited=False)
        except ApiNotFound:
            pass  # a node that is not there yet
        except ApiForbidden as error:
            raise ConfigError(
                f"the API server does not let this agent {what}: {error}; "
                "give its identity the rights of a node (system:node, or a ClusterRole on pods and nodes)"
            ) from error

    def _ask_cluster_id(self) -> str:
        try:
            namespace = self._client.get(NAMESPACES, "kube-system", limited=False)
        except (ApiForbidden, ApiNotFound):
            return ""
        return str(namespace["metadata"].get("uid", ""))

    def _refuse_hopeless(self, error: ApiError) -> None:
        if sentence := hopeless(error, self._client.host):
            raise ConfigError(sentence) from error


def hopeless(error: ApiError, host: str) -> str:
    """Return what an error of the API server `host` means and what would help; "" where waiting may mend it."""
    if isinstance(error, ApiUnauthorized):
        return f"the API server at {host} does not accept the credentials: {error}; check the user of the kubeconfig, or the token"
    if error.reason == NOT_TRUSTED:
        return (
            f"the API server at {host} is not trusted: {error}; check certificate-authority in the kubeconfig"
        )
    if not error.retryable and not isinstance(error, ApiUnavailable):
        return f"the API server at {host} refuses to serve: {error}"
    return ""


def _number(text: object) -> int:
    """Return the number at the start of a version part: providers write `29+`."""
    match = re.match(r"\d+", str(text))
    return int(match.group()) if match else 0
