"""The example that we ship works, and names every setting that there is."""

from __future__ import annotations

from pathlib import Path

import virtual_kubelet.providers.azure as package
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure import config
from virtual_kubelet.providers.azure.settings import SETTINGS

EXAMPLE = Path(package.__file__).with_name("example.toml")
ENVIRONMENT = {"AZURE_CLIENT_ID": "id", "AZURE_CLIENT_SECRET": "secret", "AZURE_TENANT_ID": "tenant"}


def test_it_loads():
    loaded = config.load(ProviderConfig(node_name="vk", config_path=str(EXAMPLE), environ=ENVIRONMENT))
    assert (loaded.resource_group, loaded.region, loaded.cpu) == ("virtual-kubelet", "westeurope", "100")
    assert loaded.subnet.id.endswith("/virtualNetworks/cluster-network/subnets/aci")
    assert loaded.tags == {"team": "platform"}


def test_the_manual_names_every_setting():
    manual = (Path(__file__).parents[3] / "docs" / "providers" / "azure.md").read_text()
    for setting in SETTINGS:
        for word in (setting.key, *setting.environment):
            assert word in manual, word
