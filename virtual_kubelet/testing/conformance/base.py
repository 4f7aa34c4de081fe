"""What every part of the suite stands on: the fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from virtual_kubelet.testing.conformance.node import ConformanceNode
from virtual_kubelet.testing.conformance.profile import ConformanceProfile
from virtual_kubelet.testing.leaks import Census

__all__ = ["Conformance"]


class Conformance:
    """The root of the suite's classes, and of yours: a test in it may ask for a `node`."""

    @pytest.fixture
    def node(self, provider_profile: ConformanceProfile, tmp_path: Path) -> Iterator[ConformanceNode]:
        """A provider of the test's own. At its end nothing may be left: no pod, thread, listening socket or child."""
        census = Census.take()
        node = ConformanceNode(provider_profile, tmp_path / "state")
        try:
            yield node
        finally:
            try:
                node.purge()
            finally:
                node.close()
        census.assert_nothing_new()
