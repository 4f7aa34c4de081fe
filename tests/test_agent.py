"""A whole agent: start, trouble, stop."""

from __future__ import annotations

import base64
import socket
import threading

import pytest
from cryptography import x509
from support.devapi import Api, control_plane, pod
from support.ports import held_port
from support.provider import PushingProvider, ScriptedProvider
from support.waiting import eventually

from virtual_kubelet.agent import VirtualKubelet
from virtual_kubelet.errors import ApiUnavailable, ConfigError, ProviderError, Unavailable
from virtual_kubelet.runtime.threads import Deadline, spawn
from virtual_kubelet.settings import Settings, TaintSetting

PODS = "/api/v1/namespaces/default/pods"


class Whole(PushingProvider):
    """With the abilities that are about the agent itself."""

    def __init__(self):
        super().__init__()
        self.context = None
        self.closed = []

    def bind(self, context):
        self.called("bind", None)
        self.context = context

    def ping(self):
        self.called("ping", None)

    def close(self, deadline):
        self.closed.append(deadline)


@pytest.fixture
def plane():
    with held_port() as port, control_plane(port=port) as plane:  # nobody takes it while the plane is stopped
        yield plane


@pytest.fixture
def api(plane):
    api = Api(plane)
    yield api
    api.close()


@pytest.fixture
def settings(plane, tmp_path):
    path = tmp_path / "kubeconfig"
    plane.write_kubeconfig(str(path))

    def make(**changes):
        values = {
            "kubeconfig": str(path),
            "node_name": "vk",
            "node_ip": "127.0.0.1",
            "address": "127.0.0.1",
            "port": 0,
            "kube_api_qps": 0,
            "provider_sync_period": 0.2,
            "taints": (TaintSetting("virtual-kubelet.io/provider", "test"),),
            **changes,
        }
        return Settings(**values)

    return make


def phase(api, name):
    return api.get(f"{PODS}/{name}").json.get("status", {}).get("phase")


def run_pod(api, name="web", node="vk"):
    assert api.create(PODS, pod(name, spec={"nodeName": node})).status == 201
    eventually(lambda: phase(api, name) == "Running", message=f"{name} never ran")


def test_a_node_from_start_to_stop(settings, api):
    provider = Whole()
    with VirtualKubelet(settings(), provider) as agent:
        agent.wait_ready(30)
        eventually(agent.ready)
        assert agent.healthy()
        run_pod(api)
        node = api.get("/api/v1/nodes/vk").json
        assert node["spec"]["taints"][0]["value"] == "test"
        assert node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == agent.port
        assert node["status"]["declaredFeatures"] == ["ExtendWebSocketsToKubelet"]
        assert (
            provider.context.cluster_id == api.get("/api/v1/namespaces/kube-system").json["metadata"]["uid"]
        )
    assert provider.count("bind") == 1
    assert len(provider.closed) == 1
    assert phase(api, "web") == "Running", "workloads go on"
    assert api.get("/api/v1/nodes/vk").status == 200
    assert not agent.ready()


class Elsewhere(ScriptedProvider):
    """Its node has an address that nobody else knows."""

    def node_addresses(self):
        return [{"type": "InternalIP", "address": "10.9.8.7"}, {"type": "Hostname", "address": "vk.example"}]


def test_a_serving_certificate_is_requested_once_the_nodes_addresses_are_known(settings, api):
    requests = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
    with VirtualKubelet(settings(rotate_server_certificates=True), Elsewhere()):
        eventually(lambda: api.get(requests).json["items"])
    (request,) = api.get(requests).json["items"]
    found = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(names.get_values_for_type(x509.DNSName)) == {"vk", "vk.example"}
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["10.9.8.7"]


def test_two_agents_live_in_one_process(settings, api):
    with (
        VirtualKubelet(settings(node_name="one"), ScriptedProvider()) as one,
        VirtualKubelet(settings(node_name="two"), PushingProvider()) as two,
    ):
        one.wait_ready(30)
        two.wait_ready(30)
        run_pod(api, "a", "one")
        run_pod(api, "b", "two")
        assert one.port != two.port


def test_an_agent_is_started_once_and_stopped_often(settings):
    agent = VirtualKubelet(settings(), Whole())
    assert not agent.ready()
    assert not agent.healthy()
    with pytest.raises(RuntimeError, match="not been started"):
        agent.wait_ready(1)
    agent.start()
    with pytest.raises(RuntimeError, match="started once"):
        agent.start()
    agent.stop()
    agent.stop()
    assert len(agent.provider.closed) == 1


def test_run_ends_when_somebody_stops_it(settings):
    agent = VirtualKubelet(settings(), ScriptedProvider())
    thread = spawn(agent.run, name="runner")
    eventually(agent.ready)
    agent.stop()
    thread.join(30)
    assert not thread.is_alive()


# --- start


def test_an_api_server_that_comes_late_is_waited_for(settings, plane, api, caplog):
    plane.stop(Deadline(5))
    agent = VirtualKubelet(settings(), ScriptedProvider())
    thread = spawn(agent.start, name="starter")
    eventually(lambda: "waiting for the API server" in caplog.text)
    assert not agent.ready()
    plane.start()
    agent_ready = threading.Event()
    eventually(lambda: agent.ready() or agent_ready.is_set())
    thread.join(30)
    agent.stop()
    assert len([r for r in caplog.records if "waiting for the API server" in r.message]) == 1


def test_the_wait_has_an_end(settings, plane):
    plane.stop(Deadline(5))
    agent = VirtualKubelet(settings(startup_timeout=0.2), Whole())
    with pytest.raises(ApiUnavailable, match="within 0.2 s"):
        agent.start()
    assert len(agent.provider.closed) == 1


def test_a_stop_ends_the_wait(settings, plane, caplog):
    plane.stop(Deadline(5))
    agent = VirtualKubelet(settings(), ScriptedProvider())
    thread = spawn(agent.run, name="runner")
    eventually(lambda: "waiting for the API server" in caplog.text)
    agent.stop()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ({"status": 401}, "does not accept the credentials"),
        ({"status": 403, "resource": "pods"}, "does not let this agent list pods"),
        ({"status": 403, "resource": "nodes"}, "does not let this agent read its node"),
        ({"status": 400, "resource": "pods"}, "refuses to serve"),
    ],
)
def test_what_waiting_cannot_mend_ends_the_start(settings, plane, fault, text):
    plane.faults.fail(fault.pop("status"), times=-1, **fault)
    agent = VirtualKubelet(settings(), ScriptedProvider())
    with pytest.raises(ConfigError, match=text) as caught:
        agent.start()
    assert "\n" not in str(caught.value)


def test_a_server_that_is_not_trusted(settings, plane, tmp_path):
    with control_plane() as other:
        path = tmp_path / "wrong"
        other.write_kubeconfig(str(path))
        path.write_text(path.read_text().replace(other.url, plane.url))
        agent = VirtualKubelet(settings(kubeconfig=str(path)), ScriptedProvider())
        with pytest.raises(ConfigError, match="is not trusted"):
            agent.start()


def test_a_port_that_is_taken(settings):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        agent = VirtualKubelet(settings(port=taken.getsockname()[1]), ScriptedProvider())
        with pytest.raises(ConfigError, match=str(taken.getsockname()[1])):
            agent.start()


def test_a_kubeconfig_that_is_none(settings, tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        VirtualKubelet(settings(kubeconfig=str(tmp_path / "nowhere")), ScriptedProvider()).start()


def test_a_provider_that_cannot_begin(settings):
    provider = Whole()
    provider.fail("bind", ProviderError("no disk"))
    with pytest.raises(ProviderError, match="no disk"):
        VirtualKubelet(settings(), provider).start()
    assert len(provider.closed) == 1


def test_waiting_for_ready_says_why_not(settings):
    provider = Whole()
    provider.fail("ping", *[Unavailable("no route")] * 100)
    with VirtualKubelet(settings(), provider) as agent:
        eventually(lambda: agent._node.controller.problem)  # the first ping comes on a thread of its own
        with pytest.raises(ApiUnavailable, match="no route"):
            agent.wait_ready(0.3)
        assert not agent.ready()
        assert agent.healthy()


# --- trouble later


def test_an_api_server_that_goes_and_comes_back(settings, plane, api):
    provider = Whole()
    with VirtualKubelet(settings(), provider) as agent:
        agent.wait_ready(30)
        for name in ("a", "b", "c"):
            run_pod(api, name)
        plane.stop(Deadline(5))
        eventually(lambda: not agent.ready())
        provider.set_status("a", {"phase": "Running", "podIP": "10.1.0.5"})
        provider.set_status("b", {"phase": "Failed"})
        plane.start()
        eventually(lambda: api.get(f"{PODS}/a").json["status"].get("podIP") == "10.1.0.5", timeout=30)
        eventually(lambda: phase(api, "b") == "Failed", timeout=30)
        eventually(agent.ready, timeout=30)
        run_pod(api, "d")
    assert provider.count("create_pod") == 4
    assert provider.count("delete_pod") == 0


def test_a_restart_with_pods_running_changes_nothing(settings, plane, api):
    provider = Whole()
    with VirtualKubelet(settings(), provider) as agent:
        agent.wait_ready(30)
        for number in range(20):
            run_pod(api, f"web-{number}")
    before = {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in api.get(PODS).json["items"]
    }
    plane.requests.clear()
    with VirtualKubelet(settings(), provider) as agent:
        agent.wait_ready(30)
        eventually(agent.ready)
        eventually(lambda: not agent._node.pods._queue.in_hand() and not agent._node.pods._queue.ready())
    after = {
        item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in api.get(PODS).json["items"]
    }
    assert after == before
    assert provider.count("create_pod") == 20


def test_a_stop_does_not_wait_for_a_provider_that_hangs(settings, api):
    provider = Whole()
    with provider.hanging("create_pod") as gate:
        agent = VirtualKubelet(settings(), provider)
        agent.start()
        agent.wait_ready(30)
        api.create(PODS, pod("web", spec={"nodeName": "vk"}))
        eventually(lambda: provider.count("create_pod") == 1)
        agent.stop(0.5)
        gate.set()


def test_only_one_namespace(settings, api):
    api.create("/api/v1/namespaces", {"metadata": {"name": "other"}})
    with VirtualKubelet(settings(namespace="default"), ScriptedProvider()) as agent:
        agent.wait_ready(30)
        api.create("/api/v1/namespaces/other/pods", pod("theirs", spec={"nodeName": "vk"}))
        run_pod(api, "ours")
        assert agent.provider.count("create_pod") == 1


# -- stops at odd moments


def test_a_second_stop_waits_for_the_first(settings, api):
    provider = Whole()
    agent = VirtualKubelet(settings(), provider)
    agent.start()
    agent.wait_ready(30)
    with provider.hanging("create_pod") as gate:
        assert api.create(PODS, pod("web", spec={"nodeName": "vk"})).status == 201
        eventually(lambda: provider.count("create_pod") == 1)
        stops = [spawn(agent.stop, 60, name=f"stop-{number}") for number in range(2)]
        stops[0].join(0.5)
        stops[1].join(0.5)
        assert provider.closed == [], "it is still at work"
        gate.set()
        for stop in stops:
            stop.join(30)
    assert phase(api, "web") == "Running"
    assert len(provider.closed) == 1


def test_who_waits_for_ready_is_told_of_a_stop_before_the_start(settings, plane, caplog):
    plane.stop(Deadline(5))
    agent = VirtualKubelet(settings(), ScriptedProvider())
    runner = spawn(agent.run, name="runner")
    eventually(lambda: "waiting for the API server" in caplog.text)
    refused = []

    def wait():
        with pytest.raises(ApiUnavailable):
            agent.wait_ready()
        refused.append(True)

    waiter = spawn(wait, name="waiter")
    agent.stop()
    for thread in (runner, waiter):
        thread.join(30)
    assert refused


def test_a_provider_that_hangs_over_its_node_keeps_no_process_alive(settings):
    provider, gate, asked = Whole(), threading.Event(), threading.Event()

    def capacity():
        asked.set()
        gate.wait(60)
        return {}

    with VirtualKubelet(settings(), provider) as agent:
        agent.wait_ready(30)
        provider.capacity = capacity
        agent._node.controller.report_soon()
        assert asked.wait(30)
        agent.stop(0.5)
        late = [thread for thread in threading.enumerate() if thread.name == "node-status"]
        assert [thread.daemon for thread in late] == [True]
        gate.set()
        for thread in late:
            thread.join(30)
