"""What a method and a path mean."""

from __future__ import annotations

import pytest

from virtual_kubelet.devapi.http.request_info import parse

CASES = [
    ("GET", "/api/v1/pods", {}, ("list", "", "v1", "", "pods", "", "")),
    ("GET", "/api/v1/pods", {"watch": ["true"]}, ("watch", "", "v1", "", "pods", "", "")),
    ("GET", "/api/v1/namespaces/a/pods/p", {}, ("get", "", "v1", "a", "pods", "", "p")),
    ("GET", "/api/v1/namespaces/a/pods/p", {"watch": ["1"]}, ("get", "", "v1", "a", "pods", "", "p")),
    ("PATCH", "/api/v1/namespaces/a/pods/p/status", {}, ("patch", "", "v1", "a", "pods", "status", "p")),
    ("DELETE", "/api/v1/namespaces/a/pods", {}, ("deletecollection", "", "v1", "a", "pods", "", "")),
    ("DELETE", "/api/v1/nodes/n", {}, ("delete", "", "v1", "", "nodes", "", "n")),
    ("GET", "/api/v1/namespaces", {}, ("list", "", "v1", "", "namespaces", "", "")),
    ("GET", "/api/v1/namespaces/a", {}, ("get", "", "v1", "a", "namespaces", "", "a")),
    ("PUT", "/api/v1/namespaces/a/finalize", {}, ("update", "", "v1", "a", "namespaces", "finalize", "a")),
    ("GET", "/api/v1/watch/pods", {}, ("watch", "", "v1", "", "pods", "", "")),
    ("GET", "/api/v1/watch/namespaces/a/pods/p", {}, ("watch", "", "v1", "a", "pods", "", "p")),
    (
        "POST",
        "/apis/coordination.k8s.io/v1/namespaces/a/leases",
        {},
        ("create", "coordination.k8s.io", "v1", "a", "leases", "", ""),
    ),
]


@pytest.mark.parametrize(("method", "path", "query", "expected"), CASES)
def test_resources(method, path, query, expected):
    info = parse(method, path, query)
    assert info.is_resource
    found = (info.verb, info.group, info.version, info.namespace, info.resource, info.subresource, info.name)
    assert found == expected


@pytest.mark.parametrize("path", ["/", "/api", "/apis", "/api/v1", "/apis/apps/v1", "/version", "/healthz"])
def test_other_paths(path):
    info = parse("GET", path, {})
    assert not info.is_resource
    assert info.verb == "get"


def test_what_follows_a_proxy():
    info = parse("GET", "/api/v1/nodes/n/proxy/stats/summary", {})
    assert (info.name, info.subresource, info.rest) == ("n", "proxy", "stats/summary")
