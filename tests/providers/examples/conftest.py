"""A node of each kind behind the embedded control plane, used with the real kubectl alone."""

from __future__ import annotations

import pytest
from support.example_site import podman_site, process_site
from support.podman import running_podman

from virtual_kubelet.kube import references


@pytest.fixture(autouse=True)
def short_minute(monkeypatch):
    """Read ConfigMaps and Secrets again after a second or two, and not after the kubelet's minute."""
    monkeypatch.setattr(references, "PERIOD", 1.5)


@pytest.fixture(scope="session")
def engine():
    with running_podman() as service:
        yield service


@pytest.fixture
def process(tmp_path):
    with process_site(tmp_path) as site:
        yield site


@pytest.fixture
def podman(engine, tmp_path):
    with podman_site(engine, tmp_path) as site:
        yield site


@pytest.fixture(params=["process", "podman"])
def site(request):
    return request.getfixturevalue(request.param)
