"""Run the embedded control plane alone, until standard input ends: `control_plane.py KUBECONFIG`."""

from __future__ import annotations

import sys

from virtual_kubelet.devapi.server import ControlPlane
from virtual_kubelet.runtime.threads import Deadline


def main() -> None:
    """Start it, write the kubeconfig, say so, wait."""
    server = ControlPlane()
    server.start()
    server.write_kubeconfig(sys.argv[1])
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(Deadline(5))


main()
