"""An agent that works with a node's own identity, as with a certificate from a CSR: the rights of any real cluster."""

from __future__ import annotations

import pytest
from support.devapi import Api, pod
from support.waiting import eventually

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers import registry
from virtual_kubelet.settings import Settings

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
def agent(plane, tmp_path):
    kubeconfig, ca = tmp_path / "kubeconfig", tmp_path / "ca.pem"
    plane.write_kubeconfig(kubeconfig, plane.token("system:node:n1", ["system:nodes"]))
    ca.write_bytes(plane.kubelet_client_ca)
    settings = Settings(
        kubeconfig=str(kubeconfig),
        node_name="n1",
        node_ip="127.0.0.1",
        address="127.0.0.1",
        port=0,
        client_ca_file=str(ca),
        state_dir=str(tmp_path),
    )
    provider = registry.load("mock")(ProviderConfig(node_name="n1", state_dir=str(tmp_path)))
    agent = VirtualKubelet(settings, provider)
    agent.start()
    try:
        agent.wait_ready(30)
        yield agent
    finally:
        agent.stop(10)


def test_a_pod_runs_and_ends(plane, api, agent):
    api.create(
        "/api/v1/namespaces/default/configmaps", {"metadata": {"name": "settings"}, "data": {"A": "b"}}
    )
    container = {"name": "main", "image": "x", "envFrom": [{"configMapRef": {"name": "settings"}}]}
    assert api.create(PODS, pod(spec={"containers": [container]})).status == 201
    eventually(lambda: api.get(f"{PODS}/web").json["status"]["phase"] == "Running", timeout=30)
    assert b"started" in api.get(f"{PODS}/web/log").data
    api.delete(f"{PODS}/web")
    eventually(lambda: api.get(f"{PODS}/web").status == 404, timeout=30)
    # What it may not do it asks for once, at most, and lives with the answer.
    refused = plane.requests.all(user="system:node:n1", status=403)
    assert {(one.verb, one.resource) for one in refused} <= {("get", "namespaces"), ("create", "nodes")}
    assert len(refused) <= 3


def test_two_nodes_do_not_see_each_other(plane, agent):
    other = Api(plane, token=plane.token("system:node:n2", ["system:nodes"]))
    assert other.get("/api/v1/nodes/n1").status == 403
    assert other.get("/api/v1/pods?fieldSelector=spec.nodeName%3Dn1").status == 403
    other.close()
