"""A fake Azure Resource Manager, and providers that talk to it."""

from __future__ import annotations

import pytest
from support.azure.arm import FakeArm
from support.azure.context import FakeContext

from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure.config import load
from virtual_kubelet.providers.azure.provider import AzureProvider
from virtual_kubelet.runtime.clock import SYSTEM


@pytest.fixture
def arm():
    with FakeArm() as fake:
        yield fake


@pytest.fixture
def context():
    return FakeContext()


@pytest.fixture
def make_provider(arm, context, tmp_path):
    """Make providers of one node; each is closed at the end."""
    made = []

    def make(*, settings="", bind=True, node="vk", clock=SYSTEM, **environ):
        config = ""
        if settings:
            path = tmp_path / f"azure-{len(made)}.toml"
            path.write_text(settings)
            config = str(path)
        environment = {**arm.environ(tmp_path / "auth.json"), **environ}
        given = ProviderConfig(node_name=node, config_path=config, environ=environment)
        provider = AzureProvider(load(given), clock=clock)
        if bind:
            provider.bind(context)
        made.append(provider)
        return provider

    yield make
    for provider in made:
        provider.close(5)


@pytest.fixture
def provider(make_provider):
    return make_provider()
