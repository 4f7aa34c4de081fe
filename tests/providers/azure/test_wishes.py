from __future__ import annotations

import pytest
from support.pods import make_pod

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.providers.azure.wishes import Wishes, read

NEW = "microsoft.containerinstance.virtualnode."
OLD = "virtual-kubelet.io/"
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"


def wishes(**annotations):
    return read(make_pod(metadata={"annotations": annotations}))


def test_none():
    assert read(make_pod()) == Wishes()


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        (f"{OLD}container-sku", "confidential", "sku", "Confidential"),
        (f"{NEW}ccepolicy", "cGFj", "policy", "cGFj"),
        (f"{NEW}ccepolicy", "cGFj", "sku", "Confidential"),
        (f"{OLD}confidential-compute-cce-policy", "cGFj", "policy", "cGFj"),
        (f"{NEW}subnets.primary", IDENTITY, "subnet", IDENTITY),
        (f"{NEW}identity", f"{IDENTITY}; SystemAssigned", "identities", (IDENTITY, "SystemAssigned")),
        (f"{NEW}zones", "1", "zones", ("1",)),
        (f"{NEW}customtags", "team=x; cost=1=2", "tags", {"team": "x", "cost": "1=2"}),
        (f"{NEW}customtags", '{"team": "x"}', "tags", {"team": "x"}),
        (f"{NEW}injectdns", "false", "cluster_dns", False),
        (f"{NEW}injectkubeproxy", "FALSE", "kube_proxy", False),
        (f"{NEW}cmk.vaultbaseurl", "https://v", "encryption", {"vaultBaseUrl": "https://v"}),
        (f"{OLD}gpu-type", "V100", "gpu_type", "V100"),
        ("virtualkubelet.io/dnsnamelabel", "shop", "dns_name_label", "shop"),
        (f"{OLD}priority", "spot", "priority", "Spot"),
    ],
)
def test_wishes(name, value, field, expected):
    assert getattr(wishes(**{name: value}), field) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (f"{OLD}container-sku", "golden"),
        (f"{OLD}priority", "low"),
        (f"{NEW}injectdns", "no"),
        (f"{NEW}subnets.primary", "my-subnet"),
        (f"{NEW}identity", "my-identity"),
        (f"{NEW}customtags", "team"),
        (f"{NEW}customtags", "{team}"),
    ],
)
def test_a_wrong_value_is_named(name, value):
    with pytest.raises(InvalidInput) as caught:
        wishes(**{name: value})
    assert f"metadata.annotations[{name}]" in str(caught.value)
