"""The vendor's SDK keeps us honest: its client runs against our fake, its models take every body that we send.

azure-mgmt-containerinstance 10 speaks the ACI REST API 2023-05-01, as the provider does.
"""

from __future__ import annotations

import pytest
from support.azure.arm import CLIENT, REGION, RESOURCE_GROUP, SECRET, SUBSCRIPTION, TENANT
from support.azure.configs import SUBNET, azure_config
from support.pods import make_pod

from virtual_kubelet.provider import File
from virtual_kubelet.providers.azure.config import KubeProxy, LogAnalytics
from virtual_kubelet.providers.azure.ownership import Owner
from virtual_kubelet.providers.azure.translate import Materials, container_group

sdk = pytest.importorskip("azure.mgmt.containerinstance")
from azure.core.credentials import AccessToken  # noqa: E402 - after the skip
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError  # noqa: E402
from azure.mgmt.containerinstance.models import ContainerGroup  # noqa: E402

PLAIN = {"enforce_https": False}  # per call: the policy forbids tokens over http otherwise
NEW = "microsoft.containerinstance.virtualnode."
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"

EVERYTHING = make_pod(
    metadata={
        "annotations": {
            f"{NEW}ccepolicy": "cGFj",
            f"{NEW}identity": IDENTITY,
            f"{NEW}zones": "1",
            f"{NEW}customtags": "team=x",
            f"{NEW}cmk.vaultbaseurl": "https://vault.example",
            f"{NEW}cmk.keyname": "k",
            f"{NEW}cmk.keyversion": "1",
            f"{NEW}cmk.identity": IDENTITY,
            "virtual-kubelet.io/gpu-type": "V100",
            "virtual-kubelet.io/priority": "Spot",
        }
    },
    imagePullSecrets=[{"name": "pull"}],
    initContainers=[{"name": "init", "image": "i", "command": ["a"], "env": [{"name": "A", "value": "b"}]}],
    volumes=[
        {"name": "share", "azureFile": {"shareName": "s", "secretName": "x"}},
        {"name": "config", "configMap": {"name": "c"}},
        {"name": "empty", "emptyDir": {}},
        {"name": "repo", "gitRepo": {"repository": "https://example/r", "directory": ".", "revision": "1"}},
    ],
    containers=[
        {
            "name": "main",
            "image": "i",
            "command": ["sh"],
            "args": ["-c", "x"],
            "env": [{"name": "PLAIN", "value": "a"}, {"name": "SECRET", "value": "b"}],
            "ports": [{"name": "web", "containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}],
            "resources": {
                "requests": {"cpu": "500m", "memory": "1Gi"},
                "limits": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "1"},
            },
            "livenessProbe": {"exec": {"command": ["a"]}, "initialDelaySeconds": 1, "periodSeconds": 2},
            "readinessProbe": {
                "httpGet": {"port": "web", "path": "/", "httpHeaders": [{"name": "A", "value": "b"}]},
                "failureThreshold": 3,
                "successThreshold": 1,
                "timeoutSeconds": 1,
            },
            "securityContext": {"runAsUser": 1, "capabilities": {"drop": ["ALL"]}, "privileged": False},
            "volumeMounts": [
                {"name": "share", "mountPath": "/s"},
                {"name": "config", "mountPath": "/c", "readOnly": True},
                {"name": "empty", "mountPath": "/e"},
                {"name": "repo", "mountPath": "/r"},
            ],
        }
    ],
)
MATERIALS = Materials(
    files={
        "share": {
            "azurestorageaccountname": File(b"a", 0o600),
            "azurestorageaccountkey": File(b"k", 0o600),
        },
        "config": {"f": File(b"x", 0o644)},
    },
    secret_names={"main": frozenset({"SECRET"})},
    pull_secrets=[{"auths": {"acr.example": {"username": "u", "password": "p"}}}],
)
CONFIGS = {
    "public": azure_config(),
    "private": azure_config(
        subnet=SUBNET,
        dns_servers=("10.0.0.10",),
        kube_proxy=KubeProxy("Y29uZmln", "10.240.0.0/16"),
        realtime_metrics=True,
        log_analytics=LogAnalytics("w", "k", "/c"),
        registry_identity=IDENTITY,
        registry_servers=("b.example",),
    ),
}


def roundtrip(body):
    """Read `body` as the SDK does and write it again; what its model does not know is lost on the way."""
    model = ContainerGroup.deserialize(body)
    return model.serialize(keep_readonly=True)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@pytest.mark.parametrize("pod", [make_pod(), EVERYTHING], ids=["smallest", "everything"])
def test_the_sdks_models_take_every_body(pod, config):
    body = container_group(pod, config, Owner("vk", "c"), MATERIALS)
    assert roundtrip(body) == body


class Credential:
    def __init__(self, arm):
        self.arm = arm

    def get_token(self, *scopes, **_):
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": SECRET,
            "resource": f"{self.arm.url}/",
        }
        _, _, answer = self.arm.token(f"/{TENANT}/oauth2/token", form)
        return AccessToken(answer["access_token"], 2**31)


@pytest.fixture
def client(arm):
    with sdk.ContainerInstanceManagementClient(
        Credential(arm), SUBSCRIPTION, base_url=arm.url, polling_interval=0, retry_total=0
    ) as made:
        yield made


@pytest.fixture
def group(arm, provider):
    """A group that our provider made."""
    provider.create_pod(
        make_pod(restartPolicy="Never", containers=[{"name": "main", "image": "i", "command": ["a"]}])
    )
    arm.time.advance(10)
    return arm.of_pod("web")


def test_what_our_provider_made_as_the_sdk_sees_it(arm, client, group):
    group.write("main", "hello")
    group.event("Pulled", "image")
    group.restart("main", exit_code=2)
    seen = client.container_groups.get(RESOURCE_GROUP, group.name, **PLAIN)
    assert (seen.provisioning_state, seen.instance_view.state) == ("Succeeded", "Running")
    assert seen.tags["PodName"] == "web"
    view = seen.containers[0].instance_view
    assert (view.restart_count, view.previous_state.exit_code) == (1, 2)
    assert view.current_state.start_time is not None
    assert seen.instance_view.events[0].name == "Pulled"
    listed = list(client.container_groups.list_by_resource_group(RESOURCE_GROUP, **PLAIN))
    assert [item.name for item in listed] == [group.name]
    assert listed[0].instance_view is None
    logs = client.containers.list_logs(RESOURCE_GROUP, group.name, "main", tail=1, **PLAIN)
    assert logs.content == "hello\n"
    stamped = client.containers.list_logs(RESOURCE_GROUP, group.name, "main", timestamps=True, **PLAIN)
    assert stamped.content.endswith("Z hello\n")


def test_every_answer_about_groups_survives_the_sdks_models(arm, client, group):
    group.terminate("main", exit_code=1)
    for answer in (group.read(), group.listed()):
        assert roundtrip(answer) == answer


def test_pages_sessions_and_usages(arm, client, provider):
    arm.page_size = 2
    for number in range(5):
        provider.create_pod(make_pod(f"web-{number}"))
    assert len(list(client.container_groups.list_by_resource_group(RESOURCE_GROUP, **PLAIN))) == 5
    arm.time.advance(10)
    name = arm.of_pod("web-0").name
    request = {"command": "sh", "terminalSize": {"rows": 1, "cols": 2}}
    session = client.containers.execute_command(RESOURCE_GROUP, name, "main", request, **PLAIN)
    assert session.web_socket_uri.startswith("ws://")
    assert session.password
    assert client.containers.attach(RESOURCE_GROUP, name, "main", **PLAIN).password
    usages = list(client.location.list_usage(REGION, **PLAIN))
    assert (usages[0].name.value, usages[0].limit) == ("ContainerGroups", 100)
    client.container_groups.stop(RESOURCE_GROUP, name, **PLAIN)


def test_create_and_delete_by_the_sdk(arm, client):
    arm.groups.start_seconds = 0
    arm.groups.delete_seconds = 0
    body = container_group(make_pod(), azure_config(), Owner("vk", "c"), Materials())
    made = client.container_groups.begin_create_or_update(RESOURCE_GROUP, "by-sdk", body, **PLAIN).result()
    assert made.provisioning_state == "Succeeded"
    client.container_groups.begin_delete(RESOURCE_GROUP, "by-sdk", **PLAIN).result()
    with pytest.raises(ResourceNotFoundError) as caught:
        client.container_groups.get(RESOURCE_GROUP, "by-sdk", **PLAIN)
    assert caught.value.error.code == "ResourceNotFound"


def test_failures_as_the_sdk_understands_them(arm, client):
    arm.groups.start_seconds = 0
    arm.groups.quota = 0
    body = container_group(make_pod(), azure_config(), Owner("vk", "c"), Materials())
    with pytest.raises(HttpResponseError) as caught:
        client.container_groups.begin_create_or_update(RESOURCE_GROUP, "by-sdk", body, **PLAIN)
    assert (caught.value.status_code, caught.value.error.code) == (409, "ContainerGroupQuotaReached")
    arm.groups.quota = None
    arm.faults.add("provisioning-fails", code="ServiceUnavailable", message="no room")
    with pytest.raises(HttpResponseError, match="no room"):
        client.container_groups.begin_create_or_update(RESOURCE_GROUP, "by-sdk", body, **PLAIN).result()
