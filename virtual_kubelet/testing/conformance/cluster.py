"""The whole agent with the provider, on an embedded control plane, as its users see it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, TypeVar

import pytest
from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.stream import stream

from virtual_kubelet.errors import ApiNotFound
from virtual_kubelet.kube.resources import NODES, PODS
from virtual_kubelet.objects import JsonObject
from virtual_kubelet.provider import Executing, KeepingLogs, Provider, ProviderConfig
from virtual_kubelet.settings import Settings
from virtual_kubelet.testing.cluster import DevCluster
from virtual_kubelet.testing.conformance.base import Conformance
from virtual_kubelet.testing.conformance.node import GRACE, MAIN
from virtual_kubelet.testing.conformance.profile import ConformanceProfile, Fields, named
from virtual_kubelet.testing.leaks import Census
from virtual_kubelet.testing.waiting import eventually

__all__ = ["TestCluster"]

NODE = "conformance"
T = TypeVar("T")


class _Cluster:
    """A `DevCluster` and what tests ask of it."""

    def __init__(self, profile: ConformanceProfile) -> None:
        self.profile = profile
        self.dev = DevCluster(self._provider, node_name=NODE, provider_sync_period=0.5)
        self._uids: set[str] = set()

    def _provider(self, settings: Settings) -> Provider:
        return self.profile.create(
            ProviderConfig(
                node_name=settings.node_name,
                config_path=self.profile.config_path,
                internal_ip=settings.node_ip,
                state_dir=settings.state_dir,
                environ=self.profile.environ,
            )
        )

    def need(self, ability: type[T]) -> None:
        """Skip the test where the provider does not have `ability`."""
        if not isinstance(self.dev.provider, ability):
            pytest.skip(f"the provider does not have the ability {ability.__name__}")

    def create(self, name: str, fields: Fields | None = None, **spec: Any) -> None:
        """Create a pod of one container; it is scheduled to the only node."""
        containers = [named(self.profile.running() if fields is None else fields, MAIN)]
        more = {"terminationGracePeriodSeconds": GRACE, "containers": containers, **self.profile.spec, **spec}
        pod: JsonObject = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": more}
        created = self.dev.client.create(PODS, pod, "default")
        self._uids.add(created["metadata"]["uid"])

    def pod(self, name: str) -> JsonObject:
        """Return the pod as the API server has it; {} when there is none."""
        try:
            found: JsonObject = self.dev.client.get(PODS, name, "default")
        except ApiNotFound:
            return {}
        return found

    def ready(self, name: str) -> JsonObject:
        """Wait until the pod is Ready; return it."""

        def is_ready() -> JsonObject | None:
            pod = self.pod(name)
            conditions = pod.get("status", {}).get("conditions") or []
            return pod if {"Ready", "ContainersReady"} <= _true(conditions) else None

        found = eventually(is_ready, self.profile.timeout, lambda: f"not Ready: {self.pod(name)}")
        assert found is not None
        return found

    def delete(self, name: str, grace: int | None = None) -> str:
        """Delete the pod, and wait until it has gone from the API server; return its UID."""
        uid: str = self.pod(name)["metadata"]["uid"]
        options = {} if grace is None else {"gracePeriodSeconds": grace}
        self.dev.client.delete(PODS, name, "default", options=options)
        eventually(
            lambda: self.pod(name).get("metadata", {}).get("uid") != uid,
            self.profile.timeout,
            lambda: f"the API server still has {self.pod(name)}",
        )
        return uid

    def forgotten(self, uid: str) -> None:
        """Wait until neither provider nor backend has anything of the pod: some take their time."""
        eventually(
            lambda: uid not in [item["metadata"]["uid"] for item in self.dev.provider.get_pods()],
            self.profile.timeout,
            lambda: f"the provider still has {uid}",
        )
        self.nothing_remains(uid)

    def nothing_remains(self, *uids: str) -> None:
        """Wait until the backend has nothing of these pods, by default of any that there were."""
        remains = self.profile.remains
        if remains is None:
            return
        for uid in uids or self._uids:
            eventually(partial(_nothing, remains, uid), self.profile.timeout, f"something is left of {uid}")


class TestCluster(Conformance):
    """What `kubectl` would show."""

    @pytest.fixture
    def cluster(self, provider_profile: ConformanceProfile) -> Iterator[_Cluster]:
        """A cluster of the test's own; nothing may be left of it."""
        census = Census.take()
        cluster = _Cluster(provider_profile)
        with cluster.dev:
            yield cluster
        cluster.nothing_remains()
        census.assert_nothing_new()

    @pytest.fixture
    def api(self, cluster: _Cluster) -> Iterator[Any]:
        """The official client, as a user's program has it."""
        with config.new_client_from_config(cluster.dev.kubeconfig) as client:
            yield kubernetes.CoreV1Api(client)
            client.rest_client.pool_manager.clear()

    def test_the_node_is_what_the_provider_says(self, cluster: _Cluster) -> None:
        """The Node is Ready and has the provider's capacity."""
        status = cluster.dev.client.get(NODES, NODE)["status"]
        capacity = cluster.dev.provider.capacity()
        assert {name: status["capacity"].get(name) for name in capacity} == capacity
        assert status["nodeInfo"]["operatingSystem"] == cluster.dev.provider.operating_system().lower()

    def test_a_pod_becomes_ready_and_goes(self, cluster: _Cluster) -> None:
        """Conditions, addresses and times are there; deletion leaves nothing."""
        cluster.create("web")
        status = cluster.ready("web")["status"]
        assert status["phase"] == "Running"
        assert {"PodScheduled", "Initialized"} <= _true(status["conditions"])
        assert status["startTime"]
        assert status["hostIP"]
        cluster.forgotten(cluster.delete("web"))

    def test_a_name_is_used_again_and_again(self, cluster: _Cluster) -> None:
        """Each pod of that name is another one, and runs."""
        uids = set()
        for grace in (None, 0, 1):
            cluster.create("web")
            uids.add(cluster.ready("web")["metadata"]["uid"])
            cluster.delete("web", grace)
        assert len(uids) == 3

    def test_a_pod_that_is_deleted_at_once(self, cluster: _Cluster) -> None:
        """Deleted while it begins, it goes, and the next one of its name runs."""
        for grace in (0, 1):
            cluster.create("web")
            cluster.delete("web", grace)
        cluster.create("web")
        cluster.ready("web")

    @pytest.mark.parametrize(("code", "phase"), [(0, "Succeeded"), (3, "Failed")])
    def test_a_pod_that_does_its_work(self, cluster: _Cluster, code: int, phase: str) -> None:
        """The exit code decides over the phase."""
        if cluster.profile.shell is None:
            pytest.skip("profile.shell is None: containers run no commands")
        name = f"exits-{code}"
        cluster.create(name, cluster.profile.script(f"exit {code}"), restartPolicy="Never")
        eventually(
            lambda: cluster.pod(name)["status"].get("phase") == phase,
            cluster.profile.timeout,
            lambda: f"not {phase}: {cluster.pod(name)}",
        )
        ended = cluster.pod(name)["status"]["containerStatuses"][0]["state"]["terminated"]
        assert ended["exitCode"] == code
        cluster.delete(name)

    def test_logs_through_the_api_server(self, cluster: _Cluster, api: Any) -> None:
        """`kubectl logs` shows what the container wrote."""
        cluster.need(KeepingLogs)
        fields = cluster.profile.writing()
        if fields is None:
            pytest.skip("the profile does not say what container writes lines (writes)")
        cluster.create("web", fields)
        cluster.ready("web")
        text = eventually(
            lambda: (found := api.read_namespaced_pod_log("web", "default")).count("\n") >= 3 and found,
            cluster.profile.timeout,
        )
        last = api.read_namespaced_pod_log("web", "default", tail_lines=1)
        assert text.splitlines()[-1] == last.rstrip("\n")

    def test_exec_through_the_api_server(self, cluster: _Cluster, api: Any) -> None:
        """`kubectl exec` ends with the command's exit code."""
        cluster.need(Executing)
        command = cluster.profile.exiting(7)
        if command is None:
            pytest.skip("the profile does not say what command ends with a code (exits)")
        cluster.create("web")
        cluster.ready("web")
        session = stream(
            api.connect_get_namespaced_pod_exec,
            "web",
            "default",
            command=command,
            stdout=True,
            stderr=True,
            _preload_content=False,
        )
        try:
            session.run_forever(timeout=cluster.profile.timeout)
            assert session.returncode == 7
        finally:
            session.sock.shutdown()  # its close() leaves the connection open after the server's goodbye

    def test_another_agent_changes_nothing(self, cluster: _Cluster) -> None:
        """A pod outlives its agent, and the next one writes nothing where nothing has changed."""
        if not cluster.profile.survives:
            pytest.skip("profile.survives is False: pods end with the provider")
        cluster.create("web")
        before = cluster.ready("web")
        cluster.dev.restart_agent()
        cluster.create("after")
        cluster.ready("after")
        assert cluster.pod("web")["status"] == before["status"]
        assert cluster.pod("web")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        cluster.delete("web")


def _nothing(remains: Callable[[str], Iterable[str]], uid: str) -> bool:
    return not list(remains(uid))


def _true(conditions: list[JsonObject]) -> set[str]:
    return {item["type"] for item in conditions if item["status"] == "True"}
