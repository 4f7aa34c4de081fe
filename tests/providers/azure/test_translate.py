from __future__ import annotations

import pytest
from support.azure.configs import SUBNET, azure_config
from support.pods import make_pod

from virtual_kubelet.errors import InvalidInput
from virtual_kubelet.provider import File
from virtual_kubelet.providers.azure.config import LogAnalytics
from virtual_kubelet.providers.azure.ownership import Owner
from virtual_kubelet.providers.azure.translate import Materials, container_group

OWNER = Owner("vk", "cluster-1")
CONFIG = azure_config()
NEW = "microsoft.containerinstance.virtualnode."
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"


def group(pod=None, config=CONFIG, **materials):
    return container_group(pod or make_pod(), config, OWNER, Materials(**materials))


def container(spec, **materials):
    pod = make_pod(containers=[{"name": "main", "image": "i", **spec}])
    return group(pod, **materials)["properties"]["containers"][0]["properties"]


def test_the_smallest_pod():
    pod = make_pod("web", "ns", uid="u")
    assert group(pod) == {
        "location": "westeurope",
        "tags": {
            "PodName": "web",
            "ClusterName": "cluster-1",
            "NodeName": "vk",
            "Namespace": "ns",
            "UID": "u",
            "CreationTimestamp": "2026-01-01T00:00:00Z",
        },
        "properties": {
            "osType": "Linux",
            "restartPolicy": "Always",
            "containers": [
                {
                    "name": "main",
                    "properties": {
                        "image": "busybox:1",
                        "resources": {"requests": {"cpu": 1.0, "memoryInGB": 1.5}},
                    },
                }
            ],
        },
    }


@pytest.mark.parametrize("policy", ["Always", "OnFailure", "Never"])
def test_restart_policies(policy):
    assert group(make_pod(restartPolicy=policy))["properties"]["restartPolicy"] == policy


def test_command_and_args_become_one_command_with_values_put_in():
    written = container(
        {
            "command": ["sh", "-c"],
            "args": ["echo $(NAME) $$(NAME) $(NOPE)"],
            "env": [{"name": "NAME", "value": "x"}],
        }
    )
    assert written["command"] == ["sh", "-c", "echo x $(NAME) $(NOPE)"]


def test_variables():
    env = [
        {"name": "PLAIN", "value": "a"},
        {"name": "SECRET", "value": "b"},
        {"name": "EMPTY", "value": ""},
        {"name": "MISSING"},
        {"name": "PLAIN", "value": "later"},
    ]
    assert container({"env": env}, secret_names={"main": frozenset({"SECRET"})})["environmentVariables"] == [
        {"name": "PLAIN", "value": "later"},
        {"name": "SECRET", "secureValue": "b"},
    ]


def test_ports_and_probes():
    written = container(
        {
            "ports": [{"name": "dns", "containerPort": 53, "protocol": "UDP"}, {"containerPort": 80}],
            "livenessProbe": {"exec": {"command": ["a"]}},
            "readinessProbe": {"httpGet": {"port": 80}},
        }
    )
    assert written["ports"] == [{"port": 53, "protocol": "UDP"}, {"port": 80, "protocol": "TCP"}]
    assert written["livenessProbe"] == {"exec": {"command": ["a"]}}
    assert written["readinessProbe"]["httpGet"]["port"] == 80


def test_init_containers_have_less():
    starter = {
        "name": "init",
        "image": "i",
        "command": ["a"],
        "env": [{"name": "X", "value": "y"}],
        "volumeMounts": [{"name": "v", "mountPath": "/m", "readOnly": True}],
    }
    pod = make_pod(initContainers=[starter], volumes=[{"name": "v", "emptyDir": {}}])
    properties = group(pod)["properties"]
    assert properties["initContainers"] == [
        {
            "name": "init",
            "properties": {
                "image": "i",
                "command": ["a"],
                "environmentVariables": [{"name": "X", "value": "y"}],
                "volumeMounts": [{"name": "v", "mountPath": "/m", "readOnly": True}],
            },
        }
    ]
    assert properties["volumes"] == [{"name": "v", "emptyDir": {}}]


def test_volumes_and_mounts():
    pod = make_pod(
        volumes=[{"name": "v", "configMap": {"name": "c"}}],
        containers=[{"name": "main", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/m"}]}],
    )
    properties = group(pod, files={"v": {"a": File(b"x", 0o644)}})["properties"]
    assert properties["volumes"] == [{"name": "v", "secret": {"a": "eA=="}}]
    mounts = properties["containers"][0]["properties"]["volumeMounts"]
    assert mounts == [{"name": "v", "mountPath": "/m", "readOnly": False}]


def test_a_windows_pod_goes_without_its_token():
    tokens = {"name": "t", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"}
    pod = make_pod(
        volumes=[{"name": "t", "projected": {}}],
        containers=[{"name": "main", "image": "i", "volumeMounts": [tokens]}],
    )
    properties = group(pod, azure_config(operating_system="Windows"))["properties"]
    assert properties["osType"] == "Windows"
    assert "volumes" not in properties
    assert "volumeMounts" not in properties["containers"][0]["properties"]


def test_pull_secrets_and_an_identity_that_pulls():
    config = azure_config(registry_identity=IDENTITY, registry_servers=("acr.example",))
    secret = {"auths": {"b.example": {"username": "u", "password": "p"}}}
    made = group(config=config, pull_secrets=[secret])
    assert made["properties"]["imageRegistryCredentials"] == [
        {"server": "b.example", "username": "u", "password": "p"},
        {"server": "acr.example", "identity": IDENTITY},
    ]
    assert made["identity"] == {"type": "UserAssigned", "userAssignedIdentities": {IDENTITY: {}}}


def test_identities_of_the_pod_beat_the_nodes():
    pod = make_pod(metadata={"annotations": {f"{NEW}identity": f"SystemAssigned;{IDENTITY}"}})
    made = group(pod, azure_config(identities=("/node",)))
    assert made["identity"] == {
        "type": "SystemAssigned, UserAssigned",
        "userAssignedIdentities": {IDENTITY: {}},
    }
    assert group(config=azure_config(identities=("SystemAssigned",)))["identity"] == {
        "type": "SystemAssigned"
    }


def test_what_the_node_gives_to_all_and_a_pod_changes():
    config = azure_config(priority="Regular", zones=("1",), tags={"team": "a"})
    made = group(config=config)
    assert (made["properties"]["priority"], made["zones"], made["tags"]["team"]) == ("Regular", ["1"], "a")
    annotations = {
        "virtual-kubelet.io/priority": "Spot",
        f"{NEW}zones": "2",
        f"{NEW}customtags": "team=b",
        f"{NEW}cmk.keyname": "k",
    }
    made = group(make_pod(metadata={"annotations": annotations}), config)
    assert (made["properties"]["priority"], made["zones"], made["tags"]["team"]) == ("Spot", ["2"], "b")
    assert made["properties"]["encryptionProperties"] == {"keyName": "k"}


def test_the_tags_that_say_whose_it_is_cannot_be_changed():
    for pod, config in (
        (make_pod(metadata={"annotations": {f"{NEW}customtags": "nodename=x"}}), CONFIG),
        (make_pod(), azure_config(tags={"UID": "x"})),
    ):
        with pytest.raises(InvalidInput, match="customtags"):
            group(pod, config)


def test_confidential_groups_have_security_contexts():
    pod = make_pod(
        metadata={"annotations": {f"{NEW}ccepolicy": "cGFj"}},
        securityContext={"runAsUser": 1, "runAsGroup": 2, "fsGroup": 3},
        containers=[
            {
                "name": "main",
                "image": "i",
                "securityContext": {
                    "runAsUser": 5,
                    "privileged": True,
                    "capabilities": {"drop": ["ALL"], "add": []},
                    "readOnlyRootFilesystem": True,
                },
            }
        ],
    )
    properties = group(pod)["properties"]
    assert properties["sku"] == "Confidential"
    assert properties["confidentialComputeProperties"] == {"ccePolicy": "cGFj"}
    assert properties["containers"][0]["properties"]["securityContext"] == {
        "privileged": True,
        "runAsUser": 5,
        "runAsGroup": 2,
        "capabilities": {"drop": ["ALL"]},
    }


def test_other_groups_have_none():
    pod = make_pod(containers=[{"name": "main", "image": "i", "securityContext": {"runAsUser": 1}}])
    assert "securityContext" not in group(pod)["properties"]["containers"][0]["properties"]


def test_log_analytics():
    config = azure_config(log_analytics=LogAnalytics("w", "k", "/cluster"))
    assert group(make_pod(uid="u"), config)["properties"]["diagnostics"] == {
        "logAnalytics": {
            "workspaceId": "w",
            "workspaceKey": "k",
            "logType": "ContainerInsights",
            "metadata": {"cluster-resource-id": "/cluster", "node-name": "vk", "pod-uuid": "u"},
        }
    }


def test_a_gpu_of_the_type_that_is_annotated():
    pod = make_pod(
        metadata={"annotations": {"virtual-kubelet.io/gpu-type": "p100"}},
        containers=[{"name": "main", "image": "i", "resources": {"limits": {"nvidia.com/gpu": "1"}}}],
    )
    requests = group(pod)["properties"]["containers"][0]["properties"]["resources"]["requests"]
    assert requests["gpu"] == {"count": 1, "sku": "P100"}


def test_a_subnet():
    assert group(config=azure_config(subnet=SUBNET))["properties"]["subnetIds"] == [{"id": SUBNET.id}]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
            "spec.containers[0].env[0]: IP is status.podIP, which is known only once",
        ),
        ({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {}}}]}, "X has not been resolved"),
        ({"envFrom": [{"secretRef": {"name": "s"}}]}, "spec.containers[0].envFrom"),
        ({"args": ["x"]}, "spec.containers[0].args: args need a command"),
    ],
)
def test_what_a_group_cannot_be(spec, words):
    with pytest.raises(InvalidInput) as caught:
        container(spec)
    assert words in str(caught.value)
