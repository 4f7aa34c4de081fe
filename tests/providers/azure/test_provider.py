"""The node, its numbers and its ports; what the contract wants of the whole."""

from __future__ import annotations

import socket
import threading

import pytest
from support.azure.io import FakeIO
from support.pods import make_pod
from support.waiting import eventually

from virtual_kubelet import provider as contract
from virtual_kubelet.errors import ConfigError, Unavailable
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure import transport as transport_module
from virtual_kubelet.providers.azure.metrics import latest
from virtual_kubelet.providers.azure.provider import create
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.threads import spawn


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(transport_module, "PAUSES", Backoff(initial=0.001, maximum=0.002))


@pytest.mark.parametrize(
    "ability",
    [
        contract.Provider,
        contract.Binding,
        contract.ConfiguringNode,
        contract.Pinging,
        contract.KeepingLogs,
        contract.Executing,
        contract.Attaching,
        contract.PortForwarding,
        contract.Measuring,
        contract.Closing,
        contract.Purging,
    ],
)
def test_abilities(provider, ability):
    assert isinstance(provider, ability)


def test_a_configuration_that_will_not_do():
    with pytest.raises(ConfigError, match="AZURE_AUTH_LOCATION"):
        create(ProviderConfig(node_name="vk"))


def test_capacity_as_configured(make_provider):
    provider = make_provider(settings='[Others]\n"nvidia.com/gpu" = 2', ACI_QUOTA_CPU="7", ACI_QUOTA_POD="8")
    provider2 = make_provider(ACI_QUOTA_CPU="7", ACI_QUOTA_POD="8", ACI_QUOTA_MEMORY="9Gi")
    assert provider.capacity() == {"cpu": "7", "memory": "40Gi", "pods": "8", "nvidia.com/gpu": "2"}
    assert provider2.capacity() == {"cpu": "7", "memory": "9Gi", "pods": "8"}


def test_capacity_from_the_regions_quotas_read_seldom(arm, provider):
    for _ in range(5):
        assert provider.capacity() == {"cpu": "10", "memory": "40Gi", "pods": "100"}
    assert arm.count("GET", "usages") == 1


def test_capacity_without_the_right_to_read_quotas(arm, provider):
    arm.faults.add("401", path="usages")
    assert provider.capacity() == {"cpu": "20", "memory": "100Gi", "pods": "20"}
    assert provider.node_conditions()[0]["status"] == "True"


def test_the_system(provider, make_provider):
    assert provider.operating_system() == "Linux"
    assert make_provider(settings='OperatingSystem = "Windows"').operating_system() == "Windows"


def test_the_node(provider):
    node = {"metadata": {"name": "vk"}}
    provider.configure_node(node)
    assert node["metadata"]["labels"] == {
        "alpha.service-controller.kubernetes.io/exclude-balancer": "true",
        "node.kubernetes.io/exclude-from-external-load-balancers": "true",
        "kubernetes.azure.com/managed": "false",
        "topology.kubernetes.io/region": "westeurope",
    }


def ready(provider):
    (condition,) = provider.node_conditions()
    return condition["status"], condition["reason"]


def test_the_node_is_ready_as_arm_answers(arm, provider):
    provider.ping()
    assert ready(provider) == ("True", "KubeletReady")
    fault = arm.faults.add("503")
    for _ in range(3):
        with pytest.raises(Unavailable):
            provider.get_pods()
    assert ready(provider) == ("False", "AzureUnreachable")
    with pytest.raises(Unavailable):
        provider.ping()
    fault.times = 0
    provider.ping()
    assert ready(provider) == ("True", "KubeletReady")


def test_a_ping_asks_only_after_a_silence(arm, provider):
    provider.ping()
    provider.ping()
    provider.get_pods()
    provider.ping()
    assert arm.count("GET") == 2


def test_wrong_credentials_are_named(arm, make_provider):
    arm_secret = make_provider(
        AZURE_CLIENT_ID="client-1", AZURE_CLIENT_SECRET="wrong", AZURE_TENANT_ID="tenant-1"
    )
    for _ in range(3):
        with pytest.raises(Exception, match="AADSTS7000215"):
            arm_secret.get_pods()
    assert ready(arm_secret) == ("False", "AzureUnauthorized")


def test_a_token_that_ends_early_is_replaced(arm, provider):
    provider.get_pods()
    arm.tokens.clear()
    provider.get_pods()
    assert arm.token_requests == 2


@pytest.fixture
def running(arm, provider):
    pod = make_pod(containers=[{"name": "main", "image": "i", "ports": [{"containerPort": 80}]}])
    provider.create_pod(pod)
    arm.time.advance(10)
    provider.get_pods()
    return pod


def test_numbers(arm, provider, running):
    name = arm.of_pod("web").name
    arm.metrics[name, "main"] = (250.0, 64_000_000.0)
    summary = provider.stats_summary()
    (pod,) = summary["pods"]
    (container,) = pod["containers"]
    assert pod["podRef"] == {"name": "web", "namespace": "default", "uid": running["metadata"]["uid"]}
    assert container["cpu"]["usageNanoCores"] == 250_000_000
    assert container["memory"]["workingSetBytes"] == 64_000_000
    assert pod["memory"]["usageBytes"] == summary["node"]["memory"]["usageBytes"] == 64_000_000
    provider.stats_summary()
    assert arm.count("GET", "Insights") == 1


def test_the_counter_of_cpu_time_grows(arm, provider, running, monkeypatch):
    name = arm.of_pod("web").name
    monkeypatch.setattr("virtual_kubelet.providers.azure.metrics.INTERVAL", 0.0)
    arm.metrics[name, "main"] = (500.0, 1.0)
    used = []
    for _ in range(3):
        used.append(provider.stats_summary()["pods"][0]["containers"][0]["cpu"]["usageCoreNanoSeconds"])
        arm.time.advance(60)
    assert used == [0, 30 * 10**9, 60 * 10**9]


def test_no_numbers_are_no_error(arm, provider, running):
    assert provider.stats_summary()["pods"] == []
    arm.faults.add("503", path="Insights")
    assert provider.stats_summary()["node"]["cpu"]


def test_the_newest_point_of_each_container():
    def series(container, *points):
        return {
            "metadatavalues": [{"name": {"value": "containerName"}, "value": container}],
            "data": [{"timeStamp": f"2026-01-01T00:0{minute}:00Z", **value} for minute, value in points],
        }

    answer = {
        "value": [
            {
                "name": {"value": "CpuUsage"},
                "timeseries": [series("a", (2, {"average": 7}), (1, {"average": 5}), (3, {}))],
            },
            {"name": {"value": "MemoryUsage"}, "timeseries": [series("b", (1, {"average": 9.5}))]},
            {"name": {"value": "Other"}, "timeseries": None},
        ]
    }
    points = latest(answer)
    assert (points["a"].cpu, points["a"].memory, points["b"].memory) == (7.0, None, 9.5)


class FakeStream:
    def __init__(self, io):
        self.io = io
        self.ended = threading.Event()

    def read(self, size=32768):
        return self.io.read_stdin()

    def write(self, data):
        self.io.write_stdout(data)

    def close_write(self):
        self.ended.set()

    def on_close(self, callback):
        self.io.on_close(callback)


@pytest.fixture
def echo():
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            while data := connection.recv(100):
                connection.sendall(data.upper())

    thread = spawn(serve, name="echo")
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(30)


def test_a_port_is_forwarded_to_the_groups_address(arm, provider, running, echo):
    arm.of_pod("web").ip = "127.0.0.1"
    io = FakeIO(stdin=True)
    stream = FakeStream(io)
    thread = spawn(
        provider.port_forward, "default", "web", running["metadata"]["uid"], echo, stream, name="forward"
    )
    io.type(b"hello")
    eventually(lambda: io.output == b"HELLO")
    io.type(None)
    thread.join(30)
    assert stream.ended.is_set()


def test_a_client_that_goes_ends_forwarding(arm, provider, running, echo):
    arm.of_pod("web").ip = "127.0.0.1"
    io = FakeIO(stdin=True)
    thread = spawn(
        provider.port_forward,
        "default",
        "web",
        running["metadata"]["uid"],
        echo,
        FakeStream(io),
        name="forward",
    )
    io.type(b"x")
    eventually(lambda: io.output == b"X")
    io.hang_up()
    thread.join(30)
    assert not thread.is_alive()


def test_a_port_that_cannot_be_reached(arm, provider, running):
    arm.of_pod("web").ip = "127.0.0.1"
    with pytest.raises(Unavailable, match="port 1 of container group address 127.0.0.1 cannot be reached"):
        provider.port_forward("default", "web", running["metadata"]["uid"], 1, FakeStream(FakeIO()))


def test_a_group_without_an_address(arm, provider):
    pod = make_pod()
    provider.create_pod(pod)
    arm.time.advance(10)
    with pytest.raises(Unavailable, match="has no address"):
        provider.port_forward("default", "web", pod["metadata"]["uid"], 80, FakeStream(FakeIO()))
