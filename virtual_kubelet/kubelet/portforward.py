"""/portForward: what `kubectl port-forward` does."""

from __future__ import annotations

from virtual_kubelet.errors import NotSupported, RequestError
from virtual_kubelet.kubelet import upgrades
from virtual_kubelet.kubelet.forward_channels import ForwardChannels
from virtual_kubelet.kubelet.forward_session import ForwardSession
from virtual_kubelet.kubelet.forwards import Target
from virtual_kubelet.kubelet.source import PodSource, addressed_pod
from virtual_kubelet.kubelet.upgrades import Streaming
from virtual_kubelet.objects import Pod
from virtual_kubelet.provider import ForwardStream, PortForwarding, Provider
from virtual_kubelet.web.messages import Request, Upgrade
from virtual_kubelet.web.routing import Router
from virtual_kubelet.web.transport import Transport
from virtual_kubelet.web.websocket_tunnel import WebSocketTunnel
from virtual_kubelet.wire.channels import CHANNEL_PROTOCOLS
from virtual_kubelet.wire.portforward import (
    SPDY_PROTOCOL,
    TUNNEL_PROTOCOL,
    WEBSOCKET_PROTOCOLS,
    parse_ports,
)
from virtual_kubelet.wire.protocol_errors import RemoteProtocolError
from virtual_kubelet.wire.remotecommand import negotiate

__all__ = ["add_routes"]

PATTERNS = ("/portForward/{namespace}/{pod}", "/portForward/{namespace}/{pod}/{uid}")


def add_routes(router: Router, pods: PodSource, provider: Provider, streaming: Streaming) -> None:
    """Serve port-forward where the provider can reach ports, else 501."""
    forwarding = provider if isinstance(provider, PortForwarding) else None

    def handler(request: Request) -> Upgrade:
        wants_websocket = upgrades.wants_websocket(request)
        pod = addressed_pod(pods, request)
        if forwarding is None:
            raise NotSupported("the provider of this node cannot forward ports")
        target = _target(forwarding, pod)
        if wants_websocket:
            return _websocket(request, target, streaming)
        return upgrades.spdy(
            request, (SPDY_PROTOCOL,), lambda transport, _: ForwardSession(transport, target, streaming).run()
        )

    for pattern in PATTERNS:
        router.add(("GET", "POST"), pattern, handler, verb="create")


def _target(forwarding: PortForwarding, pod: Pod) -> Target:
    metadata = pod.get("metadata", {})
    namespace, name, uid = metadata.get("namespace", ""), metadata.get("name", ""), metadata.get("uid", "")

    def connect(port: int, stream: ForwardStream) -> None:
        forwarding.port_forward(namespace, name, uid, port, stream)

    return Target(f"{namespace}/{name}", uid, connect)


def _websocket(request: Request, target: Target, streaming: Streaming) -> Upgrade:
    # "" is served as v4.channel.k8s.io, like clients from before subprotocols expect.
    supported = (TUNNEL_PROTOCOL, *WEBSOCKET_PROTOCOLS, "")
    offered = request.headers.tokens("Sec-WebSocket-Protocol") or [""]
    protocol = negotiate(offered, supported)
    ports: list[int] = []
    if protocol in CHANNEL_PROTOCOLS:
        try:
            ports = parse_ports(request.query.get("port", []), base64=CHANNEL_PROTOCOLS[protocol].base64)
        except RemoteProtocolError as error:
            raise RequestError(400, str(error)) from error

    def run(transport: Transport, protocol: str) -> None:
        if protocol == TUNNEL_PROTOCOL:
            tunnel = WebSocketTunnel(transport)
            session = ForwardSession(tunnel, target, streaming)
            tunnel.on_frame = session.touch
            session.run()
        else:
            ForwardChannels(transport, protocol, ports, target, streaming).run()

    return upgrades.websocket(request, supported, run)
