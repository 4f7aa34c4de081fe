"""For authors of providers: a cluster in a context manager, and the conformance suite."""

from __future__ import annotations

from virtual_kubelet.testing.cluster import DevCluster

__all__ = ["DevCluster"]
