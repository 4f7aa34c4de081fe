from __future__ import annotations

import copy
from types import MappingProxyType

import pytest
from support.pods import make_pod

from virtual_kubelet.errors import Conflict, InvalidInput, NotFound, Unavailable
from virtual_kubelet.providers.azure.update import Changes, compare, grafted

NEW = "microsoft.containerinstance.virtualnode."


@pytest.fixture
def running(arm, provider):
    pod = make_pod()
    provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    return pod


def changed(pod, **container):
    other = copy.deepcopy(pod)
    other["spec"]["containers"][0].update(container)
    return other


def test_a_new_image_is_put_in_place(arm, provider, running, context):
    provider.update_pod(changed(running, image="busybox:2"))
    group = arm.of_pod("web")
    assert group.containers[0]["properties"]["image"] == "busybox:2"
    assert group.updates == 1
    assert context.events[-1][1:3] == ("Normal", "Updating")
    assert "restarts all containers" in context.events[-1][3]
    assert provider.get_pod("default", "web")["spec"]["containers"][0]["image"] == "busybox:2"


def test_a_change_back_before_anybody_looked(arm, provider, running):
    provider.update_pod(changed(running, image="busybox:2"))
    arm.time.advance(10)
    provider.update_pod(running)
    assert arm.of_pod("web").containers[0]["properties"]["image"] == "busybox:1"


def test_a_dns_name_label_is_put_in_place(arm, provider, context):
    pod = make_pod()
    pod["spec"]["containers"][0]["ports"] = [{"containerPort": 80}]
    provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    other = copy.deepcopy(pod)
    other["metadata"]["annotations"] = {"virtualkubelet.io/dnsnamelabel": "web"}
    provider.update_pod(other)
    assert arm.of_pod("web").body["properties"]["ipAddress"]["dnsNameLabel"] == "web"
    assert context.reasons()[-1] == "Updating"


def test_labels_change_nothing_in_azure(arm, provider, running):
    other = copy.deepcopy(running)
    other["metadata"]["labels"] = {"a": "b"}
    provider.update_pod(other)
    assert (arm.count("PUT"), arm.count("PATCH")) == (1, 0)


def test_tags_are_changed_without_a_restart(arm, provider, running):
    other = copy.deepcopy(running)
    other["metadata"]["annotations"] = {f"{NEW}customtags": "team=b"}
    provider.update_pod(other)
    assert (arm.count("PUT"), arm.count("PATCH")) == (1, 1)
    assert arm.of_pod("web").body["tags"]["team"] == "b"


def test_what_needs_a_new_group_is_said_and_not_done(arm, provider, running, context):
    provider.update_pod(changed(running, resources={"requests": {"cpu": "2"}}))
    assert arm.count("PUT") == 1
    assert context.events[-1][1:3] == ("Warning", "NeedsNewContainerGroup")
    assert "resources of container main" in context.events[-1][3]


def test_an_image_together_with_resources(arm, provider, running, context):
    provider.update_pod(changed(running, image="busybox:2", resources={"requests": {"cpu": "2"}}))
    container = arm.of_pod("web").containers[0]["properties"]
    assert (container["image"], container["resources"]["requests"]["cpu"]) == ("busybox:2", 1.0)
    assert context.reasons()[-2:] == ["NeedsNewContainerGroup", "Updating"]


def test_an_update_that_arm_took_without_telling_is_not_repeated(arm, provider, running):
    arm.faults.add("503-after", method="PUT", times=1)
    provider.update_pod(changed(running, image="busybox:2"))
    assert arm.of_pod("web").updates == 1


def test_an_update_that_arm_did_not_take_is_an_error(arm, provider, running):
    arm.faults.add("503", method="PUT", times=1)
    with pytest.raises(Unavailable):
        provider.update_pod(changed(running, image="busybox:2"))
    provider.update_pod(changed(running, image="busybox:2"))
    assert arm.of_pod("web").updates == 1


def test_an_update_for_which_there_is_no_room_now(arm, provider, running):
    arm.faults.add("409", method="PUT", code="ServiceUnavailable", times=1)
    with pytest.raises(Unavailable, match="ServiceUnavailable") as caught:
        provider.update_pod(changed(running, image="busybox:2"))
    assert caught.value.retry_after == 20


def test_a_group_in_transition(arm, provider):
    pod = make_pod()
    provider.create_pod(pod)
    with pytest.raises(Conflict):
        provider.update_pod(changed(pod, image="busybox:2"))


def test_an_update_after_a_restart(arm, running, make_provider):
    again = make_provider()
    again.update_pod(changed(running, image="busybox:2"))
    assert arm.of_pod("web").updates == 1


def test_what_cannot_be_is_refused_and_what_is_not_there_not_found(arm, provider, running):
    other = copy.deepcopy(running)
    other["spec"]["ephemeralContainers"] = [{"name": "debug"}]
    with pytest.raises(InvalidInput, match="spec.ephemeralContainers"):
        provider.update_pod(other)
    with pytest.raises(NotFound):
        provider.update_pod(make_pod("another"))


def test_what_has_ended_is_not_changed(arm, provider):
    pod = make_pod(restartPolicy="Never")
    provider.create_pod(pod)
    arm.time.advance(10)
    arm.of_pod("web").terminate("main")
    provider.get_pods()
    provider.update_pod(changed(pod, image="busybox:2"))
    assert arm.count("PUT") == 1


GROUP = {
    "tags": {"a": "b"},
    "zones": ["1"],
    "identity": {"type": "UserAssigned", "userAssignedIdentities": {"/X": {}}},
    "properties": {
        "osType": "Linux",
        "restartPolicy": "Always",
        "priority": "Regular",
        "sku": "Standard",
        "subnetIds": [{"id": "/S", "name": None}],
        "containers": [
            {
                "name": "main",
                "properties": {
                    "image": "i",
                    "resources": {"requests": {"cpu": 1.0, "memoryInGB": 1.5, "gpu": None}, "limits": None},
                },
            }
        ],
    },
}


def container(image="i", requests=MappingProxyType({"cpu": 1, "memoryInGB": 1.5}), **amounts):
    resources = {"requests": requests, **amounts}
    return {"name": "main", "properties": {"image": image, "resources": resources}}


def gpu(sku):
    return {"cpu": 1, "memoryInGB": 1.5, "gpu": {"count": 1, "sku": sku}}


def wanted(**changes):
    group = copy.deepcopy(GROUP)
    group["properties"].update(changes.pop("properties", {}))
    group.update(changes)
    return group


@pytest.mark.parametrize(
    ("change", "changes"),
    [
        ({}, Changes()),
        ({"tags": {"A": "b"}}, Changes()),
        ({"tags": {"A": "c"}}, Changes(tags=True)),
        ({"zones": ["2"]}, Changes(fixed=("zones",))),
        ({"identity": None}, Changes(fixed=("identity",))),
        ({"identity": {"type": "UserAssigned", "userAssignedIdentities": {"/x": {}}}}, Changes()),
        ({"properties": {"restartPolicy": "Never"}}, Changes(fixed=("restartPolicy",))),
        ({"properties": {"priority": "spot"}}, Changes(fixed=("priority",))),
        ({"properties": {"subnetIds": [{"id": "/s"}]}}, Changes()),
        ({"properties": {"subnetIds": [{"id": "/t"}]}}, Changes(fixed=("subnetIds",))),
        (
            {"properties": {"initContainers": [{"name": "new", "properties": {}}]}},
            Changes(fixed=("container new",)),
        ),
        ({"properties": {"subnetIds": []}}, Changes(fixed=("subnetIds",))),
        ({"properties": {"priority": "", "sku": None}}, Changes()),  # Azure's own defaults
        ({"properties": {"dnsConfig": {"nameServers": ["1.2.3.4"]}}}, Changes(fixed=("dnsConfig",))),
        ({"properties": {"ipAddress": {"dnsNameLabel": "web"}}}, Changes(applied=("DNS name label",))),
        (
            {"properties": {"confidentialComputeProperties": {"ccePolicy": "x"}}},
            Changes(fixed=("confidentialComputeProperties",)),
        ),
        ({"properties": {"containers": [container(image="j")]}}, Changes(applied=("image of main",))),
        ({"properties": {"containers": [container(requests=None)]}}, Changes()),
        (
            {"properties": {"containers": [container(requests={"cpu": 2, "memoryInGB": 1.5})]}},
            Changes(fixed=("resources of container main",)),
        ),
    ],
)
def test_comparison(change, changes):
    assert compare(GROUP, wanted(**change)) == changes


def test_another_kind_of_gpu():
    there = wanted(properties={"containers": [container(requests=gpu("V100"))]})
    assert compare(there, wanted(properties={"containers": [container(requests=gpu("v100"))]})) == Changes()
    other = wanted(properties={"containers": [container(requests=gpu("K80"))]})
    assert compare(there, other).fixed == ("resources of container main",)


def test_limits_that_azure_has_added_are_no_change():
    there = wanted(properties={"containers": [container(limits={"cpu": 1, "memoryInGB": 1.5})]})
    assert compare(there, wanted()) == Changes()


def test_what_cannot_change_is_kept():
    other = wanted(zones=["2"], identity=None, properties={"restartPolicy": "Never", "sku": "Confidential"})
    other["properties"]["containers"][0]["properties"] = {"image": "j", "resources": {}}
    kept = grafted(other, GROUP)
    assert kept["zones"] == ["1"]
    assert kept["identity"] == GROUP["identity"]
    assert (kept["properties"]["restartPolicy"], kept["properties"]["sku"]) == ("Always", "Standard")
    container = kept["properties"]["containers"][0]["properties"]
    assert container["image"] == "j"
    assert container["resources"]["requests"]["cpu"] == 1.0
