from __future__ import annotations

import pytest
from support.waiting import eventually

from virtual_kubelet.kube.resources import NODES, PODS
from virtual_kubelet.providers.mock.provider import MockProvider
from virtual_kubelet.testing.cluster import DevCluster


def pod(name):
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "main", "image": "nginx"}]},
    }


def test_a_pod_is_scheduled_runs_and_goes():
    with DevCluster(MockProvider(), node_name="edge") as cluster:
        cluster.client.create(PODS, pod("web"), "default")
        eventually(lambda: cluster.client.get(PODS, "web", "default")["status"]["phase"] == "Running")
        assert cluster.client.get(PODS, "web", "default")["spec"]["nodeName"] == "edge"
        cluster.client.delete(PODS, "web", "default")
        eventually(lambda: not cluster.client.list(PODS, "default")["items"])


def test_the_provider_may_be_made_from_the_settings():
    made = []

    def make(settings):
        made.append(settings)
        return MockProvider(state_dir=settings.state_dir)

    with DevCluster(make, node_name="edge") as cluster:
        assert [node["metadata"]["name"] for node in cluster.client.list(NODES)["items"]] == ["edge"]
    assert made[0].node_name == "edge"


def test_what_fails_to_start_leaves_nothing():
    def broken(settings):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        DevCluster(broken).start()


def test_before_the_start_there_is_no_client():
    with pytest.raises(RuntimeError, match="start"):
        _ = DevCluster(MockProvider()).client


def test_another_agent_takes_over_what_runs():
    made = []

    def make(settings):
        made.append(MockProvider(state_dir=settings.state_dir))
        return made[-1]

    with DevCluster(make, node_name="edge") as cluster:
        cluster.client.create(PODS, pod("web"), "default")
        before = eventually(lambda: _running(cluster))
        cluster.restart_agent()
        assert cluster.provider is made[1]
        assert cluster.provider.get_pod("default", "web")["metadata"]["uid"] == before["metadata"]["uid"]
        cluster.client.create(PODS, pod("after"), "default")
        eventually(lambda: _running(cluster, "after"))
        assert _running(cluster)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_one_provider_is_not_used_twice():
    with DevCluster(MockProvider(), node_name="edge") as cluster, pytest.raises(TypeError, match="callable"):
        cluster.restart_agent()


def _running(cluster, name="web"):
    found = cluster.client.get(PODS, name, "default")
    return found if found["status"]["phase"] == "Running" else None
