"""The mock provider runs what applies to pods that run nothing."""

from __future__ import annotations

import pytest

from virtual_kubelet.providers.mock.provider import create
from virtual_kubelet.testing.conformance import *  # noqa: F403
from virtual_kubelet.testing.conformance import ConformanceProfile

pytest_plugins = ["virtual_kubelet.testing.plugin"]


@pytest.fixture
def provider_profile():
    container = {"image": "nginx"}
    return ConformanceProfile(
        create,
        container,
        shell=None,
        writes=container,
        exits=lambda code: ["exit", str(code)],
        echoes=["cat"],
        attaches={**container, "stdin": True},
        serves=lambda port: container,
    )
