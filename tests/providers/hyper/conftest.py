"""Podman behind a proxy that verifies signatures, for the live tests of a module."""

from __future__ import annotations

import pytest
from support.podman import running_podman
from support.signed_proxy import SignedProxy

EVENTS = "/events"  # the service has none at this path: the agent must do without


@pytest.fixture(scope="module")
def podman():
    with running_podman() as service:
        yield service


@pytest.fixture(scope="module")
def proxy(podman):
    with SignedProxy(str(podman.socket), hidden=(EVENTS, "/_ping")) as found:
        yield found


@pytest.fixture
def config_path(proxy, tmp_path):
    path = tmp_path / "hyper.toml"
    path.write_text(
        f'Host = "tcp://127.0.0.1:{proxy.port}"\nAccessKey = "AKID"\nSecretKey = "SECRET"\n'
        'Region = "us-west-1"\nVolumeDriver = ""\n'
    )
    return str(path)
