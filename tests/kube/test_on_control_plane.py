"""The whole of `kube` together against the embedded control plane: what the parts' own tests cannot show."""

from __future__ import annotations

import pytest
from support.devapi import control_plane
from support.ports import held_port
from support.waiting import eventually

from virtual_kubelet.errors import ApiConflict, ApiInvalid, ApiNotFound
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import MERGE_PATCH, Client
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.recorder import EventRecorder
from virtual_kubelet.kube.references import References
from virtual_kubelet.kube.resources import CONFIG_MAPS, EVENTS, NODES, PODS, SERVICES
from virtual_kubelet.kube.tokens import Tokens
from virtual_kubelet.runtime.services import ServiceGroup
from virtual_kubelet.runtime.threads import Deadline


@pytest.fixture
def plane():
    with held_port() as port, control_plane(port=port, schedule=False) as plane:
        yield plane


@pytest.fixture
def client(plane, tmp_path):
    path = tmp_path / "kubeconfig"
    plane.write_kubeconfig(path)
    client = Client(config.load(str(path), environ={}), qps=0)
    client.create(NODES, {"metadata": {"name": "vk"}})
    yield client
    client.close()


def make_pod(name, **spec):
    container = {"name": "main", "image": "busybox", **spec}
    return {"metadata": {"name": name}, "spec": {"nodeName": "vk", "containers": [container]}}


@pytest.fixture
def run():
    groups = []

    def run(*services):
        group = ServiceGroup(services)
        groups.append(group)
        group.start()

    yield run
    for group in reversed(groups):
        group.stop(Deadline(10))


@pytest.fixture
def pods(client, run):
    informer = Informer(client, PODS, field_selector="spec.nodeName=vk")
    informer.told = []
    informer.add_handler(lambda old, new: informer.told.append(((new or old)["metadata"]["name"], old, new)))
    run(informer)
    assert informer.wait_synced(30)
    return informer


def test_a_pods_life(client, pods):
    created = client.create(PODS, make_pod("web"), "default")
    eventually(lambda: pods.store.get("default/web"))
    uid = created["metadata"]["uid"]
    answer = client.patch(
        PODS,
        "web",
        {"metadata": {"uid": uid}, "status": {"phase": "Running"}},
        "default",
        subresource="status",
    )
    pods.put(answer)
    assert pods.store.get("default/web")["status"]["phase"] == "Running"
    with pytest.raises((ApiConflict, ApiInvalid)):
        client.patch(PODS, "web", {"metadata": {"uid": "another"}}, "default", subresource="status")
    with pytest.raises(ApiInvalid):
        client.patch(PODS, "web", {"spec": {"nodeName": "x"}}, "default", content_type=MERGE_PATCH)
    options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid}}
    client.delete(PODS, "web", "default", options=options)
    eventually(lambda: pods.store.get("default/web") is None)
    with pytest.raises(ApiNotFound):
        client.get(PODS, "web", "default")
    name, last, gone = eventually(lambda: pods.told and pods.told[-1][2] is None and pods.told[-1])
    assert (name, gone) == ("web", None)
    assert last["status"]["phase"] == "Running"


def test_a_restart_of_the_control_plane_is_survived(client, plane, pods):
    client.create(PODS, make_pod("before"), "default")
    eventually(lambda: pods.store.get("default/before"))
    plane.stop(Deadline(10))
    eventually(lambda: pods.last_error)
    plane.start()
    eventually(lambda: pods.last_error is None)
    client.create(PODS, make_pod("after"), "default")
    eventually(lambda: pods.store.get("default/after"))
    assert len(pods.store) == 2


def test_events_are_accepted_as_they_are(client, pods, run):
    recorder = EventRecorder(client, component="vk/pod-controller", host="vk")
    run(recorder)
    client.create(PODS, make_pod("web"), "default")
    pod = eventually(lambda: pods.store.get("default/web"))
    for _ in range(3):
        recorder.event(pod, "Warning", "BackOff", "once more")
    recorder.event(client.get(NODES, "vk"), "Normal", "Starting", "hello")

    def count():
        items = client.list(EVENTS, "default", query={"fieldSelector": "involvedObject.name=web"})["items"]
        return [item["count"] for item in items] == [3]

    eventually(count)
    eventually(lambda: client.list(EVENTS, query={"fieldSelector": "involvedObject.kind=Node"})["items"])


def test_references_and_tokens(client, pods, run):
    references = References(client, pods.store)
    changed = []
    references.on_change(changed.append)
    run(references)
    pod = client.create(PODS, make_pod("web", envFrom=[{"configMapRef": {"name": "settings"}}]), "default")
    eventually(lambda: pods.store.get("default/web"))
    assert references.config_map("default", "settings") is None
    client.create(CONFIG_MAPS, {"metadata": {"name": "settings"}, "data": {"a": "1"}}, "default")
    eventually(lambda: changed == ["default/web"])
    assert references.config_map("default", "settings")["data"] == {"a": "1"}
    assert references.wait_synced(30)
    ports = [{"port": 80}]
    client.create(SERVICES, {"metadata": {"name": "db"}, "spec": {"ports": ports}}, "default")
    eventually(lambda: "db" in [s["metadata"]["name"] for s in references.services("default")])
    tokens = Tokens(client)
    token = tokens.token(pod, "vault", 3600)
    assert token
    assert tokens.token(pod, "vault", 3600) == token
