"""The routes without a server: a request in, an answer out."""

from __future__ import annotations

import json
import threading

import pytest
from support.kubelet import Bare, node, pod

from virtual_kubelet.errors import NotFound, NotSupported, RequestError, Unavailable
from virtual_kubelet.kubelet import api
from virtual_kubelet.provider import LogOptions
from virtual_kubelet.settings import Settings, TaintSetting
from virtual_kubelet.web.messages import Request

STAMP = "2026-01-02T03:04:05Z"


def ask(made, target, method="GET"):
    return api.build(made, None)(Request(method, target))


def document(response):
    assert response.content_type == "application/json"
    return json.loads(response.body)


# ---------------------------------------------------------------------------------------------------------
# Pods


def test_pods_are_those_of_the_api_server():
    one = pod()
    assert document(ask(node(pods=[one]), "/pods")) == {
        "kind": "PodList",
        "apiVersion": "v1",
        "metadata": {},
        "items": [one],
    }
    assert document(ask(node(), "/pods/"))["items"] == []


def test_running_pods_are_outlines_of_the_providers():
    running = pod(phase="Running")
    running["spec"]["containers"][0]["env"] = [{"name": "PASSWORD", "value": "secret"}]
    running["metadata"]["annotations"] = {"a": "b"}
    by_status = {
        "metadata": {"name": "other", "namespace": "x", "uid": "2"},
        "status": {"containerStatuses": [{"name": "c", "image": "i", "state": {}}]},
    }
    made = node(Bare(running, by_status, pod("done", phase="Succeeded"), pod("bad", phase="Failed")))
    for path in ("/runningpods/", "/runningpods"):
        response = ask(made, path)
        assert b"secret" not in response.body
        assert document(response)["items"] == [
            {
                "metadata": {"name": "web", "namespace": "default", "uid": "uid-1"},
                "spec": {"containers": [{"name": "app", "image": "app:1", "resources": {}}]},
                "status": {},
            },
            {
                "metadata": {"name": "other", "namespace": "x", "uid": "2"},
                "spec": {"containers": [{"name": "c", "image": "i", "resources": {}}]},
                "status": {},
            },
        ]


# ---------------------------------------------------------------------------------------------------------
# Logs


class Log:
    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.closed = threading.Event()

    def read(self):
        return self.pieces.pop(0) if self.pieces else b""

    def close(self):
        self.closed.set()


class Keeper(Bare):
    def __init__(self, log=None, error=None):
        super().__init__()
        self.log, self.error, self.asked = log, error, []

    def container_logs(self, *asked):
        self.asked.append(asked)
        if self.error:
            raise self.error
        return self.log


def test_logs_come_from_the_provider_with_every_option():
    keeper = Keeper(Log(b"one\n", b"two\n"))
    response = ask(node(keeper, [pod()]), "/containerLogs/default/web/app?tailLines=2&follow=true")
    assert b"".join(response.body) == b"one\ntwo\n"
    assert response.endless
    assert keeper.asked == [("default", "web", "uid-1", "app", LogOptions(tail=2, follow=True))]
    response.body.close()
    assert keeper.log.closed.is_set()
    assert not ask(node(keeper, [pod()]), "/containerLogs/default/web/app").endless


def test_a_provider_that_sends_too_much_is_cut():
    keeper = Keeper(Log(b"12345", b"67890", b"never"))
    response = ask(node(keeper, [pod()]), "/containerLogs/default/web/app?limitBytes=7")
    assert list(response.body) == [b"12345", b"67"]
    assert keeper.log.pieces == [b"never"]


@pytest.mark.parametrize("kind", ["containers", "initContainers", "ephemeralContainers"])
def test_logs_of_containers_of_all_kinds(kind):
    one = pod()
    one["spec"][kind] = [{"name": "it"}]
    assert ask(node(Keeper(Log()), [one]), "/containerLogs/default/web/it").status == 200


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/containerLogs/default/none/app", 404, 'pod "none" does not exist'),
        ("/containerLogs/other/web/app", 404, 'pod "web" does not exist'),
        ("/containerLogs/default/web/none", 404, 'container "none" not found in pod "web"'),
        ("/containerLogs/default/web", 404, "404 page not found"),
        ("/containerLogs/default/web/app?tailLines=x", 400, "tailLines"),
    ],
)
def test_logs_of_what_is_not_there(path, status, message):
    with pytest.raises(RequestError) as caught:
        ask(node(Keeper(Log()), [pod()]), path)
    assert caught.value.status == status
    assert message in caught.value.message


def test_a_provider_without_logs():
    with pytest.raises(NotSupported, match="keeps no container logs"):
        ask(node(Bare(), [pod()]), "/containerLogs/default/web/app")


def with_state(**state):
    return pod(containerStatuses=[{"name": "other", "state": {}}, {"name": "app", **state}])


@pytest.mark.parametrize(
    ("one", "query", "status", "message"),
    [
        (with_state(state={"waiting": {"reason": "ImagePullBackOff"}}), "", 400,
         'container "app" in pod "web" is waiting to start: trying and failing to pull image'),
        (with_state(state={"waiting": {}}), "", 400, "is waiting to start: ContainerCreating"),
        (with_state(state={"running": {}}), "?previous=true", 400,
         'previous terminated container "app" in pod "web" not found'),
        (with_state(state={"running": {}}), "", 404, "backend says no"),
        (with_state(state={"running": {}}, lastState={"terminated": {}}), "?previous=true", 400, "previous"),
        (with_state(state={"running": {}}, lastState={"terminated": {"exitCode": 1}}), "?previous=true", 404,
         "backend says no"),
        (pod(), "", 404, "backend says no"),
    ],
)  # fmt: skip
def test_why_there_is_no_log(one, query, status, message):
    with pytest.raises((RequestError, NotFound)) as caught:
        ask(node(Keeper(error=NotFound("backend says no")), [one]), f"/containerLogs/default/web/app{query}")
    assert caught.value.status == status
    assert message in str(caught.value)


def test_other_failures_of_the_provider_are_its_own():
    with pytest.raises(Unavailable):
        ask(node(Keeper(error=Unavailable("away")), [pod()]), "/containerLogs/default/web/app")


# ---------------------------------------------------------------------------------------------------------
# Health


def failing():
    raise Unavailable("3 calls hang")


CHECKS = {"informers": lambda: "2 synced", "provider": lambda: None}


@pytest.mark.parametrize(
    ("target", "status", "body"),
    [
        ("/readyz", 200, "ok"),
        ("/readyz/", 200, "ok"),
        ("/readyz?verbose", 200,
         "[+]ping ok\n[+]informers ok: 2 synced\n[+]provider ok\nreadyz check passed\n"),
        ("/readyz?verbose&exclude=informers", 200,
         "[+]ping ok\n[+]informers excluded: ok\n[+]provider ok\nreadyz check passed\n"),
        ("/readyz/informers", 200, "ok"),
        ("/livez", 500, "[+]ping ok\n[-]sync failed: 3 calls hang\nlivez check failed\n"),
        ("/healthz", 500, "[+]ping ok\n[-]sync failed: 3 calls hang\nhealthz check failed\n"),
        ("/livez?exclude=sync", 200, "ok"),
        ("/livez/ping", 200, "ok"),
        ("/livez/sync", 500, "internal server error: 3 calls hang\n"),
    ],
)  # fmt: skip
def test_health(target, status, body):
    made = node(ready=CHECKS, live={"sync": failing})
    for build in (lambda: api.build(made, None), lambda: api.build_plain(made)):
        response = build()(Request("GET", target))
        assert (response.status, response.body.decode()) == (status, body)


def test_a_check_that_nobody_has():
    with pytest.raises(RequestError) as caught:
        ask(node(), "/readyz/nothing")
    assert caught.value.status == 404


# ---------------------------------------------------------------------------------------------------------
# Numbers


class Meter(Bare):
    def stats_summary(self):
        return {
            "pods": [
                {"podRef": {"name": "web", "namespace": "default", "uid": "1"}, "containers": [CONTAINER]}
            ]
        }


CONTAINER = {
    "name": "app",
    "startTime": STAMP,
    "cpu": {"time": STAMP, "usageNanoCores": 5, "usageCoreNanoSeconds": 2_500_000_000},
    "memory": {"time": STAMP, "workingSetBytes": 1000},
    "rootfs": {"usedBytes": 1},
}


def test_stats_are_completed():
    summary = document(ask(node(Meter()), "/stats/summary"))
    assert summary["node"]["nodeName"] == "vk"
    assert summary["node"]["memory"]["workingSetBytes"] == 1000
    assert summary["pods"][0]["containers"][0] == CONTAINER
    small = document(ask(node(Meter()), "/stats/summary?only_cpu_and_memory=true"))
    assert "rootfs" not in small["pods"][0]["containers"][0]
    assert small["pods"][0]["podRef"]["uid"] == "1"


def test_resource_metrics_are_made_from_stats():
    response = ask(node(Meter()), "/metrics/resource")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    line = (
        'container_cpu_usage_seconds_total{container="app",pod="web",namespace="default"} 2.5 1767323045000'
    )
    assert line in response.body.decode().splitlines()


def test_resource_metrics_of_the_providers_own():
    class Own(Meter):
        def resource_metrics(self):
            return "its_own 1\n"

    assert ask(node(Own()), "/metrics/resource").body == b"its_own 1\n"


@pytest.mark.parametrize("path", ["/stats/summary", "/metrics/resource"])
def test_a_provider_that_measures_nothing(path):
    with pytest.raises(NotSupported, match="measures nothing"):
        ask(node(), path)


def test_metrics_are_the_agents():
    made = node()
    made.metrics.counter("some_things_total", "Things.").inc()
    for build in (lambda: api.build(made, None), lambda: api.build_plain(made)):
        response = build()(Request("GET", "/metrics"))
        assert b"some_things_total 1.0" in response.body
        assert response.content_type.startswith("text/plain; version=0.0.4")


# ---------------------------------------------------------------------------------------------------------
# For those who look after the node


def test_configz():
    settings = Settings(
        node_name="vk",
        kubeconfig="/etc/kube.conf",
        client_ca_file="/ca.crt",
        tls_cert_file="/tls.crt",
        tls_private_key_file="/tls.key",
        node_labels={"a": "b"},
        taints=(TaintSetting("k"),),
    )
    config = document(ask(node(settings=settings), "/configz"))
    assert config["kubeletconfig"]["authentication"]["x509"] == {"clientCAFile": "/ca.crt"}
    assert config["kubeletconfig"]["authorization"]["mode"] == "Webhook"
    assert config["virtualkubelet"]["taints"] == [{"key": "k", "value": "", "effect": "NoSchedule"}]
    assert config["virtualkubelet"]["authorization_mode"] == "Webhook"


def test_debug_threads_shows_what_they_do_and_no_values():
    begun, go, secret = threading.Event(), threading.Event(), "hunter2" * 2

    def waiting_for_a_test(password):
        begun.set()
        go.wait(30)
        return password

    from virtual_kubelet.runtime.threads import spawn

    thread = spawn(waiting_for_a_test, secret, name="somebody")
    try:
        assert begun.wait(30)
        dump = ask(node(), "/debug/threads").body.decode()
    finally:
        go.set()
        thread.join()
    assert "somebody (" in dump
    assert "waiting_for_a_test" in dump
    assert secret not in dump


@pytest.mark.parametrize(
    "path", ["/pods", "/runningpods/", "/configz", "/stats/summary", "/containerLogs/a/b/c"]
)
def test_the_plain_listener_tells_nothing_about_pods(path):
    with pytest.raises(RequestError) as caught:
        api.build_plain(node())(Request("GET", path))
    assert caught.value.status == 404
