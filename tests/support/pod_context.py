"""A `PodContext` without an API server."""

from __future__ import annotations

from virtual_kubelet.testing.context import LocalContext as FakeContext

__all__ = ["FakeContext"]
