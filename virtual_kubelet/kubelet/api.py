"""The router of the kubelet's API: which path is served by what, and what right it takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from virtual_kubelet.kubelet import attach, debug, health, logs, metrics, pods, portforward, stats
from virtual_kubelet.kubelet import exec as exec_
from virtual_kubelet.kubelet.health import Check
from virtual_kubelet.kubelet.source import PodSource
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.objects import Pod
from virtual_kubelet.provider import Provider
from virtual_kubelet.runtime.clock import SYSTEM, Clock
from virtual_kubelet.runtime.metrics import Metrics
from virtual_kubelet.settings import Settings
from virtual_kubelet.web.routing import Guard, Router

__all__ = ["Node", "build", "build_plain"]


@dataclass(frozen=True)
class Node:
    """What the routes need to know of the node that they speak for."""

    settings: Settings
    provider: Provider
    """Its abilities are looked for once, in `build`."""
    pods: PodSource
    """The pods bound to this node as the API server has them: a `kube.store.Store` is one."""
    metrics: Metrics
    ready: Mapping[str, Check] = field(default_factory=dict)
    """Checks of /readyz by name, for example "provider"; see `health.Check`."""
    live: Mapping[str, Check] = field(default_factory=dict)
    """Checks of /healthz and /livez by name: what only a restart would cure."""
    backend: Callable[[], Sequence[Pod]] | None = None
    """What the provider has, for /runningpods, where that is known without asking it each time."""
    clock: Clock = SYSTEM


def build(node: Node, guard: Guard | None) -> Router:
    """Return the handler of the HTTPS server; every path goes by `guard` (None: in tests)."""
    router = Router(guard)
    _add_health(router, node)
    pods.add_routes(router, node.pods, node.backend or node.provider.get_pods)
    logs.add_routes(router, node.pods, node.provider, node.clock)
    streaming = Streaming(
        idle_timeout=node.settings.stream_idle_timeout,
        creation_timeout=node.settings.stream_creation_timeout,
    )
    exec_.add_routes(router, node.pods, node.provider, streaming)
    attach.add_routes(router, node.pods, node.provider, streaming)
    portforward.add_routes(router, node.pods, node.provider, streaming)
    stats.add_routes(router, node.provider, node.settings.node_name)
    metrics.add_routes(router, node.metrics)
    debug.add_routes(router, node.settings)
    return router


def build_plain(node: Node) -> Router:
    """Return the handler of the plain listener (--metrics-addr): only what tells nothing about pods."""
    router = Router()
    _add_health(router, node)
    metrics.add_routes(router, node.metrics)
    return router


def _add_health(router: Router, node: Node) -> None:
    health.add_routes(router, "/healthz", node.live, subresources=("healthz", "proxy"))
    health.add_routes(router, "/livez", node.live, subresources=("healthz", "proxy"))
    health.add_routes(router, "/readyz", node.ready, subresources=("healthz", "proxy"))
