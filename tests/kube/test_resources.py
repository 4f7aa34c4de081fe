from __future__ import annotations

import pytest

from virtual_kubelet.kube.resources import LEASES, NODES, PODS, SERVICE_ACCOUNTS


@pytest.mark.parametrize(
    ("resource", "arguments", "path"),
    [
        (PODS, (), "/api/v1/pods"),
        (PODS, ("ns",), "/api/v1/namespaces/ns/pods"),
        (PODS, ("ns", "web", "status"), "/api/v1/namespaces/ns/pods/web/status"),
        (NODES, (None, "vk"), "/api/v1/nodes/vk"),
        (NODES, ("ignored", "vk", "status"), "/api/v1/nodes/vk/status"),
        (
            LEASES,
            ("kube-node-lease", "vk"),
            "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/vk",
        ),
        (SERVICE_ACCOUNTS, ("ns", "a", "token"), "/api/v1/namespaces/ns/serviceaccounts/a/token"),
        (PODS, ("ns", "../secrets"), "/api/v1/namespaces/ns/pods/..%2Fsecrets"),
    ],
)
def test_path(resource, arguments, path):
    assert resource.path(*arguments) == path


@pytest.mark.parametrize("arguments", [(None, "web"), ("ns", None, "status")])
def test_paths_that_do_not_exist(arguments):
    with pytest.raises(ValueError, match="pods"):
        PODS.path(*arguments)


def test_api_version():
    assert (PODS.api_version, LEASES.api_version) == ("v1", "coordination.k8s.io/v1")
