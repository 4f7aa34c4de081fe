"""/configz and /debug/threads: for those who look after the node."""

from __future__ import annotations

import dataclasses
import sys
import threading
import traceback

from virtual_kubelet.kubelet.answers import json
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.runtime.logs import redact
from virtual_kubelet.settings import Settings
from virtual_kubelet.version import __version__
from virtual_kubelet.web.messages import Request, Response, text
from virtual_kubelet.web.routing import Router

__all__ = ["add_routes", "configuration", "threads"]


def add_routes(router: Router, settings: Settings) -> None:
    """Serve both."""

    def configz(_: Request) -> Response:
        return json(configuration(settings))

    def dump(_: Request) -> Response:
        return text(200, threads())

    router.add("GET", "/configz", configz, subresources=("configz", "proxy"))
    router.add("GET", "/debug/threads", dump)


def configuration(settings: Settings) -> JsonObject:
    """Return what applies of the kubelet's own configuration, and all of ours.

    Settings hold names of files and not their content; what looks like a secret all the same is left out.
    """
    return {
        "kubeletconfig": {
            "kind": "KubeletConfiguration",
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "address": settings.address or "0.0.0.0",
            "port": settings.port,
            "tlsCertFile": settings.tls_cert_file,
            "tlsPrivateKeyFile": settings.tls_private_key_file,
            "tlsMinVersion": "VersionTLS12",
            "serverTLSBootstrap": settings.rotate_server_certificates,
            "authentication": {
                "x509": {"clientCAFile": settings.client_ca_file},
                "webhook": {"enabled": True, "cacheTTL": "2m0s"},
                "anonymous": {"enabled": settings.anonymous_auth},
            },
            "authorization": {
                "mode": settings.authorization_mode,
                "webhook": {"cacheAuthorizedTTL": "5m0s", "cacheUnauthorizedTTL": "30s"},
            },
            "clusterDomain": settings.cluster_domain,
            "clusterDNS": list(settings.cluster_dns),
            "streamingConnectionIdleTimeout": f"{settings.stream_idle_timeout:g}s",
            "kubeAPIQPS": settings.kube_api_qps,
            "kubeAPIBurst": settings.kube_api_burst,
        },
        "virtualkubelet": {"version": __version__, **redact(dataclasses.asdict(settings))},
    }


def threads() -> str:
    """Return what each thread of the process is doing: names and lines, no values."""
    frames = sys._current_frames()  # noqa: SLF001 - the documented way to see other threads' stacks
    blocks = []
    for thread in sorted(threading.enumerate(), key=lambda thread: thread.name):
        kind = " daemon" if thread.daemon else ""
        stack = frames.get(thread.ident or 0)
        lines = "".join(traceback.format_stack(stack)) if stack is not None else "  (starting or ending)\n"
        blocks.append(f"{thread.name} ({thread.ident}{kind})\n{lines}")
    return f"{len(blocks)} threads\n\n" + "\n".join(blocks)
