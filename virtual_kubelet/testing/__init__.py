"""For authors of providers: a cluster in a context manager, doubles of what the agent hands over, the conformance suite.

Nothing here needs pytest but `virtual_kubelet.testing.conformance`, which is named by those who run it.
"""

from __future__ import annotations

from virtual_kubelet.testing.cluster import DevCluster

__all__ = ["DevCluster"]
