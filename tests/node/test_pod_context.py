"""What providers may ask of the agent."""

from __future__ import annotations

import base64
import json

import pytest
from support.devapi import Api
from support.devapi import pod as api_pod
from support.podnode import Events
from support.waiting import eventually

from virtual_kubelet.errors import InvalidInput, Unavailable
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import load
from virtual_kubelet.kube.informer import Informer
from virtual_kubelet.kube.references import References
from virtual_kubelet.kube.resources import PODS
from virtual_kubelet.kube.tokens import Tokens
from virtual_kubelet.node.pod_context import NodePodContext
from virtual_kubelet.provider import PodContext
from virtual_kubelet.pure.environment import Facts
from virtual_kubelet.runtime.threads import Deadline
from virtual_kubelet.settings import Settings

CORE = "/api/v1/namespaces/default"


NODE = {"metadata": {"name": "vk", "labels": {"zone": "a"}}}


class Bench:
    def __init__(self, plane, tmp_path):
        path = tmp_path / "kubeconfig"
        plane.write_kubeconfig(str(path))
        self.api = Api(plane)
        self.client = Client(load(str(path)), qps=0)
        self.informer = Informer(self.client, PODS)
        self.references = References(self.client, self.informer.store)
        self.events = Events()
        self.context = NodePodContext(
            Settings(node_name="vk", namespace="default", state_dir="/state", cluster_dns=("10.0.0.10",)),
            node_ip="10.0.0.1",
            cluster_id="c-1",
            pods=self.informer.store,
            references=self.references,
            tokens=Tokens(self.client),
            facts=lambda: Facts(host_ips=("10.0.0.1",), allocatable={"cpu": "4"}),
            node=lambda: NODE,
            event=self.events,
        )
        self.informer.start()
        self.references.start()
        assert self.informer.wait_synced(30)
        assert self.references.wait_synced(30)

    def stop(self):
        self.references.stop(Deadline(5))
        self.informer.stop(Deadline(5))
        self.client.close()
        self.api.close()

    def apply(self, **spec):
        answer = self.api.create(f"{CORE}/pods", api_pod(spec={"nodeName": "vk", **spec}))
        assert answer.status == 201, answer.json
        return eventually(lambda: self.informer.store.get("default/web"))

    def secret(self, name, data, kind="Opaque"):
        encoded = {key: base64.b64encode(value).decode() for key, value in data.items()}
        assert self.api.create(f"{CORE}/secrets", {"metadata": {"name": name}, "type": kind, "data": encoded}).status == 201  # fmt: skip


@pytest.fixture
def bench(plane, tmp_path):
    bench = Bench(plane, tmp_path)
    yield bench
    bench.stop()


def main(*env):
    return [{"name": "main", "image": "busybox:1", "env": list(env)}]


def test_surroundings(bench):
    context: PodContext = bench.context
    assert (context.node_name, context.cluster_id, context.state_dir) == ("vk", "c-1", "/state")
    assert (context.namespace, context.node_ip) == ("default", "10.0.0.1")
    assert (context.cluster_domain, context.cluster_dns) == ("cluster.local", ("10.0.0.10",))
    assert context.pods() == []
    assert context.node() == NODE


def test_an_environment_with_what_is_known_only_now(bench):
    bench.secret("s", {"k": b"hush"})
    pod = bench.apply(
        containers=main(
            {"name": "LITERAL", "value": "$$(IP)"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "URL", "value": "http://$(IP):80/$(SECRET)"},
        )
    )
    # The provider's own copy has its environment resolved: it must not be expanded a second time.
    handed = {**pod, "spec": {"containers": main({"name": "LITERAL", "value": "$(IP)"})}}
    container = handed["spec"]["containers"][0]
    found = bench.context.environment(handed, container, ["10.1.0.5"])
    assert found["LITERAL"] == "$(IP)"
    assert found["URL"] == "http://10.1.0.5:80/hush"
    assert bench.context.secret_names(handed, container) == {"SECRET", "URL"}
    assert [item["metadata"]["name"] for item in bench.context.pods()] == ["web"]


def test_a_pod_that_the_api_server_no_longer_has_is_taken_as_it_is(bench):
    pod = {"metadata": {"namespace": "default", "name": "gone", "uid": "u"}, "spec": {"containers": main()}}
    pod["spec"]["containers"][0]["env"] = [{"name": "A", "value": "1"}]
    assert bench.context.environment(pod, pod["spec"]["containers"][0], [])["A"] == "1"


def test_a_missing_reference_may_come(bench):
    pod = bench.apply(
        containers=main({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}})
    )
    with pytest.raises(Unavailable, match='configmap "c" not found'):
        bench.context.environment(pod, pod["spec"]["containers"][0], [])


def test_what_is_never_resolved_is_invalid(bench):
    field = {"fileKeyRef": {"volumeName": "files", "path": "a", "key": "k"}}
    pod = bench.apply(
        containers=main({"name": "A", "valueFrom": field}), volumes=[{"name": "files", "emptyDir": {}}]
    )
    with pytest.raises(InvalidInput):
        bench.context.environment(pod, pod["spec"]["containers"][0], [])


def test_files_of_volumes(bench):
    bench.api.create(f"{CORE}/configmaps", {"metadata": {"name": "c"}, "data": {"a.txt": "text"}})
    volume = {"name": "v", "configMap": {"name": "c", "defaultMode": 0o600}}
    pod = bench.apply(containers=main(), volumes=[volume, {"name": "w", "secret": {"secretName": "none"}}])
    files = bench.context.files(pod, pod["spec"]["volumes"][0])
    assert {path: (file.content, file.mode) for path, file in files.items()} == {"a.txt": (b"text", 0o600)}
    with pytest.raises(Unavailable, match="none"):
        bench.context.files(pod, pod["spec"]["volumes"][1])
    assert bench.events.reasons() == ["FailedMount"]


def test_a_change_of_a_map_is_told(bench):
    bench.api.create(f"{CORE}/configmaps", {"metadata": {"name": "c"}, "data": {"k": "1"}})
    told = []
    bench.context.on_change(lambda namespace, name: told.append((namespace, name)))
    pod = bench.apply(
        containers=main({"name": "A", "valueFrom": {"configMapKeyRef": {"name": "d", "key": "k"}}})
    )
    with pytest.raises(Unavailable):
        bench.context.environment(pod, pod["spec"]["containers"][0], [])
    bench.api.create(f"{CORE}/configmaps", {"metadata": {"name": "d"}, "data": {"k": "1"}})
    eventually(lambda: ("default", "web") in told)


def test_pull_secrets_are_those_that_are_there_and_are_some(bench, caplog):
    auths = {"auths": {"registry": {"auth": "eDp5"}}}
    bench.secret("new", {".dockerconfigjson": json.dumps(auths).encode()}, "kubernetes.io/dockerconfigjson")
    bench.secret("old", {".dockercfg": json.dumps(auths["auths"]).encode()}, "kubernetes.io/dockercfg")
    bench.secret("other", {"k": b"v"})
    names = ("new", "old", "other", "missing")
    pod = bench.apply(containers=main(), imagePullSecrets=[{"name": name} for name in names])
    assert bench.context.pull_secrets(pod) == [auths, auths]


@pytest.mark.parametrize("content", [b"not json hush", b"[1]"])
def test_a_spoilt_pull_secret_is_left_out_and_not_shown(content, caplog):
    from virtual_kubelet.node.pod_context import _decoded

    secret = {
        "type": "kubernetes.io/dockerconfigjson",
        "data": {".dockerconfigjson": base64.b64encode(content).decode()},
    }
    assert _decoded(secret) is None
    assert "hush" not in caplog.text


def test_tokens_are_bound_to_the_pod(bench, plane):
    pod = bench.apply(containers=main())
    token = bench.context.token(pod, "vault", 3600)
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["aud"] == ["vault"]
    assert claims["kubernetes.io"]["pod"]["uid"] == pod["metadata"]["uid"]
    plane.faults.fail(503, times=-1, resource="serviceaccounts")
    with pytest.raises(Unavailable):
        bench.context.token(pod, "other", 3600)


def test_events(bench):
    bench.context.event({"metadata": {"name": "web"}}, "Normal", "Pulled", "m")
    assert bench.events.seen == [("web", "Normal", "Pulled", "m")]
