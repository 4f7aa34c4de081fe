from __future__ import annotations

import codecs
import json

import pytest

from virtual_kubelet.errors import ConfigError
from virtual_kubelet.providers.azure.credentials import Kind, gather

AUTH = {
    "clientId": "c",
    "clientSecret": "s3cret",
    "subscriptionId": "sub",
    "tenantId": "t",
    "activeDirectoryEndpointUrl": "https://login.example",
    "resourceManagerEndpointUrl": "https://arm.example/",
    "galleryEndpointUrl": "https://gallery.example",
}
AKS = {
    "cloud": "AzureUSGovernmentCloud",
    "tenantId": "t2",
    "subscriptionId": "sub2",
    "aadClientId": "msi",
    "aadClientSecret": "msi",
    "userAssignedIdentityID": "identity",
    "resourceGroup": "node-group",
    "location": "usgovvirginia",
    "vnetName": "v",
}
ENVIRONMENT = {"client_id": "e", "client_secret": "es", "tenant_id": "et", "subscription_id": "es"}


def write(path, document, encoding="utf-8", mark=b""):
    path.write_bytes(mark + json.dumps(document).encode(encoding))
    return str(path)


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b""),
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
    ],
)
def test_the_auth_file_in_every_encoding_that_shells_write(tmp_path, encoding, mark):
    credential, place = gather({"auth_location": write(tmp_path / "a", AUTH, encoding, mark)})
    assert (credential.kind, credential.client_id, credential.client_secret) == (
        Kind.SERVICE_PRINCIPAL,
        "c",
        "s3cret",
    )
    assert (credential.active_directory, credential.resource_manager) == (
        "https://login.example",
        "https://arm.example",
    )
    assert place.subscription_id == "sub"
    assert "s3cret" not in repr(credential)


def test_azure_json_of_a_node_with_a_managed_identity(tmp_path):
    credential, place = gather({"aks_location": write(tmp_path / "a", AKS)})
    assert (credential.kind, credential.client_id) == (Kind.MANAGED_IDENTITY, "identity")
    assert credential.resource_manager == "https://management.usgovcloudapi.net"
    assert place.values["resource_group"] == "node-group"
    assert place.values["region"] == "usgovvirginia"


def test_the_environment_beats_azure_json_beats_the_auth_file(tmp_path):
    files = {
        "auth_location": write(tmp_path / "a", AUTH),
        "aks_location": write(tmp_path / "b", {**AKS, "aadClientId": "ac", "aadClientSecret": "as"}),
    }
    credential, place = gather(files)
    assert (credential.client_id, credential.tenant_id, place.subscription_id) == ("ac", "t2", "sub2")
    credential, place = gather({**files, **ENVIRONMENT})
    assert (credential.client_id, credential.tenant_id, place.subscription_id) == ("e", "et", "es")


@pytest.mark.parametrize(
    ("values", "kind", "client"),
    [
        (ENVIRONMENT, Kind.SERVICE_PRINCIPAL, "e"),
        (
            {"client_id": "e", "tenant_id": "t", "federated_token_file": "/f", "subscription_id": "s"},
            Kind.WORKLOAD_IDENTITY,
            "e",
        ),
        ({"identity_client_id": "i", "subscription_id": "s"}, Kind.MANAGED_IDENTITY, "i"),
        ({"managed_identity": True, "subscription_id": "s"}, Kind.MANAGED_IDENTITY, ""),
    ],
)
def test_kinds(values, kind, client):
    credential, _ = gather(values)
    assert (credential.kind, credential.client_id) == (kind, client)


@pytest.mark.parametrize(
    ("cloud", "host"),
    [
        ("AzurePublicCloud", "https://management.azure.com"),
        ("azurecloud", "https://management.azure.com"),
        ("AzureUSGovernment", "https://management.usgovcloudapi.net"),
        ("AzureChinaCloud", "https://management.chinacloudapi.cn"),
    ],
)
def test_clouds(cloud, host):
    credential, _ = gather({**ENVIRONMENT, "cloud": cloud})
    assert credential.resource_manager == host


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "AZURE_AUTH_LOCATION"),
        ({**ENVIRONMENT, "client_secret": ""}, "AZURE_CLIENT_SECRET"),
        ({**ENVIRONMENT, "tenant_id": ""}, "AZURE_TENANT_ID"),
        ({**ENVIRONMENT, "subscription_id": ""}, "AZURE_SUBSCRIPTION_ID"),
        ({"auth_location": "/nowhere"}, "AZURE_AUTH_LOCATION /nowhere: No such file"),
    ],
)
def test_what_is_missing_is_named(values, words):
    with pytest.raises(ConfigError) as caught:
        gather(values)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"{", b"[1]", b'{"clientId": 3}', b"\xff\xfe{\x00"])
def test_a_broken_file_is_named_and_not_quoted(tmp_path, content):
    path = tmp_path / "auth.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        gather({"auth_location": str(path)})
    assert str(path) in str(caught.value)
