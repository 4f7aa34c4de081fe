"""Configurations for tests of pure parts."""

from __future__ import annotations

from virtual_kubelet.providers.azure.config import AzureConfig, Subnet
from virtual_kubelet.providers.azure.credentials import Credential, Kind

CREDENTIAL = Credential(
    Kind.SERVICE_PRINCIPAL, "https://login.example", "https://arm.example", "t", "c", "s3cret"
)
SUBNET = Subnet("/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n")


def azure_config(**changes):
    return AzureConfig(
        **{
            "node_name": "vk",
            "subscription_id": "sub",
            "resource_group": "group",
            "region": "westeurope",
            "credential": CREDENTIAL,
            **changes,
        }
    )
