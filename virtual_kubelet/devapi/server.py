"""The embedded control plane: an in-memory Kubernetes API server, and the controllers that nodes need."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import yaml

from virtual_kubelet.devapi.cluster import Cluster
from virtual_kubelet.devapi.http.handler import Handler
from virtual_kubelet.devapi.http.resources import Resources
from virtual_kubelet.devapi.identity import ADMIN, Tokens
from virtual_kubelet.devapi.pki import Authority
from virtual_kubelet.devapi.registry.table import KINDS
from virtual_kubelet.devapi.storage.memory import MemoryStorage
from virtual_kubelet.devapi.verbs.create import create
from virtual_kubelet.devapi.verbs.options import WriteOptions
from virtual_kubelet.errors import ConfigError
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.web.limits import Limits
from virtual_kubelet.web.server import Server
from virtual_kubelet.web.tls import Fixed, KeyPair, ServerTls

__all__ = ["ControlPlane"]

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost")
NAMESPACES = ("default", "kube-node-lease", "kube-public", "kube-system")
LIMITS = Limits(streams=4096, connections=8192, workers=64, body=16 << 20)


class ControlPlane:
    """A service: `start()`, `stop(deadline)`, and `start()` again on the same port with the same objects."""

    def __init__(
        self, *, address: str = "127.0.0.1", port: int = 0, data_dir: str | None = None, clock: Clock = SYSTEM
    ) -> None:
        """Prepare; nothing listens yet. `ConfigError` for an address that is not loopback."""
        if address not in LOOPBACK:
            raise ConfigError(
                f"the embedded control plane listens on loopback only, not on {address}; use 127.0.0.1"
            )
        self._address = address
        self._port = port
        self._clock = clock
        self._authority = Authority.create("kubernetes-ca", clock.now())
        self._kubelet_authority = Authority.create("kubelet-client-ca", clock.now())
        self.tokens = Tokens()
        self._admin_token = self.tokens.issue(ADMIN)
        self.cluster = Cluster(MemoryStorage(clock=clock), KINDS, clock)
        self.handler = Handler(Resources(self.cluster), self.tokens)
        self._server: Server | None = None
        self._bootstrap()

    def _bootstrap(self) -> None:
        namespaces = KINDS.find("", "v1", "namespaces")
        assert namespaces is not None
        for name in NAMESPACES:
            create(self.cluster, namespaces, "", {"metadata": {"name": name}}, WriteOptions())

    def start(self) -> None:
        """Listen and answer; `ConfigError` when the port cannot be had."""
        pair = self._authority.issue_server(NAMES, [_ip(self._address)], self._clock.now())
        tls = ServerTls(
            Fixed(KeyPair(pair.certificate, pair.key)), lambda: self._authority.certificate, clock=self._clock
        )
        self._server = Server(
            self.handler,
            address=self._address,
            port=self._port,
            tls=tls,
            name="devapi",
            limits=LIMITS,
            clock=self._clock,
        )
        self._server.start()
        self._port = self._server.port  # the next start listens on the same one

    def stop(self, deadline: Deadline) -> None:
        """Cut all connections within `deadline`; objects, keys and tokens stay for the next `start`."""
        server, self._server = self._server, None
        self.cluster.storage.close_subscriptions()
        if server is not None:
            server.stop(deadline)

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return f"https://{self._address}:{self._port}"

    @property
    def kubelet_client_ca(self) -> bytes:
        """PEM: whose client certificate this server shows to kubelets; an agent's `client_ca_file`."""
        return self._kubelet_authority.certificate

    @property
    def ca(self) -> bytes:
        """PEM: who signed this server's certificate."""
        return self._authority.certificate

    def kubeconfig(self, token: str = "") -> JsonObject:
        """Return a kubeconfig with `token`, else with the administrator's."""
        import base64

        cluster = {
            "server": self.url,
            "certificate-authority-data": base64.b64encode(self.ca).decode(),
        }
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "virtual-kubelet-dev", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": token or self._admin_token}}],
            "contexts": [
                {
                    "name": "virtual-kubelet-dev",
                    "context": {"cluster": "virtual-kubelet-dev", "user": "admin", "namespace": "default"},
                }
            ],
            "current-context": "virtual-kubelet-dev",
        }

    def write_kubeconfig(self, path: str, token: str = "") -> None:
        """Write `kubeconfig` to a file that only its owner can read, replacing what was there."""
        target = Path(path)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}-")  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                yaml.safe_dump(self.kubeconfig(token), file, sort_keys=False)
            Path(temporary).replace(target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def _ip(address: str) -> str:
    return "127.0.0.1" if address == "localhost" else address
