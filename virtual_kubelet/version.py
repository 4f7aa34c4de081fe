"""The version of this package, the one place that states it."""

from __future__ import annotations

__version__ = "0.1.0"

# The Kubernetes release whose kubelet this agent behaves as; part of the node's kubeletVersion.
KUBERNETES_VERSION = "1.36.0"
