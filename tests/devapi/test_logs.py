"""pods/log and nodes/proxy, with a kubelet that is a plain server."""

from __future__ import annotations

import json
import threading

import pytest
from support.devapi import pod, register
from support.waiting import eventually

from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.web.messages import Response, text
from virtual_kubelet.web.self_signed import self_signed
from virtual_kubelet.web.server import Server
from virtual_kubelet.web.tls import Fixed, ServerTls

PODS = "/api/v1/namespaces/default/pods"


class Kubelet:
    """Answers what it is told to and remembers what it was asked."""

    def __init__(self, client_ca):
        self.requests = []
        self.answer = lambda _: text(200, "a line")
        tls = ServerTls(Fixed(self_signed(["n1", "127.0.0.1"])), lambda: client_ca)
        self.server = Server(self.handle, address="127.0.0.1", tls=tls, name="kubelet")

    def handle(self, request):
        self.requests.append(request)
        return self.answer(request)


@pytest.fixture
def kubelet(plane, api):
    kubelet = Kubelet(plane.kubelet_client_ca)
    kubelet.server.start()
    register(api, "n1", port=kubelet.server.port)
    yield kubelet
    kubelet.server.stop(Deadline(5))


@pytest.fixture
def web(api, kubelet):
    api.create(PODS, pod(spec={"nodeName": "n1"}))
    return f"{PODS}/web/log"


def test_the_kubelet_is_asked_with_a_certificate(api, kubelet, web):
    answer = api.get(f"{web}?follow=true&tailLines=5&timestamps=true&pretty=true")
    assert answer.data == b"a line\n"
    asked = kubelet.requests[0]
    assert asked.path == "/containerLogs/default/web/main"
    assert asked.query == {"follow": ["true"], "tailLines": ["5"], "timestamps": ["true"]}
    assert asked.peer_certificate is not None
    assert "Authorization" not in asked.headers


def test_containers_are_chosen(api, kubelet):
    containers = [{"name": "a", "image": "x"}, {"name": "b", "image": "x"}]
    api.create(PODS, pod(spec={"nodeName": "n1", "containers": containers}))
    unclear = api.get(f"{PODS}/web/log")
    assert unclear.status == 400
    assert unclear.json["message"] == "a container name must be specified for pod web, choose one of: [a b]"
    wrong = api.get(f"{PODS}/web/log?container=c")
    assert wrong.json["message"] == "container c is not valid for pod web"
    assert api.get(f"{PODS}/web/log?container=b").status == 200
    assert kubelet.requests[0].path.endswith("/b")


def test_pieces_come_as_they_are_written_and_end_with_the_client(api, kubelet, web):
    more, closed = threading.Event(), threading.Event()

    class Pieces:
        def __init__(self):
            self.left = [b"first\n", b"second\n"]

        def __iter__(self):
            return self

        def __next__(self):
            if len(self.left) == 1:
                more.wait(30)
            if not self.left:
                closed.wait(30)
                raise StopIteration
            return self.left.pop(0)

        def close(self):
            closed.set()

    kubelet.answer = lambda _: Response(200, Pieces(), "text/plain")
    response = api.request("GET", f"{web}?follow=true", preload_content=False)
    pieces = response.stream(100)
    assert next(pieces) == b"first\n"
    more.set()
    assert next(pieces) == b"second\n"
    response.close()
    assert eventually(closed.is_set)


@pytest.mark.parametrize(
    ("status", "expected", "message"),
    [
        (400, 400, "no such container"),
        (404, 404, "the server could not find the requested resource ( pods/log web)"),
        (
            418,
            418,
            "the server responded with the status code 418 but did not return more information ( pods/log web)",
        ),
        (500, 500, "Internal error occurred: no such container"),
        (403, 403, "no such container ( pods/log web)"),
        (
            501,
            501,
            'an error on the server ("no such container") has prevented the request from succeeding ( pods/log web)',
        ),
        (503, 503, "the server is currently unable to handle the request ( pods/log web)"),
    ],
)
def test_refusals_of_the_kubelet(api, kubelet, web, status, expected, message):
    kubelet.answer = lambda _: text(status, "no such container")
    answer = api.get(web)
    assert (answer.status, answer.json["message"]) == (expected, message)


def test_a_kubelet_that_is_not_there(api):
    register(api, "n1", port=1)
    api.create(PODS, pod(spec={"nodeName": "n1"}))
    answer = api.get(f"{PODS}/web/log")
    assert answer.status == 500
    assert "127.0.0.1:1" in answer.json["message"]


def test_pods_that_run_nowhere(api):
    api.create(PODS, pod())
    assert api.get(f"{PODS}/web/log").data == b""
    assert api.get(f"{PODS}/nobody/log").status == 404


def test_nodes_proxy(api, kubelet):
    kubelet.answer = lambda request: text(200, request.target)
    assert api.get("/api/v1/nodes/n1/proxy/stats/summary?only=cpu").data == b"/stats/summary?only=cpu\n"
    kubelet.answer = lambda _: text(404, "nothing")
    assert api.get("/api/v1/nodes/n1/proxy/nothing").data == b"nothing\n"
    assert api.get("/api/v1/nodes/nobody/proxy/pods").status == 404


# ---------------------------------------------------------------------------------------------------------
# metrics.k8s.io


def summary(api):
    uid = api.get(f"{PODS}/web").json["metadata"]["uid"]
    used = {
        "cpu": {"time": "2026-01-02T03:04:05.678Z", "usageNanoCores": 5},
        "memory": {"workingSetBytes": 2048},
    }
    reference = {"namespace": "default", "name": "web", "uid": uid}
    stranger = {"podRef": {"namespace": "default", "name": "web", "uid": "of another"}, "containers": []}
    return {
        "node": {"nodeName": "n1", **used},
        "pods": [stranger, {"podRef": reference, **used, "containers": [{"name": "main", **used}]}],
    }


def test_usage_of_nodes_and_pods(api, kubelet, web):
    answer = json.dumps(summary(api)).encode()
    kubelet.answer = lambda _: Response(200, answer, "application/json")
    metrics = "/apis/metrics.k8s.io/v1beta1"
    nodes = api.get(f"{metrics}/nodes").json
    assert nodes["kind"] == "NodeMetricsList"
    assert nodes["items"][0]["usage"] == {"cpu": "5n", "memory": "2Ki"}
    assert nodes["items"][0]["timestamp"] == "2026-01-02T03:04:05Z"
    pods = api.get(f"{metrics}/namespaces/default/pods").json["items"]
    assert [pod["containers"] for pod in pods] == [
        [{"name": "main", "usage": {"cpu": "5n", "memory": "2Ki"}}]
    ]
    assert api.get(f"{metrics}/namespaces/default/pods/web").json["kind"] == "PodMetrics"
    assert api.get(f"{metrics}/namespaces/default/pods/nobody").status == 404
    assert api.get(f"{metrics}/pods?labelSelector=a%3Db").json["items"] == []
    assert {request.path for request in kubelet.requests} == {"/stats/summary"}


def test_a_kubelet_that_does_not_tell_has_no_metrics(api, kubelet, web):
    kubelet.answer = lambda _: text(501, "not supported")
    assert api.get("/apis/metrics.k8s.io/v1beta1/nodes").json["items"] == []
    assert api.get("/apis/metrics.k8s.io/v1beta1/nodes/n1").status == 404
