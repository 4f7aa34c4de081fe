"""The rights that the chart asks for: every request of an agent is among them, and no right is unused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import urllib3
import yaml
from support.devapi import Api, control_plane, pod
from support.provider import PushingProvider
from support.waiting import eventually

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.cli import check
from virtual_kubelet.kube import config
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.recorder import EventRecorder
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.settings import Settings

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))
from helm_template import render  # noqa: E402 - a script's module, found by the line above

USER = "system:serviceaccount:vk:virtual-kubelet"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
PLURALS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}


class Provider(PushingProvider):
    def bind(self, context):
        self.context = context


def rules_of(values):
    """Return the chart's RBAC objects."""
    text = render(ROOT / "charts" / "virtual-kubelet", values, namespace="vk")["rbac.yaml"]
    return [document for document in yaml.safe_load_all(text) if document]


def grant(api, objects):
    for item in objects:
        namespace = item["metadata"].get("namespace")
        where = f"{RBAC}/namespaces/{namespace}" if namespace else RBAC
        answer = api.create(f"{where}/{PLURALS[item['kind']]}", item)
        assert answer.status == 201, answer.data


def exercise(plane, api, tmp_path, where, **settings):
    """Let an agent do everything that it ever asks the API server for."""
    plane.write_kubeconfig(tmp_path / "kubeconfig", plane.token(USER, ["system:serviceaccounts"]))
    provider = Provider()
    pods = f"/api/v1/namespaces/{where}/pods"
    api.create(f"/api/v1/namespaces/{where}/configmaps", {"metadata": {"name": "some"}, "data": {"a": "1"}})
    api.create(f"/api/v1/namespaces/{where}/secrets", {"metadata": {"name": "some"}, "data": {"b": "Mg=="}})
    api.create(
        "/api/v1/namespaces/kube-system/configmaps",
        {"metadata": {"name": "extension-apiserver-authentication"}},
    )
    container = {
        "name": "c",
        "image": "i",
        "envFrom": [{"configMapRef": {"name": "some"}}, {"secretRef": {"name": "some"}}],
    }
    agent = VirtualKubelet(
        Settings(
            kubeconfig=str(tmp_path / "kubeconfig"), node_name="vk", node_ip="127.0.0.1", address="127.0.0.1",
            port=0, kube_api_qps=0, state_dir=str(tmp_path / "state"), **settings,
        ),
        provider,
    )  # fmt: skip
    with agent:
        agent.wait_ready(30)
        made = pod("web", spec={"nodeName": "vk", "containers": [container]})
        assert api.create(pods, made).status == 201
        eventually(lambda: api.get(f"{pods}/web").json["status"].get("phase") == "Running")
        running = api.get(f"{pods}/web").json
        provider.context.token(running, "", 3600)
        for _ in range(3):
            provider.context.event(running, "Normal", "Tried", "the same again")
        repeat_node_event(api, tmp_path)
        api.merge("/api/v1/nodes/vk", {"metadata": {"labels": {"type": None, "kubernetes.io/role": None}}})
        provider.conditions = [
            {"type": "DiskPressure", "status": "True", "reason": "Full", "message": "full"}
        ]
        eventually(
            lambda: plane.requests.all(verb="patch", resource="nodes", subresource="status", user=USER), 30
        )
        eventually(
            lambda: (
                {r.namespace for r in plane.requests.all(verb="patch", resource="events", user=USER)}
                >= {where, "default"}
            ),
            20,
        )
        eventually(lambda: plane.requests.all(verb="patch", resource="nodes", subresource="", user=USER))
        ask_the_node(plane, agent.port)
        if settings.get("rotate_server_certificates"):
            wanted = {"verb": "get", "resource": "certificatesigningrequests", "user": USER}
            eventually(lambda: plane.requests.all(**wanted), 30)
        assert api.delete(f"{pods}/web").status in {200, 202}
        eventually(lambda: api.get(f"{pods}/web").status == 404)
        # A node that is made anew is its lease's new owner; else the first renewal is ten seconds away.
        eventually(lambda: plane.requests.all(verb="create", resource="leases", user=USER))
        assert api.delete("/api/v1/nodes/vk").status == 200
        eventually(lambda: plane.requests.all(verb="update", resource="leases", user=USER))


def repeat_node_event(api, tmp_path):
    """Say one thing of the node three times, which nothing makes an agent do within a test's time."""
    client = Client(config.load(str(tmp_path / "kubeconfig")), qps=0)
    recorder = EventRecorder(client, component="vk/pod-controller", host="vk")
    recorder.start()
    for _ in range(3):
        recorder.event(api.get("/api/v1/nodes/vk").json, "Normal", "Tried", "the same again")

    def repeated():
        events = api.get("/api/v1/namespaces/default/events").json["items"]
        return any(e["involvedObject"]["kind"] == "Node" and (e.get("count") or 1) > 1 for e in events)

    eventually(repeated)
    recorder.stop(Deadline(10))
    client.close()


def ask_the_node(plane, port):
    """Call the agent's own API with a token: it asks the cluster who that is."""
    token = plane.token("somebody")
    pool = urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False, retries=False)
    with pytest.warns(urllib3.exceptions.InsecureRequestWarning):
        answer = pool.request(
            "GET", f"https://127.0.0.1:{port}/metrics", headers={"Authorization": f"Bearer {token}"}
        )
    assert answer.status == 403
    pool.clear()


def asked(plane):
    """Return what the agent asked for, in RBAC's words, but for what everybody may."""
    return [r for r in plane.requests.all(user=USER) if r.resource]


def covers(rule, namespace, request):
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    names = rule.get("resourceNames")
    return (
        request.verb in rule["verbs"]
        and request.group in rule["apiGroups"]
        and resource in rule["resources"]
        and (not names or request.name in names)
        and namespace in {None, request.namespace}
    )


def single_rights(objects):
    """Return each verb on each resource by itself, with the namespace that it is given in."""
    for item in objects:
        for rule in item.get("rules", ()):
            for verb in rule["verbs"]:
                for resource in rule["resources"]:
                    single = {**rule, "verbs": [verb], "resources": [resource]}
                    yield item["metadata"].get("namespace"), single


@pytest.mark.parametrize("namespace", ["", "team", "default"])
@pytest.mark.parametrize("rotate", [False, True])
def test_rights_are_enough_and_all_used(namespace, rotate, tmp_path):
    objects = rules_of({"monitoredNamespace": namespace, "rotateServerCertificates": rotate})
    with control_plane(schedule=False, approve_certificates=True) as plane:
        api = Api(plane)
        api.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
        grant(api, objects)
        exercise(
            plane,
            api,
            tmp_path,
            namespace or "default",
            namespace=namespace,
            rotate_server_certificates=rotate,
        )
        api.close()
        requests = asked(plane)
    rights = list(single_rights(objects))
    refused = {f"{r.verb} {r.path}" for r in requests if r.status == 403}
    uncovered = {
        f"{r.verb} {r.group}/{r.resource}/{r.subresource} in {r.namespace!r}"
        for r in requests
        if not any(covers(rule, where, r) for where, rule in rights)
    }
    unused = [
        f"{rule['verbs'][0]} {rule['resources'][0]} in {where or 'every namespace'}"
        for where, rule in rights
        if not any(covers(rule, where, r) for r in requests)
    ]
    assert (refused, uncovered, unused) == (set(), set(), [])


def test_every_rule_has_its_reason():
    lines = (ROOT / "charts/virtual-kubelet/templates/rbac.yaml").read_text().splitlines()
    rules = [number for number, line in enumerate(lines) if line.startswith("- apiGroups")]
    assert rules
    assert [lines[number] for number in rules if not lines[number - 1].startswith("# ")] == []


def test_check_asks_for_the_same_rights():
    """`virtual-kubelet check` looks for what the chart gives, no less and no more."""
    given = {
        (rule["verbs"][0], rule["apiGroups"][0], rule["resources"][0])
        for _, rule in single_rights(rules_of({"rotateServerCertificates": True}))
    }
    looked_for = {
        (right.verb, right.group, right.resource) for right in (*check.RIGHTS, *check.SERVING_RIGHTS)
    }
    assert looked_for == given
