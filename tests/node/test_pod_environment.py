"""Environments are resolved on the way to the provider; what is missing is said, and waited for."""

from __future__ import annotations

import pytest
from support.podnode import PodNode
from support.provider import PushingProvider
from support.waiting import eventually

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def provider():
    return PushingProvider()


@pytest.fixture
def node(plane, provider, tmp_path):
    with PodNode(plane, provider, tmp_path, resolving=True) as node:
        yield node


def container(*env, **more):
    return {"name": "main", "image": "busybox:1", "env": list(env), **more}


def key_of(config_map, key="k", *, optional=False):
    return {"configMapKeyRef": {"name": config_map, "key": key, "optional": optional}}


def environment(provider):
    return {
        e["name"]: e.get("value", e.get("valueFrom"))
        for e in provider.given[-1]["spec"]["containers"][0]["env"]
    }


def test_values_are_filled_in(node, provider):
    node.admin.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "from a map"}})
    ip = {"fieldRef": {"fieldPath": "status.podIP"}}
    node.apply(
        containers=[
            container(
                {"name": "A", "valueFrom": key_of("c")},
                {"name": "B", "value": "$(A)!"},
                {"name": "HOST", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
                {"name": "IP", "valueFrom": ip},
            )
        ]
    )
    node.wait_phase("Running")
    found = environment(provider)
    assert (found["A"], found["B"], found["HOST"]) == ("from a map", "from a map!", "10.9.8.7")
    assert found["IP"]["fieldRef"]["fieldPath"] == "status.podIP"
    held = node.informer.store.get("default/web")["spec"]["containers"][0]["env"][0]
    assert "value" not in held


def test_a_missing_map_is_waited_for(node, provider):
    node.apply(
        containers=[
            container({"name": "A", "valueFrom": key_of("c")}),
            {"name": "side", "image": "busybox:1"},
        ]
    )
    pod = eventually(lambda: (p := node.get())["status"].get("containerStatuses") and p)
    main, side = (item["state"]["waiting"] for item in pod["status"]["containerStatuses"])
    assert main == {"reason": "CreateContainerConfigError", "message": 'configmap "c" not found'}
    assert side == {"reason": "ContainerCreating"}
    assert (pod["status"]["phase"], "reason" in pod["status"]) == ("Pending", False)
    assert ("web", "Warning", "MandatoryConfigMapNotFound", 'configmap "c" not found') in node.events.seen
    assert provider.count("create_pod") == 0
    node.admin.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "v"}})
    node.wait_phase("Running")
    assert environment(provider)["A"] == "v"


def test_optional_ones_are_left_out_with_one_event(node, provider):
    node.apply(containers=[container({"name": "A", "valueFrom": key_of("c", optional=True)})])
    node.wait_phase("Running")
    assert "A" not in environment(provider)
    node.patch("web", {"metadata": {"labels": {"a": "1"}}})
    eventually(lambda: provider.count("update_pod") == 1)
    assert node.events.messages("OptionalConfigMapNotFound") == [
        'skipping optional envvar "A": configmap "c" not found'
    ]


def test_what_can_never_be_resolved_is_refused(node, provider):
    field = {"fileKeyRef": {"volumeName": "files", "path": "a", "key": "k"}}
    node.apply(
        containers=[container({"name": "A", "valueFrom": field})], volumes=[{"name": "files", "emptyDir": {}}]
    )
    pod = eventually(lambda: (p := node.get())["status"].get("reason") == "ProviderFailed" and p)
    waiting = pod["status"]["containerStatuses"][0]["state"]["waiting"]
    assert waiting["reason"] == "CreateContainerConfigError"
    assert provider.count("create_pod") == 0


def test_a_change_waits_for_what_it_needs_while_the_pod_runs(node, provider):
    node.admin.create(CONFIG_MAPS, {"metadata": {"name": "c"}, "data": {"k": "v"}})
    node.apply(containers=[container({"name": "A", "valueFrom": key_of("c")})])
    node.wait_phase("Running")
    node.patch(
        "web",
        {
            "spec": {
                "ephemeralContainers": [
                    {
                        "name": "debug",
                        "image": "busybox:1",
                        "env": [{"name": "B", "valueFrom": key_of("late")}],
                    }
                ]
            }
        },
        "/ephemeralcontainers",
    )
    eventually(lambda: "MandatoryConfigMapNotFound" in node.events.reasons())
    assert node.phase() == "Running"
    assert provider.count("update_pod") == 0
