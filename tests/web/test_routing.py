from __future__ import annotations

import pytest

from virtual_kubelet.errors import RequestError
from virtual_kubelet.web.messages import Request, Response
from virtual_kubelet.web.routing import Router

PATTERNS = [
    "/pods",
    "/stats/summary",
    "/logs/{rest:path}",
    "/exec/{ns}/{pod}/{container}",
    "/exec/{ns}/{pod}/{uid}/{container}",
    "/api/{version}/x",
    "/api/v1/{kind}",
]


def router(**options):
    made = Router(**options)
    for pattern in PATTERNS:
        made.add("GET", pattern, lambda request: Response(200, request.pattern.encode()), about=pattern)
    made.add(["POST", "PUT"], "/pods", lambda _: Response(201))
    made.add("*", "/any", lambda request: Response(200, request.method.encode()))
    return made


@pytest.mark.parametrize(
    ("path", "pattern", "parameters"),
    [
        ("/pods", "/pods", {}),
        ("/pods/", "/pods", {}),
        ("/pods?x=/y", "/pods", {}),
        ("/stats/summary/", "/stats/summary", {}),
        ("/logs", "/logs/{rest:path}", {"rest": ""}),
        ("/logs/", "/logs/{rest:path}", {"rest": ""}),
        ("/logs/a/b%2Fc/", "/logs/{rest:path}", {"rest": "a/b%2Fc/"}),
        ("/exec/a/b/c", "/exec/{ns}/{pod}/{container}", {"ns": "a", "pod": "b", "container": "c"}),
        (
            "/exec/a/b/u/c",
            "/exec/{ns}/{pod}/{uid}/{container}",
            {"ns": "a", "pod": "b", "uid": "u", "container": "c"},
        ),
        ("/exec/a%2Fb/%C3%A4/c", "/exec/{ns}/{pod}/{container}", {"ns": "a/b", "pod": "ä", "container": "c"}),
        ("/api/v1/y", "/api/v1/{kind}", {"kind": "y"}),
        ("/api/v2/x", "/api/{version}/x", {"version": "v2"}),
        # The literal segment that comes first decides.
        ("/api/v1/x", "/api/v1/{kind}", {"kind": "x"}),
    ],
)
def test_a_path_finds_its_handler(path, pattern, parameters):
    request = Request("GET", path)
    assert router()(request).body == pattern.encode()
    assert request.route == parameters
    assert request.pattern == pattern


@pytest.mark.parametrize(
    "path", ["/", "", "/pod", "/pods/x", "/exec/a/b", "/exec//b/c", "//pods", "/api/v2/y"]
)
def test_other_paths_are_404(path):
    with pytest.raises(RequestError) as caught:
        router()(Request("GET", path))
    assert (caught.value.status, caught.value.message) == (404, "404 page not found")


def test_a_wrong_method_is_405_and_names_the_right_ones():
    with pytest.raises(RequestError) as caught:
        router()(Request("DELETE", "/pods"))
    assert caught.value.status == 405
    assert caught.value.headers == (("Allow", "GET, HEAD, POST, PUT"),)


def test_methods():
    assert router()(Request("POST", "/pods")).status == 201
    assert router()(Request("HEAD", "/pods")).status == 200
    assert router()(Request("BREW", "/any")).body == b"BREW"


def test_the_guard_sees_attributes_and_parameters_before_the_handler():
    seen = []

    def guard(request, attributes):
        seen.append((request.path, dict(request.route), dict(attributes)))

    router(guard=guard)(Request("GET", "/api/v1/y"))
    assert seen == [("/api/v1/y", {"kind": "y"}, {"about": "/api/v1/{kind}"})]


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("DELETE", "/pods")])
def test_the_guard_comes_before_404_and_405(method, path):
    def guard(request, attributes):
        assert not attributes
        raise RequestError(401, "Unauthorized")

    with pytest.raises(RequestError) as caught:
        router(guard=guard)(Request(method, path))
    assert caught.value.status == 401
