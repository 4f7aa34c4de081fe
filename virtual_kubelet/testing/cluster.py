"""A whole cluster in one process: an embedded control plane and an agent with your provider.

    from virtual_kubelet.testing import DevCluster

    with DevCluster(MyProvider()) as cluster:
        subprocess.run(["kubectl", "--kubeconfig", cluster.kubeconfig, "run", "web", "--image", "nginx"])

It listens on loopback only, needs no root, and leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.provider import Provider, Purging
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.settings import Settings

__all__ = ["DevCluster"]

LOOPBACK = "127.0.0.1"
T = TypeVar("T")


class DevCluster:
    """A context manager: inside, the API server answers and the node is Ready.

    `provider` is one, or a callable that makes one from the agent's `Settings`. `settings` change those
    (`node_name="edge"`, `provider_sync_period=1`, ...). With `purge`, the provider's workloads are ended with the
    cluster where it has that ability.
    """

    def __init__(
        self,
        provider: Provider | Callable[[Settings], Provider],
        /,
        *,
        port: int = 0,
        purge: bool = True,
        start_timeout: float = 30,
        stop_timeout: float = 20,
        **settings: Any,
    ) -> None:
        self._given = provider
        self._purge = purge
        self._start_timeout = start_timeout
        self._stop_timeout = stop_timeout
        self._changes = settings
        self._directory = ""
        self.control_plane = ControlPlane(address=LOOPBACK, port=port)
        self._provider: Provider | None = None
        self._agent: VirtualKubelet | None = None
        self._client: Client | None = None

    @property
    def agent(self) -> VirtualKubelet:
        """The agent; there once started."""
        return _started(self._agent)

    @property
    def client(self) -> Client:
        """A client of the API server with the administrator's rights; there once started."""
        return _started(self._client)

    @property
    def provider(self) -> Provider:
        """The provider of the agent that runs now; there once started."""
        return _started(self._provider)

    @property
    def url(self) -> str:
        """Where the API server answers."""
        return self.control_plane.url

    @property
    def kubeconfig(self) -> str:
        """The path of a kubeconfig with the administrator's rights."""
        return str(Path(self._directory) / "kubeconfig")

    def start(self) -> None:
        """Start everything and wait until the node is Ready."""
        self._directory = tempfile.mkdtemp(prefix="virtual-kubelet-")
        try:
            self.control_plane.start()
            self.control_plane.write_kubeconfig(self.kubeconfig)
            self._client = Client(config.load(self.kubeconfig), qps=0)
            self._start_agent()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop everything; may be called again. One part's failure keeps no other part alive."""
        deadline = Deadline(self._stop_timeout)
        provider: object = self._provider
        with contextlib.ExitStack() as last_first:
            if self._directory:
                last_first.callback(shutil.rmtree, self._directory, ignore_errors=True)
            last_first.callback(self.control_plane.stop, deadline)
            if self._client is not None:
                last_first.callback(self._client.close)
            if self._purge and isinstance(provider, Purging):
                last_first.callback(provider.purge)
            if self._agent is not None:
                last_first.callback(self._agent.stop, deadline.remaining())

    def restart_agent(self) -> None:
        """Stop the agent, then start another one with the same settings and a provider that is made anew.

        What runs goes on meanwhile, as it does in an upgrade. `provider` must have been given as a callable.
        """
        if not callable(self._given):
            raise TypeError(
                "give DevCluster a callable that makes the provider: a closed one cannot be used again"
            )
        self.agent.stop(self._stop_timeout)
        self._start_agent()

    def __enter__(self) -> DevCluster:
        """Start it."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop it."""
        self.stop()

    def _start_agent(self) -> None:
        settings = self._settings()
        self._provider = self._given(settings) if callable(self._given) else self._given
        self._agent = VirtualKubelet(settings, self._provider)
        self._agent.start()
        self._agent.wait_ready(self._start_timeout)

    def _settings(self) -> Settings:
        ca = Path(self._directory) / "kubelet-client-ca.pem"
        ca.write_bytes(self.control_plane.kubelet_client_ca)
        settings = Settings(
            kubeconfig=self.kubeconfig,
            node_ip=LOOPBACK,
            address=LOOPBACK,
            port=0,
            client_ca_file=str(ca),
            kube_api_qps=0,
            startup_timeout=self._start_timeout,
            state_dir=str(Path(self._directory) / "state"),
        )
        return replace(settings, **self._changes)


def _started(part: T | None) -> T:
    if part is None:
        raise RuntimeError("the cluster has not been started: enter the context, or call start()")
    return part
