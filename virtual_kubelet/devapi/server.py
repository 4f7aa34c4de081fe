"""The embedded control plane: an in-memory Kubernetes API server, and the controllers that nodes need."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from virtual_kubelet.devapi import admission
from virtual_kubelet.devapi.access.authorizer import Authorizer
from virtual_kubelet.devapi.access.service_tokens import TokenIssuer
from virtual_kubelet.devapi.bootstrap import bootstrap, publish
from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.controllers.binder import Binder
from virtual_kubelet.devapi.controllers.eviction import TaintEviction
from virtual_kubelet.devapi.controllers.follower import Controller, Follower
from virtual_kubelet.devapi.controllers.garbage import EventExpiry, OwnerCollector, PodCollector
from virtual_kubelet.devapi.controllers.namespaces import NamespaceController, furnish_new
from virtual_kubelet.devapi.controllers.node_lifecycle import NodeLifecycle
from virtual_kubelet.devapi.controllers.signer import Signer
from virtual_kubelet.devapi.controllers.snapshots import Snapshots
from virtual_kubelet.devapi.faults import Faults
from virtual_kubelet.devapi.http.authentication import Authentication
from virtual_kubelet.devapi.http.call import CallHandler
from virtual_kubelet.devapi.http.documents import Documents
from virtual_kubelet.devapi.http.handler import Handler
from virtual_kubelet.devapi.http.resources import Resources
from virtual_kubelet.devapi.identity import ADMIN, AUTHENTICATED, MASTERS, Tokens, User
from virtual_kubelet.devapi.kubeconfig import kubeconfig, write_private
from virtual_kubelet.devapi.kubelet_access import KubeletAccess
from virtual_kubelet.devapi.node_restriction import restrict_update
from virtual_kubelet.devapi.recording import RequestLog
from virtual_kubelet.devapi.registry.table import KINDS
from virtual_kubelet.devapi.state import DataDirectory
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.devapi.subresources.pod_actions import PodActions
from virtual_kubelet.devapi.subresources.pod_log import KubeletReads
from virtual_kubelet.devapi.subresources.pod_proxy import PodProxy
from virtual_kubelet.devapi.subresources.pod_streams import PodStreams
from virtual_kubelet.devapi.subresources.reviews import Reviews
from virtual_kubelet.devapi.subresources.token_requests import TokenRequests
from virtual_kubelet.devapi.subresources.usage import Usage
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.server import Server
from virtual_kubelet.web.tls import Fixed, KeyPair, ServerTls

__all__ = ["ControlPlane"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
NAMES = (
    "kube-apiserver",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
    "localhost",
)
KUBELET_CLIENT = "kube-apiserver-kubelet-client"
# Callers come by token, so no certificate tells those apart that may send a long `exec` command.
LIMITS = Limits(streams=4096, connections=8192, workers=64, body=16 << 20, anonymous_head=1 << 20)


class ControlPlane:
    """A service: `start()`, `stop(deadline)`, and `start()` again on the same port with the same objects.

    With a `data_dir` keys and objects outlive the process too: they are written there now and then, and by `stop`.
    """

    def __init__(
        self,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        data_dir: str | None = None,
        clock: Clock = SYSTEM,
        schedule: bool = True,
        mount_tokens: bool = True,
        approve_certificates: bool = False,
    ) -> None:
        """Prepare; nothing listens yet.

        Args:
            address: 127.0.0.1, ::1 or localhost; it serves secrets and runs what it is told, so nothing else.
            port: 0 for any free one.
            data_dir: where keys and objects are kept; None: in memory alone.
            clock: where time comes from.
            schedule: whether pods without a node are bound to one.
            mount_tokens: whether pods get the volume with a token of their service account.
            approve_certificates: whether certificate requests of nodes are approved without being asked.

        Raises:
            ConfigError: the address is not loopback, or the directory holds what cannot be read.
        """
        if address not in LOOPBACK:
            raise ConfigError(
                f"the embedded control plane listens on loopback only, not on {address}; use 127.0.0.1"
            )
        self._address = "127.0.0.1" if address == "localhost" else address
        self._port = port
        self._clock = clock
        self._data = DataDirectory(data_dir)
        # Certificates are checked by peers, who know the real time alone.
        self._keys = self._data.keys(SYSTEM.now())
        self.storage = MemoryStorage(clock=clock)
        self.cluster = Cluster(
            self.storage,
            KINDS,
            clock,
            admission=admission.DEFAULT_PLUGINS,
            update_admission=(restrict_update,),
            created=(furnish_new,),
            mount_tokens=mount_tokens,
            root_ca=self._keys.authority.certificate,
        )
        self.tokens = Tokens()
        self.tokens.issue(ADMIN, self._keys.admin_token)
        self.requests = RequestLog()
        """Every request that was served."""
        self.faults = Faults(self.storage)
        """Faults to inject."""
        self._schedule = schedule
        self._approve = approve_certificates
        self._handler = self._build_handler()
        self._server: Server | None = None
        self._followers: list[Follower] = []
        self._begin()

    def _begin(self) -> None:
        """Take over what was saved, or begin anew."""
        if not self._data.load_objects(self.storage):
            bootstrap(self.cluster)
        # At once: a process that was killed before its first snapshot must not give its versions out again.
        self._data.save_objects(self.storage)

    # ------------------------------------------------------------------------------------------------------
    # Life

    def start(self) -> None:
        """Listen and answer; `ConfigError` when the port cannot be had."""
        pair = self._keys.authority.issue_server(NAMES, [self._address], SYSTEM.now())
        trusted = self._keys.authority.certificate
        self._server = Server(
            self._handler,
            address=self._address,
            port=self._port,
            tls=ServerTls(Fixed(KeyPair(pair.certificate, pair.key)), lambda: trusted, clock=self._clock),
            name="devapi",
            limits=LIMITS,
            clock=self._clock,
        )
        self._server.start()
        self._port = self._server.port  # the next start listens on the same one
        publish(self.cluster, self._address, self._port, self.ca + self.kubelet_client_ca)
        self.faults.resume()
        self._followers = [Follower(self.cluster, "devapi-controllers", self._controllers())]
        if self._schedule:
            self._followers.append(Follower(self.cluster, "devapi-binder", [Binder(self.cluster)]))
        for follower in self._followers:
            follower.start()

    def stop(self, deadline: Deadline) -> None:
        """Cut all connections within `deadline`; objects, keys and tokens stay for the next `start`."""
        followers, self._followers = self._followers, []
        for follower in reversed(followers):
            follower.stop(deadline)
        server, self._server = self._server, None
        self.faults.interrupt()
        self.storage.close_subscriptions()
        if server is not None:
            server.stop(deadline)
            self._kubelet_reads.close()
            self._pod_proxy.close()
            self._data.save_objects(self.storage)

    # ------------------------------------------------------------------------------------------------------
    # How to reach it

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        host = f"[{self._address}]" if ":" in self._address else self._address
        return f"https://{host}:{self._port}"

    @property
    def ca(self) -> bytes:
        """PEM: who signed this server's certificate."""
        return self._keys.authority.certificate

    @property
    def kubelet_client_ca(self) -> bytes:
        """PEM: who signed the certificate that this server shows to kubelets; an agent's `client_ca_file`."""
        return self._keys.kubelet_authority.certificate

    def token(self, user: str, groups: Sequence[str] = ()) -> str:
        """Return a new bearer token that stands for `user` in `groups`."""
        return self.tokens.issue(User(user, (*groups, AUTHENTICATED)))

    def client_certificate(self, user: str, groups: Sequence[str] = ()) -> tuple[bytes, bytes]:
        """Return a client certificate for `user` in `groups`, and its key; both PEM."""
        pair = self._keys.authority.issue_client(user, groups, SYSTEM.now())
        return pair.certificate, pair.key

    def kubeconfig(self, token: str = "") -> JsonObject:
        """Return a kubeconfig with `token`, else with the administrator's."""
        return kubeconfig(self.url, self.ca, token or self._keys.admin_token)

    def write_kubeconfig(self, path: str | Path, token: str = "") -> None:
        """Write `kubeconfig` to a file that only its owner can read, replacing what was there."""
        write_private(path, self.kubeconfig(token))

    # ------------------------------------------------------------------------------------------------------
    # What it is made of

    def _build_handler(self) -> Handler:
        issuer = TokenIssuer(self._keys.service_accounts, self.storage, self._clock)
        self.tokens.add_verifier(issuer.user)
        authorizer = Authorizer(self.storage)
        client = self._keys.kubelet_authority.issue_client(KUBELET_CLIENT, [MASTERS], SYSTEM.now())
        kubelets = KubeletAccess(self.storage, client)
        self._kubelet_reads = KubeletReads(self.cluster, kubelets)
        self._pod_proxy = PodProxy(self.cluster)
        handlers: dict[str, CallHandler] = {
            **Reviews(self.storage, self.tokens, issuer, authorizer).handlers(),
            **PodActions(self.cluster).handlers(),
            **TokenRequests(self.cluster, issuer).handlers(),
            **self._kubelet_reads.handlers(),
            **Usage(self.cluster, self._kubelet_reads).handlers(),
            **self._pod_proxy.handlers(),
            **PodStreams(self.cluster, kubelets).handlers(),
        }
        return Handler(
            authentication=Authentication(self.tokens),
            authorizer=authorizer,
            resources=Resources(self.cluster, handlers),
            others=Documents(self.cluster.kinds, issuer),
            faults=self.faults,
            log=self.requests,
            clock=self._clock,
        )

    def _controllers(self) -> list[Controller]:
        return [
            NamespaceController(self.cluster),
            NodeLifecycle(self.cluster),
            TaintEviction(self.cluster),
            PodCollector(self.cluster),
            OwnerCollector(self.cluster),
            EventExpiry(self.cluster),
            Signer(self.cluster, self._keys.authority, approve=self._approve),
            Snapshots(self.storage, self._data),
        ]
