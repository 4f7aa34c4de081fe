from __future__ import annotations

import pytest

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure import config

SERVICE_PRINCIPAL = {
    "AZURE_CLIENT_ID": "id",
    "AZURE_CLIENT_SECRET": "secret",
    "AZURE_TENANT_ID": "tenant",
    "AZURE_SUBSCRIPTION_ID": "sub",
}
PLACE = {"ACI_RESOURCE_GROUP": "group", "ACI_REGION": "westeurope"}


def load(tmp_path, toml="", operating_system="Linux", **environ):
    path = tmp_path / "azure.toml"
    path.write_text(toml)
    return config.load(
        ProviderConfig(
            node_name="vk",
            operating_system=operating_system,
            config_path=str(path) if toml else "",
            environ={**SERVICE_PRINCIPAL, **PLACE, **environ},
        )
    )


def test_keys_have_no_case_and_values_may_be_numbers(tmp_path):
    loaded = load(
        tmp_path,
        'resourcegroup = "from-file"\nCPU = 100\nmemory = "2Ti"\nPODS = "50"\noperating_system = "windows"\n',
        ACI_RESOURCE_GROUP="",
    )
    assert (loaded.resource_group, loaded.cpu, loaded.memory, loaded.pods) == (
        "from-file",
        "100",
        "2Ti",
        "50",
    )
    assert loaded.operating_system == "Windows"


def test_the_environment_beats_the_file(tmp_path):
    loaded = load(tmp_path, 'ResourceGroup = "file"\nRegion = "file"\nCPU = "1"', ACI_QUOTA_CPU="9")
    assert (loaded.resource_group, loaded.region, loaded.cpu) == ("group", "westeurope", "9")


def test_nothing_but_what_is_needed(tmp_path):
    loaded = load(tmp_path)
    assert (loaded.cpu, loaded.subnet, loaded.public_ip, loaded.api_version) == ("", None, True, "2023-05-01")
    assert loaded.reads_per_minute == 180


@pytest.mark.parametrize("written", ["West Europe", "WestEurope", "westeurope"])
def test_regions_as_the_portal_writes_them(tmp_path, written):
    assert load(tmp_path, ACI_REGION=written).region == "westeurope"


def test_a_subnet_by_its_name(tmp_path):
    loaded = load(
        tmp_path,
        ACI_SUBNET_NAME="aci",
        ACI_VNET_NAME="net",
        ACI_VNET_RESOURCE_GROUP="net-group",
        ACI_SUBNET_CIDR="10.241.0.0/16",
    )
    assert loaded.subnet.id == (
        "/subscriptions/sub/resourceGroups/net-group/providers/Microsoft.Network/virtualNetworks/net/subnets/aci"
    )
    assert loaded.subnet.cidr == "10.241.0.0/16"


def test_a_subnet_by_its_id(tmp_path):
    subnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
    assert load(tmp_path, f'SubnetName = "{subnet}"').subnet.id == subnet


def test_lists_and_tables(tmp_path):
    loaded = load(
        tmp_path,
        'Zones = ["1"]\nIdentities = "/a, /b"\n[Tags]\nteam = "x"\n[Others]\n"nvidia.com/gpu" = 4\n',
        KUBE_DNS_IP="10.0.0.10",
    )
    assert (loaded.zones, loaded.identities, loaded.tags) == (("1",), ("/a", "/b"), {"team": "x"})
    assert (loaded.others, loaded.dns_servers) == ({"nvidia.com/gpu": "4"}, ("10.0.0.10",))


def test_a_log_analytics_workspace_from_its_file(tmp_path):
    path = tmp_path / "workspace.json"
    path.write_text('{"workspaceID": "w", "workspaceKey": "k"}', encoding="utf-16")  # as PowerShell does
    workspace = load(tmp_path, LOG_ANALYTICS_AUTH_LOCATION=str(path), CLUSTER_RESOURCE_ID="/c").log_analytics
    assert (workspace.workspace_id, workspace.workspace_key, workspace.cluster_resource_id) == (
        "w",
        "k",
        "/c",
    )
    assert "'k'" not in repr(workspace)


def test_a_kube_proxy(tmp_path):
    path = tmp_path / "kubeconfig"
    path.write_text("clusters: []")
    subnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
    loaded = load(
        tmp_path, f'SubnetName = "{subnet}"\nKubeProxyKubeconfig = "{path}"', CLUSTER_CIDR="10.240.0.0/16"
    )
    assert loaded.kube_proxy.kubeconfig == "Y2x1c3RlcnM6IFtd"
    assert loaded.kube_proxy.cluster_cidr == "10.240.0.0/16"


@pytest.mark.parametrize(
    ("toml", "environ", "words"),
    [
        ("", {"ACI_RESOURCE_GROUP": ""}, "ACI_RESOURCE_GROUP"),
        ("", {"ACI_REGION": ""}, "ACI_REGION"),
        ("", {"ACI_REGION": "west/europe"}, "environment variable ACI_REGION"),
        ('OperatingSystem = "BeOS"', {}, "Linux, Windows"),
        ("Memory = 100Gi", {}, "is not TOML"),
        ('CPU = "lots"', {}, "CPU must be a resource quantity"),
        ('CPU = "-1"', {}, "must not be negative"),
        ("Pods = true", {}, "Pods must be a string"),
        ('ResourceGruop = "x"', {}, "did you mean ResourceGroup?"),
        ('ClientSecret = "x"', {}, "set AZURE_CLIENT_SECRET"),
        ('Priority = "Cheap"', {}, "Regular, Spot"),
        ("Tags = 3", {}, "Tags must be a table"),
        ('SubnetCIDR = "10.0.0.0/16"', {}, "set SubnetName"),
        ('SubnetCIDR = "ten"', {}, "a network such as"),
        ('SubnetName = "n"', {}, "ACI_VNET_NAME"),
        ('SubnetName = "n"\nVnetName = "v"', {}, "ACI_VNET_RESOURCE_GROUP"),
        ("", {"KUBE_DNS_IP": "dns.example"}, "KUBE_DNS_IP must be IP addresses"),
        ("", {"LOG_ANALYTICS_ID": "w"}, "LOG_ANALYTICS_KEY"),
        ("", {"LOG_ANALYTICS_KEY": "w"}, "LOG_ANALYTICS_ID"),
        (
            "",
            {"LOG_ANALYTICS_AUTH_LOCATION": "/nowhere"},
            "LOG_ANALYTICS_AUTH_LOCATION /nowhere: No such file",
        ),
        ('KubeProxyKubeconfig = "/k"', {}, "needs a subnet"),
        ("ReadsPerMinute = 0", {}, "at least 1"),
        ('RealTimeMetrics = "perhaps"', {}, "true or false"),
        ('Cloud = "Mars"', {}, "AzurePublicCloud"),
        ('ResourceManagerEndpoint = "http://example.com"', {}, "must be https"),
        ('ResourceManagerEndpoint = "example.com"', {}, "not an http or https address"),
    ],
)
def test_what_is_wrong_is_named_in_one_line(tmp_path, toml, environ, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, toml, **environ)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_flag_and_the_file_must_agree_on_the_system(tmp_path):
    with pytest.raises(ConfigError, match="--os is Windows"):
        load(tmp_path, 'OperatingSystem = "Linux"', operating_system="Windows")
    assert load(tmp_path, operating_system="Windows").operating_system == "Windows"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="/nowhere.toml: No such file"):
        config.load(ProviderConfig(node_name="vk", config_path="/nowhere.toml", environ={}))
