"""kubectl in front, the whole agent in between, the fake ARM behind: each feature as a user meets it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess

import pytest
from support.azure.arm import FakeArm
from support.waiting import eventually

from virtual_kubelet.errors import ApiNotFound
from virtual_kubelet.kube.resources import NODES, PODS
from virtual_kubelet.provider import ProviderConfig
from virtual_kubelet.providers.azure import removal
from virtual_kubelet.providers.azure.provider import create
from virtual_kubelet.pure.backoff import Backoff
from virtual_kubelet.runtime.threads import spawn
from virtual_kubelet.testing.cluster import DevCluster

pytestmark = [
    pytest.mark.live,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed"),
]

NEW = "microsoft.containerinstance.virtualnode."
IDENTITY = "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i"


class Bench:
    """One cluster with one Azure node."""

    def __init__(self, cluster, arm):
        self.cluster, self.arm = cluster, arm

    def kubectl(self, *args, given=None, fails=False):
        command = ["kubectl", "--kubeconfig", self.cluster.kubeconfig, *args]
        done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode != 0) is fails, f"{args}: {done.stdout} {done.stderr}"
        return done.stderr if fails else done.stdout

    def apply(self, *objects):
        self.kubectl(
            "apply", "-f", "-", given=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
        )

    def run(self, name, *, annotations=None, **spec):
        spec.setdefault("containers", [{"name": "main", "image": "busybox:1"}])
        spec = {"tolerations": [{"operator": "Exists"}], "terminationGracePeriodSeconds": 60, **spec}
        metadata = {"name": name, "namespace": "default", "annotations": annotations or {}}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})

    def pod(self, name):
        return self.cluster.client.get(PODS, name, "default")

    def until(self, name, phase):
        def there():
            pod = self.pod(name)
            return pod if pod["status"].get("phase") == phase else None

        with contextlib.suppress(AssertionError):
            return eventually(there, timeout=30)
        raise AssertionError(f"{name} did not become {phase}: {self.pod(name)['status']}")

    def up(self, name, **spec):
        """Run a pod; return its container group when it runs."""
        self.run(name, **spec)
        self.until(name, "Running")
        return self.arm.of_pod(name)

    def events(self, name):
        return self.kubectl("get", "events", "--field-selector", f"involvedObject.name={name}", "-o", "wide")

    def refused(self, name, words, **spec):
        self.run(name, **spec)
        eventually(lambda: words in json.dumps(self.pod(name)["status"]))
        assert self.pod(name)["status"]["phase"] == "Pending"
        eventually(lambda: words in self.events(name))
        assert not [group for group in self.arm.groups.all() if group.body["tags"]["PodName"] == name]


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.setattr(removal, "PAUSES", Backoff(initial=0.1, maximum=1))
    monkeypatch.setattr("virtual_kubelet.providers.azure.transport.REFUSED_PAUSE", 2.0)
    monkeypatch.setattr("virtual_kubelet.providers.azure.logs.SHORTEST", 0.1)
    monkeypatch.setattr("virtual_kubelet.providers.azure.logs.LONGEST", 0.3)
    with FakeArm(speed=10, start_seconds=3, delete_seconds=3) as arm:

        def make(given):
            environ = {**arm.environ(tmp_path / "auth.json"), "LOG_ANALYTICS_KEY": "w0rkspace"}
            settings = tmp_path / "azure.toml"
            settings.write_text('LogAnalyticsId = "workspace"\n[Others]\n"nvidia.com/gpu" = 4\n')
            config = ProviderConfig(node_name=given.node_name, config_path=str(settings), environ=environ)
            return create(config)

        with DevCluster(make, node_name="aci", provider_sync_period=0.5) as cluster:
            yield Bench(cluster, arm)


# Each feature is a function; one cluster serves all of them.


def logs(bench):
    group = bench.up("logs", restartPolicy="Never")
    group.write("main", "one", "two", "three")
    assert bench.kubectl("logs", "logs") == "one\ntwo\nthree\n"
    assert bench.kubectl("logs", "logs", "--tail=1") == "three\n"
    assert re.fullmatch(r"\S+Z three\n", bench.kubectl("logs", "logs", "--tail=1", "--timestamps"))
    assert bench.kubectl("logs", "logs", "--limit-bytes=5") == "one\nt"
    seen = []
    before = bench.arm.count("GET", "/logs")
    follower = spawn(lambda: seen.append(bench.kubectl("logs", "-f", "--tail=1", "logs")), name="follow")
    eventually(lambda: bench.arm.count("GET", "/logs") > before)
    group.write("main", "four")
    group.terminate("main", exit_code=0)
    follower.join(30)
    assert seen == ["three\nfour\n"]
    bench.until("logs", "Succeeded")


def exec_and_attach(bench):
    group = bench.up("exec")
    assert bench.kubectl("exec", "exec", "--", "sh", "-c", "echo a  b; echo 'c  d'") == "a b\nc  d\n"
    assert bench.kubectl("exec", "-i", "exec", "--", "cat", given="typed\n") == "typed\n"
    group.write("main", "attached")
    command = ["kubectl", "--kubeconfig", bench.cluster.kubeconfig, "attach", "exec"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as attached:
        assert attached.stdout.readline() == "attached\n"
        attached.terminate()


def port_forward(bench):
    group = bench.up("ports", containers=[{"name": "main", "image": "i", "ports": [{"containerPort": 80}]}])
    assert group.body["properties"]["ipAddress"]["ports"] == [{"port": 80, "protocol": "TCP"}]
    group.ip = "127.0.0.1"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            connection, _ = listener.accept()
            with connection:
                connection.sendall(connection.recv(100).upper())

        server = spawn(serve, name="served")
        port = listener.getsockname()[1]
        command = [
            "kubectl",
            "--kubeconfig",
            bench.cluster.kubeconfig,
            "port-forward",
            "pod/ports",
            f":{port}",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forwarder:
            try:
                local = int(re.search(r":(\d+) ->", forwarder.stdout.readline())[1])
                with socket.create_connection(("127.0.0.1", local), timeout=60) as client:
                    client.sendall(b"hello")
                    assert client.recv(100) == b"HELLO"
            finally:
                forwarder.terminate()
        server.join(30)


def environment_and_volumes(bench):
    bench.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"key": "s3cret"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"key": "plain"}},
    )
    env = [
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "key"}}},
        {"name": "CONFIG", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "key"}}},
        {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        {"name": "BOTH", "value": "$(CONFIG)-$(NODE)"},
    ]
    downward = {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.name"}}]}
    group = bench.up(
        "env",
        volumes=[
            {"name": "s", "secret": {"secretName": "s"}},
            {"name": "c", "configMap": {"name": "c", "items": [{"key": "key", "path": "renamed"}]}},
            {"name": "d", "downwardAPI": downward},
            {"name": "e", "emptyDir": {}},
        ],
        containers=[
            {
                "name": "main",
                "image": "i",
                "command": ["echo", "$(BOTH)"],
                "env": env,
                "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in "scde"],
            }
        ],
    )
    properties = group.body["properties"]
    container = properties["containers"][0]["properties"]
    variables = {item["name"]: item for item in container["environmentVariables"]}
    assert variables["SECRET"] == {"name": "SECRET", "secureValue": "s3cret"}
    assert variables["BOTH"] == {"name": "BOTH", "value": "plain-aci"}
    assert container["command"] == ["echo", "plain-aci"]
    held = {item["name"]: item for item in properties["volumes"]}
    assert held["s"]["secret"] == {"key": "czNjcmV0"}
    assert held["c"]["secret"] == {"renamed": "cGxhaW4="}
    assert held["d"]["secret"] == {"labels": "ZW52"}
    assert held["e"] == {"name": "e", "emptyDir": {}}
    token = next(item for name, item in held.items() if name.startswith("kube-api-access"))
    assert set(token["secret"]) == {"token", "ca.crt", "namespace"}


def shares_and_repositories(bench):
    account = {"azurestorageaccountname": "account", "azurestorageaccountkey": "k3y"}
    bench.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "storage"}, "stringData": account}
    )
    csi = {"driver": "file.csi.azure.com", "volumeAttributes": {"shareName": "b", "secretName": "storage"}}
    group = bench.up(
        "shares",
        volumes=[
            {"name": "a", "azureFile": {"shareName": "a", "secretName": "storage", "readOnly": True}},
            {"name": "b", "csi": csi},
            {"name": "r", "gitRepo": {"repository": "https://example/r", "revision": "1"}},
        ],
        containers=[
            {
                "name": "main",
                "image": "i",
                "volumeMounts": [{"name": name, "mountPath": f"/{name}"} for name in "abr"],
            }
        ],
    )
    held = {item["name"]: item for item in group.body["properties"]["volumes"]}
    assert held["a"]["azureFile"] == {
        "shareName": "a",
        "readOnly": True,
        "storageAccountName": "account",
        "storageAccountKey": "k3y",
    }
    assert held["b"]["azureFile"]["shareName"] == "b"
    assert held["r"]["gitRepo"] == {"repository": "https://example/r", "revision": "1"}


def subnet_dns_and_log_analytics(bench):
    subnet = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v/subnets/n"
    properties = bench.up(
        "inside",
        annotations={f"{NEW}subnets.primary": subnet},
        dnsPolicy="None",
        dnsConfig={
            "nameservers": ["10.0.0.10"],
            "searches": ["a.example", "b.example"],
            "options": [{"name": "ndots", "value": "2"}],
        },
    ).body["properties"]
    assert properties["subnetIds"] == [{"id": subnet}]
    assert "ipAddress" not in properties
    assert properties["dnsConfig"] == {
        "nameServers": ["10.0.0.10"],
        "searchDomains": "a.example b.example",
        "options": "ndots:2",
    }
    analytics = properties["diagnostics"]["logAnalytics"]
    assert (analytics["workspaceId"], analytics["workspaceKey"]) == ("workspace", "w0rkspace")
    assert analytics["metadata"]["pod-uuid"] == bench.pod("inside")["metadata"]["uid"]
    assert bench.pod("inside")["status"]["podIP"].startswith("10.")


def init_containers_probes_and_sizes(bench):
    group = bench.up(
        "whole",
        initContainers=[{"name": "init", "image": "i", "command": ["true"]}],
        containers=[
            {
                "name": "main",
                "image": "i",
                "ports": [
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "web", "containerPort": 80},
                ],
                "resources": {
                    "requests": {"cpu": "250m", "memory": "512Mi"},
                    "limits": {"cpu": "2", "memory": "1Gi"},
                },
                "livenessProbe": {"exec": {"command": ["true"]}},
                "readinessProbe": {"httpGet": {"port": "web"}},
            }
        ],
    )
    container = group.containers[0]["properties"]
    assert container["resources"] == {
        "requests": {"cpu": 0.25, "memoryInGB": 0.5},
        "limits": {"cpu": 0.25, "memoryInGB": 0.5},
    }
    assert container["ports"][0] == {"port": 53, "protocol": "UDP"}
    assert container["readinessProbe"]["httpGet"]["port"] == 80
    status = bench.pod("whole")["status"]
    assert status["initContainerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert status["podIP"] == group.ip


def pull_secrets(bench):
    login = {"auths": {"acr.example": {"auth": "dTpwOnc="}}}
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": {"name": "pull"},
        "stringData": {".dockerconfigjson": json.dumps(login)},
    }
    older = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockercfg",
        "metadata": {"name": "older"},
        "stringData": {
            ".dockercfg": json.dumps({"https://b.example/v1/": {"username": "v", "password": "q"}})
        },
    }
    bench.apply(secret, older)
    group = bench.up("pull", imagePullSecrets=[{"name": "pull"}, {"name": "older"}])
    assert group.body["properties"]["imageRegistryCredentials"] == [
        {"server": "acr.example", "username": "u", "password": "p:w"},
        {"server": "b.example", "username": "v", "password": "q"},
    ]


def annotations(bench):
    wishes = {
        f"{NEW}identity": IDENTITY,
        f"{NEW}zones": "1",
        f"{NEW}customtags": "team=x",
        "virtual-kubelet.io/priority": "Spot",
        "virtual-kubelet.io/gpu-type": "V100",
        "virtual-kubelet.io/container-sku": "confidential",
    }
    limits = {"limits": {"nvidia.com/gpu": "1"}}
    body = bench.up(
        "wishes", annotations=wishes, containers=[{"name": "main", "image": "i", "resources": limits}]
    ).body
    assert (body["zones"], body["tags"]["team"]) == (["1"], "x")
    assert list(body["identity"]["userAssignedIdentities"]) == [IDENTITY]
    properties = body["properties"]
    assert (properties["priority"], properties["sku"]) == ("Spot", "Confidential")
    requests = properties["containers"][0]["properties"]["resources"]["requests"]
    assert requests["gpu"] == {"count": 1, "sku": "V100"}


def ends_and_restarts(bench):
    group = bench.up("fails", restartPolicy="Never")
    group.terminate("main", exit_code=3)
    pod = bench.until("fails", "Failed")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (3, "Error")
    group = bench.up("restarts")
    group.restart("main", exit_code=137)
    group.event("BackOff", "restarting failed container", "Warning")
    eventually(
        lambda: bench.pod("restarts")["status"]["containerStatuses"][0]["restartCount"] == 1, timeout=60
    )
    eventually(lambda: "restarting failed container" in bench.events("restarts"))


def refusals(bench):
    container = {"name": "main", "image": "i"}
    bench.refused(
        "tcp",
        "livenessProbe.tcpSocket",
        containers=[{**container, "livenessProbe": {"tcpSocket": {"port": 1}}}],
    )
    bench.refused("args", "args need a command", containers=[{**container, "args": ["x"]}])
    bench.refused("host", "spec.hostNetwork", hostNetwork=True)
    env = [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]
    bench.refused("ip", "known only once the container group runs", containers=[{**container, "env": env}])


def quota(bench):
    bench.arm.groups.quota = len(bench.arm.groups.all())
    bench.run("waits")
    eventually(
        lambda: "ContainerGroupQuotaReached" in bench.pod("waits")["status"].get("message", ""), timeout=40
    )
    eventually(lambda: "exceeded in region" in bench.events("waits"))
    bench.arm.groups.quota = None
    bench.until("waits", "Running")


def updates(bench):
    group = bench.up("changes")
    bench.kubectl("set", "image", "pod/changes", "main=busybox:2")
    eventually(
        lambda: bench.arm.of_pod("changes").containers[0]["properties"]["image"] == "busybox:2", timeout=60
    )
    bench.kubectl("label", "pod/changes", "a=b")
    bench.until("changes", "Running")
    assert bench.arm.of_pod("changes").updates == group.updates + 1
    eventually(lambda: "restarts all containers" in bench.events("changes"))
    bench.kubectl("annotate", "pod/changes", f"{NEW}customtags=team=y")
    eventually(lambda: bench.arm.of_pod("changes").body["tags"].get("team") == "y")
    bench.kubectl("annotate", "pod/changes", f"{NEW}zones=2")
    eventually(
        lambda: "only a new container group can have another zones" in bench.events("changes"), timeout=60
    )
    assert "zones" not in bench.arm.of_pod("changes").body


def numbers(bench):
    group = bench.up("busy")
    bench.arm.metrics[group.name, "main"] = (250.0, 64_000_000.0)

    def measured():
        summary = json.loads(bench.kubectl("get", "--raw", "/api/v1/nodes/aci/proxy/stats/summary"))
        return [item for item in summary["pods"] if item["podRef"]["name"] == "busy"]

    (pod,) = eventually(measured)  # one answer takes its time for some groups, the next for others
    assert pod["containers"][0]["memory"]["workingSetBytes"] == 64_000_000


def removal_and_leaks(bench):
    bench.up("goes")
    bench.arm.faults.add("409", method="DELETE", code="ContainerGroupTransitioning", times=2)
    bench.kubectl("delete", "pod", "goes")
    with pytest.raises(ApiNotFound):
        bench.pod("goes")
    leak = json.loads(json.dumps(bench.arm.bodies[0]))
    leak["tags"].update(PodName="leak", UID="nobody")
    bench.arm.groups.put("leaked", leak)
    bench.arm.groups.put("foreign", {**leak, "tags": {**leak["tags"], "NodeName": "another"}})
    names = lambda: {group.name for group in bench.arm.groups.all()}  # noqa: E731 - asked twice
    eventually(lambda: "leaked" not in names(), timeout=40)
    assert "foreign" in names()


def an_outage(bench):
    def ready():
        conditions = bench.cluster.client.get(NODES, "aci")["status"]["conditions"]
        return next(item for item in conditions if item["type"] == "Ready")

    fault = bench.arm.faults.add("503")
    eventually(lambda: ready()["status"] == "False", timeout=60)
    assert "503" in ready()["message"]
    fault.times = 0
    eventually(lambda: ready()["status"] == "True", timeout=60)


FEATURES = (
    logs,
    exec_and_attach,
    port_forward,
    environment_and_volumes,
    shares_and_repositories,
    subnet_dns_and_log_analytics,
    init_containers_probes_and_sizes,
    pull_secrets,
    annotations,
    ends_and_restarts,
    refusals,
    quota,
    updates,
    numbers,
    removal_and_leaks,
    an_outage,
)


def test_every_feature(bench):
    problems = []
    for feature in FEATURES:
        try:
            feature(bench)
        except Exception as error:
            problems.append(f"{feature.__name__}: {type(error).__name__}: {error}")
    assert not problems, "\n\n".join(problems)
