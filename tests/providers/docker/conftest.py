"""One Podman service for the live tests of a module."""

from __future__ import annotations

import pytest
from support.podman import IMAGE, running_podman


@pytest.fixture(scope="module")
def podman():
    with running_podman() as service:
        yield service


@pytest.fixture
def config_path(podman, tmp_path):
    path = tmp_path / "docker.toml"
    path.write_text(
        f'host = "unix://{podman.socket}"\ninfra-image = "{IMAGE}"\ninfra-command = ["sleep", "1000000"]\n'
    )
    return str(path)
