"""The conformance suite for providers: test classes for pytest.

A test module of yours takes the classes in, names the plug-in that reports, and says what the provider is:

    import pytest
    from virtual_kubelet.testing.conformance import *

    pytest_plugins = ["virtual_kubelet.testing.plugin"]

    @pytest.fixture
    def provider_profile():
        return ConformanceProfile(create=acme_provider.create, container={"image": "busybox"})

Each test's docstring is the promise that it holds the provider to. What a provider cannot do is skipped and says why;
what it claims to do may not fail. docs/authors.md has more.
"""

from __future__ import annotations

try:
    import pytest
except ImportError as error:
    raise ImportError("the conformance suite needs pytest: pip install 'virtual-kubelet[testing]'") from error

PARTS = ("base", "cluster", "deletion", "life_cycle", "logs", "node", "numbers", "restarts", "sessions")
pytest.register_assert_rewrite(*(f"{__name__}.{part}" for part in PARTS))

from virtual_kubelet.testing.conformance.base import Conformance  # noqa: E402 - after the line above
from virtual_kubelet.testing.conformance.cluster import TestCluster  # noqa: E402
from virtual_kubelet.testing.conformance.deletion import TestDeletion, TestIdentity  # noqa: E402
from virtual_kubelet.testing.conformance.life_cycle import TestEndings, TestLifeCycle, TestNode  # noqa: E402
from virtual_kubelet.testing.conformance.logs import TestLogs  # noqa: E402
from virtual_kubelet.testing.conformance.node import ConformanceNode  # noqa: E402
from virtual_kubelet.testing.conformance.numbers import TestNumbers  # noqa: E402
from virtual_kubelet.testing.conformance.profile import ConformanceProfile  # noqa: E402
from virtual_kubelet.testing.conformance.restarts import TestRestarts  # noqa: E402
from virtual_kubelet.testing.conformance.sessions import TestAttach, TestExec, TestPortForward  # noqa: E402

__all__ = [
    "Conformance",
    "ConformanceNode",
    "ConformanceProfile",
    "TestAttach",
    "TestCluster",
    "TestDeletion",
    "TestEndings",
    "TestExec",
    "TestIdentity",
    "TestLifeCycle",
    "TestLogs",
    "TestNode",
    "TestNumbers",
    "TestPortForward",
    "TestRestarts",
]
