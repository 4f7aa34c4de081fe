"""The official Python client, whose models insist on what the API promises."""

from __future__ import annotations

import pytest
from kubernetes import client, config, watch
from support.devapi import pod, register, running
from support.waiting import eventually

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def official(plane, tmp_path):
    path = tmp_path / "kubeconfig"
    plane.write_kubeconfig(path)
    with config.new_client_from_config(str(path)) as made:
        yield made


def test_models_take_everything_in(official, api):
    register(api)
    api.create(PODS, pod())
    events = "/api/v1/namespaces/default/events?fieldSelector=reason%3DScheduled"  # once the pod is bound
    eventually(lambda: api.get(events).json["items"])
    api.strategic(f"{PODS}/web/status", {"status": running()})
    core = client.CoreV1Api(official)
    web = core.list_pod_for_all_namespaces(field_selector="spec.nodeName=n1").items[0]
    assert web.status.container_statuses[0].state.running is not None
    assert core.list_node().items[0].status.node_info.kubelet_version == "v1.36.0-vk"
    assert "Scheduled" in {one.reason for one in core.list_event_for_all_namespaces().items}
    for items in (
        core.list_namespace(),
        core.list_service_for_all_namespaces(),
        core.list_config_map_for_all_namespaces(),
        core.list_service_account_for_all_namespaces(),
        client.RbacAuthorizationV1Api(official).list_cluster_role(),
        client.RbacAuthorizationV1Api(official).list_cluster_role_binding(),
    ):
        assert items.items


# Older releases of the client read the headers of a refusal by a name that urllib3 has deprecated.
@pytest.mark.filterwarnings("ignore:HTTPResponse.getheaders:DeprecationWarning")
def test_objects_made_of_models(official):
    core = client.CoreV1Api(official)
    spec = client.V1PodSpec(containers=[client.V1Container(name="main", image="nginx")])
    made = core.create_namespaced_pod(
        "default", client.V1Pod(metadata=client.V1ObjectMeta(name="web"), spec=spec)
    )
    assert made.status.phase == "Pending"
    settings = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="settings"), data={"a": "b"})
    held = core.create_namespaced_config_map("default", settings)
    held.data = {"a": "c"}
    assert core.replace_namespaced_config_map("settings", "default", held).data == {"a": "c"}
    with pytest.raises(client.ApiException) as caught:
        core.replace_namespaced_config_map("settings", "default", held)
    assert caught.value.status == 409
    core.delete_namespaced_pod("web", "default", grace_period_seconds=0)


def test_watches_of_the_client(official, api):
    core = client.CoreV1Api(official)
    start = core.list_namespaced_pod("default").metadata.resource_version
    api.create(PODS, pod())
    watching = watch.Watch()
    events = watching.stream(core.list_namespaced_pod, "default", resource_version=start, timeout_seconds=5)
    event = next(events)
    assert (event["type"], event["object"].metadata.name) == ("ADDED", "web")
    watching.stop()
    events.close()
