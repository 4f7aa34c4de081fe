"""The kubelet's servers as one service: what an agent makes, starts and stops.

KubeletServer
├── HTTPS on settings.port      api.build, every request by the guard
├── plain on metrics_addr       api.build_plain, where it is set
├── serving certificate         from files, else signed by the cluster, else by itself
└── client CAs                  from a file, else the cluster's own
"""

from __future__ import annotations

import logging

from virtual_kubelet.kube.client import Client
from virtual_kubelet.kubelet import api
from virtual_kubelet.kubelet.authentication import Authentication
from virtual_kubelet.kubelet.authorization import AlwaysAllow, Authorization, NodeAuthorization
from virtual_kubelet.kubelet.guard import Guard
from virtual_kubelet.kubelet.reviews import Reviews
from virtual_kubelet.kubelet.trust import Addresses, establish
from virtual_kubelet.runtime.services import Service, ServiceGroup
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.settings import split_address
from virtual_kubelet.web.limits import DEFAULT, Limits
from virtual_kubelet.web.server import Server

__all__ = ["KubeletServer"]

logger = logging.getLogger(__name__)


class KubeletServer:
    """The kubelet's API; a service.

    `start` returns when the ports are bound, without waiting for the API server; it raises `ConfigError` when
    a port is taken or a certificate file cannot be used. `stop` cuts streams at once and gives requests at
    work until the deadline.
    """

    def __init__(
        self,
        node: api.Node,
        client: Client,
        *,
        addresses: Addresses,
        published: Addresses,
        limits: Limits = DEFAULT,
    ) -> None:
        """Make it; nothing runs yet.

        Args:
            node: what the routes speak for.
            client: for reviews, the client CAs and certificate requests.
            addresses: the node's addresses as far as they are known now, for a certificate of our own.
            published: the Node's `status.addresses` as they are now, none until the API server holds them: what
                the cluster's certificate is requested for. Both are asked whenever a certificate's names are
                looked at, from any thread, so they must not wait.
            limits: what clients are allowed.
        """
        settings = node.settings
        self._settings = settings
        trust = establish(settings, client, addresses, published, node.clock)
        self._server = Server(
            api.build(node, _guard(node, client)),
            address=settings.address,
            port=settings.port,
            tls=trust.tls,
            name="kubelet",
            limits=limits,
            clock=node.clock,
            metrics=node.metrics,
        )
        services: list[Service] = [*trust.services, self._server]  # in the order of their start
        self._plain: Server | None = None
        if settings.metrics_addr:
            address, port = split_address(settings.metrics_addr)
            self._plain = Server(
                api.build_plain(node), address=address, port=port, name="metrics", clock=node.clock
            )
            services.append(self._plain)
        self._group = ServiceGroup(services, clock=node.clock)

    def start(self) -> None:
        """Bind the ports and begin to serve."""
        if self._settings.authorization_mode == "AlwaysAllow":
            logger.warning(
                "--authorization-mode AlwaysAllow: every known caller may do everything: for trials"
            )
        if self._settings.anonymous_auth:
            logger.warning("--anonymous-auth: callers who show nothing are let in: for trials")
        self._group.start()

    def stop(self, deadline: Deadline) -> None:
        """Stop serving."""
        self._group.stop(deadline)

    @property
    def port(self) -> int:
        """The HTTPS port: the real one, once started."""
        return self._server.port

    @property
    def metrics_port(self) -> int:
        """The plain listener's port, 0 where there is none."""
        return self._plain.port if self._plain is not None else 0


def _guard(node: api.Node, client: Client) -> Guard:
    settings = node.settings
    reviews = Reviews(client)
    authorization: Authorization = (
        AlwaysAllow()
        if settings.authorization_mode == "AlwaysAllow"
        else NodeAuthorization(reviews, settings.node_name, clock=node.clock)
    )
    return Guard(Authentication(reviews, anonymous=settings.anonymous_auth, clock=node.clock), authorization)
