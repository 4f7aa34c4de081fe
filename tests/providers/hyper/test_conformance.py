"""The hyper provider passes what applies to it, with signed requests to real containers."""

from __future__ import annotations

import pytest
from support.podman import IMAGE, echo_server

from virtual_kubelet.providers.hyper.provider import create
from virtual_kubelet.testing.conformance import *  # noqa: F403
from virtual_kubelet.testing.conformance import ConformanceProfile

pytest_plugins = ["virtual_kubelet.testing.plugin"]
pytestmark = [pytest.mark.live, pytest.mark.slow]


@pytest.fixture
def provider_profile(podman, config_path):
    return ConformanceProfile(
        create,
        {"image": IMAGE},
        config_path=config_path,
        serves=echo_server,
        remains=podman.remains,
        timeout=60,
    )
