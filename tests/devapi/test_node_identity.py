"""An agent that works with a node's own identity, as with a certificate from a CSR: the rights of any real cluster."""

from __future__ import annotations

import contextlib
import ssl

import pytest
from cryptography import x509
from support.devapi import Api, pod
from support.waiting import eventually

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers import registry
from virtual_kubelet.settings import Settings

PODS = "/api/v1/namespaces/default/pods"


@contextlib.contextmanager
def running_agent(directory, kubeconfig, **settings):
    made = Settings(
        kubeconfig=str(kubeconfig),
        node_name="n1",
        node_ip="127.0.0.1",
        address="127.0.0.1",
        port=0,
        state_dir=str(directory),
        **settings,
    )
    provider = registry.load("mock")(ProviderConfig(node_name="n1", state_dir=str(directory)))
    agent = VirtualKubelet(made, provider)
    agent.start()
    try:
        agent.wait_ready(30)
        yield agent
    finally:
        agent.stop(10)


@pytest.fixture
def kubeconfig(plane, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig", plane.token("system:node:n1", ["system:nodes"]))
    return tmp_path / "kubeconfig"


@pytest.fixture
def agent(plane, tmp_path, kubeconfig):
    ca = tmp_path / "ca.pem"
    ca.write_bytes(plane.kubelet_client_ca)
    with running_agent(tmp_path, kubeconfig, client_ca_file=str(ca)) as agent:
        yield agent


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


def shown(port):
    """The certificate that the node's server shows."""
    pem = ssl.get_server_certificate(("127.0.0.1", port)).encode()
    return x509.load_pem_x509_certificate(pem)


def test_a_serving_certificate_is_used_as_soon_as_it_is_approved(plane, api, tmp_path, kubeconfig):
    requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    with running_agent(tmp_path, kubeconfig, rotate_server_certificates=True):
        port = api.get("/api/v1/nodes/n1").json["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]
        (request,) = eventually(lambda: api.get(requests).json["items"])
        assert shown(port).issuer == shown(port).subject, "its own, meanwhile"
        request["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "Test"}]}
        assert api.update(f"{requests}/{request['metadata']['name']}/approval", request).status == 200
        authority = x509.load_pem_x509_certificate(plane.ca)
        eventually(lambda: shown(port).issuer == authority.subject, timeout=60)
        assert shown(port).subject.rfc4514_string() == "CN=system:node:n1,O=system:nodes"
        assert len(api.get(requests).json["items"]) == 1, "asked for once"


def test_callers_are_known_by_the_clusters_own_client_ca(plane, api, tmp_path):
    plane.write_kubeconfig(tmp_path / "kubeconfig")  # an identity that may read kube-system
    with running_agent(tmp_path, tmp_path / "kubeconfig"):
        assert api.create(PODS, pod()).status == 201
        eventually(lambda: api.get(f"{PODS}/web").json["status"]["phase"] == "Running", timeout=30)
        eventually(lambda: b"started" in api.get(f"{PODS}/web/log").data, timeout=30)
