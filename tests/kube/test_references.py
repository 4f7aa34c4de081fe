from __future__ import annotations

import threading

import pytest
from support.pods import make_pod
from support.scripted_server import ScriptedServer
from support.waiting import eventually

from virtual_kubelet.errors import ApiForbidden, ApiUnavailable
from virtual_kubelet.kube.client import Client
from virtual_kubelet.kube.config import ApiAccess
from virtual_kubelet.kube.references import References
from virtual_kubelet.kube.store import Store
from virtual_kubelet.runtime.clock import SteppedClock
from virtual_kubelet.runtime.threads import Deadline, join_all, spawn


class Cluster:
    """ConfigMaps, Secrets and Services as an API server holds them; `refuse` maps paths to a status code."""

    def __init__(self):
        self.objects = {}
        self.refuse = {}
        self.version = 0
        self.gate = threading.Event()
        self.gate.set()
        self.server = ScriptedServer(self._script)

    def put(self, kind, name, namespace="default", **fields):
        self.version += 1
        metadata = {"name": name, "namespace": namespace, "resourceVersion": str(self.version)}
        metadata["managedFields"] = [1]
        self.objects[f"/api/v1/namespaces/{namespace}/{kind}/{name}"] = {"metadata": metadata, **fields}

    def remove(self, kind, name, namespace="default"):
        del self.objects[f"/api/v1/namespaces/{namespace}/{kind}/{name}"]

    def reads(self, name=""):
        """Count the reads of one object, or of all; the services are watched by a thread of their own."""
        paths = [call.path for call in self.server.calls if call.path != "/api/v1/services"]
        return sum(path.endswith(f"/{name}") for path in paths) if name else len(paths)

    def _script(self, call):
        if call.path in self.refuse:
            call.status(self.refuse[call.path])
        elif call.path.endswith("/services"):
            self._services(call)
        else:
            self.gate.wait(30)
            found = self.objects.get(call.path)
            call.json(found) if found else call.status(404, "NotFound")

    def _services(self, call):
        if call.query.get("watch"):
            call.stream()
            call.hold()
            return
        prefix = call.path if "/namespaces/" in call.path else ""
        items = [o for path, o in self.objects.items() if "/services/" in path and path.startswith(prefix)]
        call.json({"metadata": {"resourceVersion": "1"}, "items": items})


def pod_with(
    name, *, config_map=None, secret=None, optional=False, phase="Pending", version=None, **metadata
):
    sources = []
    if config_map:
        sources.append({"configMapRef": {"name": config_map, "optional": optional}})
    if secret:
        sources.append({"secretRef": {"name": secret, "optional": optional}})
    if version:
        metadata["resourceVersion"] = str(version)
    return make_pod(
        name,
        containers=[{"name": "main", "envFrom": sources}],
        status={"phase": phase},
        metadata=metadata,
    )


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def cluster():
    cluster = Cluster()
    yield cluster
    cluster.gate.set()
    cluster.server.close()


@pytest.fixture
def pods():
    return Store()


@pytest.fixture
def make(cluster, pods, clock):
    closing = []

    def make(*, start=True, **kwargs):
        client = Client(ApiAccess(cluster.server.url), qps=0, clock=clock)
        references = References(client, pods, clock=clock, chance=lambda: 0.5, **kwargs)
        changed = []
        references.on_change(changed.append)
        closing.append((references, client))
        if start:
            references.start()
        return references, changed

    yield make
    for references, client in closing:
        references.stop(Deadline(10))
        client.close()


def step(clock, seconds, tick=0.5):
    """Let the thread tick through some time."""
    for _ in range(round(seconds / tick)):
        clock.block_until(1)
        clock.advance(tick)
    clock.block_until(1)


def test_read_once_for_all_who_ask(cluster, pods, make):
    references, _ = make()
    cluster.put("configmaps", "m", data={"a": "1"})
    cluster.put("secrets", "s", data={"b": "Mg=="})
    pods.put(pod_with("p", config_map="m", secret="s"))
    for _ in range(3):
        assert references.config_map("default", "m")["data"] == {"a": "1"}
        assert references.secret("default", "s")["data"] == {"b": "Mg=="}
    assert "managedFields" not in references.secret("default", "s")["metadata"]
    assert (cluster.reads("m"), cluster.reads("s")) == (1, 1)


def test_threads_that_ask_at_once_share_the_answer(cluster, pods, make):
    references, _ = make()
    cluster.put("configmaps", "m")
    pods.put(pod_with("p", config_map="m"))
    cluster.gate.clear()
    answers = []
    threads = [
        spawn(lambda: answers.append(references.config_map("default", "m")), name="asker") for _ in range(8)
    ]
    eventually(lambda: cluster.reads("m"))
    cluster.gate.set()
    assert join_all(threads, Deadline(30)) == []
    assert len(answers) == 8
    # The second read serves all who began to ask after the first one was under way.
    assert cluster.reads("m") <= 2


def test_nothing_is_listed_or_watched_but_services(cluster, pods, make):
    references, _ = make()
    references.wait_synced(30)
    pods.put(pod_with("p", config_map="m"))
    assert references.config_map("default", "m") is None
    paths = {call.path for call in cluster.server.calls}
    assert paths == {"/api/v1/services", "/api/v1/namespaces/default/configmaps/m"}


def test_a_new_pod_gets_the_newest(cluster, pods, make):
    references, _ = make()
    cluster.put("configmaps", "m", data={"a": "1"})
    pods.put(pod_with("old", config_map="m"))
    references.config_map("default", "m")
    cluster.put("configmaps", "m", data={"a": "2"})
    assert references.config_map("default", "m")["data"] == {"a": "1"}
    pods.put(pod_with("new", config_map="m"))
    assert references.config_map("default", "m")["data"] == {"a": "2"}
    pods.put(pod_with("new", config_map="m", version=10**6))  # a change of a pod is no new pod
    references.config_map("default", "m")
    assert cluster.reads("m") == 2


def test_what_pods_use_is_read_about_once_a_minute_and_changes_are_told(cluster, pods, make, clock):
    references, changed = make()
    cluster.put("configmaps", "m", data={"a": "1"})
    pods.put(pod_with("p", config_map="m", phase="Running"))
    pods.put(pod_with("q", config_map="m", phase="Running"))
    pods.put(pod_with("ended", config_map="m", phase="Succeeded"))
    references.config_map("default", "m")
    step(clock, 61)
    assert cluster.reads("m") == 2
    assert changed == []
    cluster.put("configmaps", "m", data={"a": "2"})
    step(clock, 61)
    assert sorted(changed) == ["default/p", "default/q"]
    assert references.config_map("default", "m")["data"] == {"a": "2"}
    cluster.remove("configmaps", "m")
    changed.clear()
    step(clock, 61)
    assert sorted(changed) == ["default/p", "default/q"]
    assert references.config_map("default", "m") is None


def test_a_missing_one_is_found_within_two_seconds(cluster, pods, make, clock):
    references, changed = make()
    pods.put(pod_with("p", config_map="m"))
    assert references.config_map("default", "m") is None
    step(clock, 5)
    before = cluster.reads("m")
    assert before >= 5
    cluster.put("configmaps", "m")
    step(clock, 1.5)
    assert changed == ["default/p"]
    assert references.config_map("default", "m")


def stuck(pod):
    waiting = {"waiting": {"reason": "CreateContainerConfigError"}}
    return {**pod, "status": {"phase": "Pending", "containerStatuses": [{"name": "main", "state": waiting}]}}


@pytest.mark.parametrize("immutable", [False, True])
def test_one_that_lacks_a_key_is_looked_for_each_second(cluster, pods, make, clock, immutable):
    references, changed = make()
    cluster.put("configmaps", "m", data={"other": "1"}, immutable=immutable)
    pods.put(pod_with("p", config_map="m"))
    references.config_map("default", "m")
    pods.put(stuck(pod_with("p", config_map="m", version=10**6)))  # once the agent has found out
    step(clock, 5)
    assert cluster.reads("m") >= 4
    cluster.put("configmaps", "m", data={"key": "1"})
    step(clock, 1.5)
    assert changed == ["default/p"]
    assert references.config_map("default", "m")["data"] == {"key": "1"}


@pytest.mark.parametrize("state", ["running", "terminated"])
def test_one_that_is_whole_is_not_looked_for_while_the_pod_starts(cluster, pods, make, clock, state):
    references, _ = make()
    cluster.put("configmaps", "m", data={"key": "1"})
    pods.put(pod_with("slow", config_map="m"))
    references.config_map("default", "m")
    step(clock, 1.5)
    begun = {"phase": "Pending", "initContainerStatuses": [{"name": "first", "state": {state: {}}}]}
    pods.put({**pod_with("slow", config_map="m", version=10**6), "status": begun})
    step(clock, 48.5)
    assert cluster.reads("m") == 1
    step(clock, 15)
    assert cluster.reads("m") == 2


def creating(pod):
    waiting = {"waiting": {"reason": "ContainerCreating"}}
    return {**pod, "status": {"phase": "Pending", "containerStatuses": [{"name": "main", "state": waiting}]}}


def with_volume(name, config_map, key, **metadata):
    source = {"name": config_map, "items": [{"key": key, "path": key}]}
    volumes = [{"name": "files", "configMap": source}]
    return make_pod(name, volumes=volumes, status={"phase": "Pending"}, metadata=metadata)


@pytest.mark.parametrize("immutable", [False, True])
def test_one_that_lacks_a_key_of_a_volume_is_found_soon(cluster, pods, make, clock, immutable):
    references, changed = make()
    cluster.put("configmaps", "m", data={"other": "1"}, immutable=immutable)
    pods.put(with_volume("p", "m", "key"))
    references.config_map("default", "m")
    step(clock, 5)
    pods.put(creating(with_volume("p", "m", "key", resourceVersion=str(10**6))))  # no status tells of the key
    assert cluster.reads("m") >= 3
    cluster.put("configmaps", "m", data={"key": "1"})
    step(clock, 2)
    assert changed == ["default/p"]
    assert references.config_map("default", "m")["data"] == {"key": "1"}


@pytest.mark.parametrize("later", [1.5, 20])
def test_one_that_lacks_a_key_is_looked_for_however_late_the_status_says_so(
    cluster, pods, make, clock, later
):
    references, changed = make()
    cluster.put("configmaps", "m", data={"other": "1"})
    pods.put(pod_with("p", config_map="m"))
    references.config_map("default", "m")
    step(clock, later)
    pods.put(stuck(pod_with("p", config_map="m", version=10**6)))
    step(clock, 1)
    cluster.put("configmaps", "m", data={"key": "1"})
    step(clock, 1.5)
    assert changed == ["default/p"]


def test_a_pod_that_is_pending_for_long_is_asked_for_less_and_less(cluster, pods, make, clock):
    references, _ = make()
    cluster.put("configmaps", "m")
    pods.put(creating(pod_with("slow", config_map="m")))
    references.config_map("default", "m")
    step(clock, 2.5)
    assert cluster.reads("m") == 1, "most pods start by then"
    step(clock, 57.5)
    assert cluster.reads("m") <= 20
    first = cluster.reads("m")
    step(clock, 60)
    assert cluster.reads("m") - first <= 7
    pods.put(creating(pod_with("new", config_map="m")))
    references.config_map("default", "m")
    first = cluster.reads("m")
    step(clock, 7)
    assert cluster.reads("m") - first >= 3, "for a new pod anew"


@pytest.mark.parametrize(
    "pod",
    [
        pod_with("p", config_map="m", optional=True),
        pod_with("p", config_map="m", phase="Running"),
        pod_with("p", config_map="m", deletionTimestamp="2026-01-01T00:00:00Z"),
    ],
)
def test_what_no_pod_waits_for_is_not_looked_for_each_second(cluster, pods, make, clock, pod):
    references, _ = make()
    pods.put(pod)
    assert references.config_map("default", "m") is None
    step(clock, 20)
    assert cluster.reads("m") == 1
    step(clock, 45)
    assert cluster.reads("m") == 2


def test_immutable_ones_are_read_once_for_each_new_pod(cluster, pods, make, clock):
    references, _ = make()
    cluster.put("secrets", "s", immutable=True)
    pods.put(pod_with("p", secret="s", phase="Running"))
    references.secret("default", "s")
    step(clock, 250)
    references.secret("default", "s")
    assert cluster.reads("s") == 1
    pods.put(pod_with("q", secret="s", phase="Running"))
    for _ in range(3):
        references.secret("default", "s")
    step(clock, 130)
    assert cluster.reads("s") == 2


def test_a_new_pod_gets_an_immutable_one_that_was_made_again(cluster, pods, make):
    references, _ = make()
    cluster.put("secrets", "s", immutable=True, data={"a": "MQ=="})
    pods.put(pod_with("old", secret="s", phase="Running"))
    references.secret("default", "s")
    cluster.put("secrets", "s", immutable=True, data={"a": "Mg=="})
    pods.put(pod_with("new", secret="s"))
    assert references.secret("default", "s")["data"] == {"a": "Mg=="}


def test_what_no_pod_uses_any_more_is_forgotten(cluster, pods, make, clock):
    references, _ = make()
    cluster.put("secrets", "s")
    pod = pod_with("p", secret="s", phase="Running")
    pods.put(pod)
    references.secret("default", "s")
    pods.remove(pod)
    step(clock, 61)
    assert references._entries == {}
    step(clock, 61)
    assert cluster.reads("s") == 1


def test_only_the_newest_of_many_are_held_up(cluster, pods, make, clock):
    references, _ = make()
    for n in range(30):
        cluster.put("configmaps", f"m{n}")
        pods.put(pod_with(f"p{n}", config_map=f"m{n}", phase="Running"))
        references.config_map("default", f"m{n}")
    pods.put(pod_with("waiting", config_map="absent"))
    assert references.config_map("default", "absent") is None
    step(clock, 59.5)
    first = cluster.reads()
    step(clock, 2)
    assert cluster.reads() - first <= 4 * 5, "ten a second"
    assert cluster.reads("absent") >= 40, "and those that are waited for come first"
    step(clock, 5)
    assert all(cluster.reads(f"m{n}") == 2 for n in range(30))


def test_however_many_are_missing_the_others_are_read_again(cluster, pods, make, clock):
    references, _ = make()
    for n in range(30):
        pods.put(pod_with(f"waiting{n}", config_map=f"absent{n}"))
        references.config_map("default", f"absent{n}")
    for n in range(10):
        cluster.put("configmaps", f"m{n}")
        pods.put(pod_with(f"p{n}", config_map=f"m{n}", phase="Running"))
        references.config_map("default", f"m{n}")
    step(clock, 66)
    assert all(cluster.reads(f"m{n}") == 2 for n in range(10))
    assert all(cluster.reads(f"absent{n}") >= 12 for n in range(30)), "each in its turn"
    first = cluster.reads()
    step(clock, 10)
    assert cluster.reads() - first == 20 * 5, "all reads are for the missing ones where no other is due"


def test_what_cannot_be_read_is_said_and_tried_again(cluster, pods, make, clock):
    references, changed = make()
    path = "/api/v1/namespaces/default/secrets/s"
    cluster.put("secrets", "s", data={"a": "MQ=="})
    cluster.refuse[path] = 403
    pods.put(pod_with("p", secret="s"))
    with pytest.raises(ApiForbidden):
        references.secret("default", "s")
    del cluster.refuse[path]
    step(clock, 1.5)  # the node authorizer needs a moment after a pod was bound
    assert changed == ["default/p"]
    assert references.secret("default", "s")["data"] == {"a": "MQ=="}


def test_the_last_value_serves_while_the_server_is_away(cluster, pods, make, clock):
    references, changed = make()
    cluster.put("secrets", "s", data={"a": "MQ=="})
    pods.put(pod_with("p", secret="s", phase="Running"))
    references.secret("default", "s")
    cluster.refuse["/api/v1/namespaces/default/secrets/s"] = 500
    step(clock, 61)
    pods.put(pod_with("q", secret="s"))
    assert references.secret("default", "s")["data"] == {"a": "MQ=="}
    assert changed == []
    del cluster.refuse["/api/v1/namespaces/default/secrets/s"]
    cluster.put("secrets", "s", data={"a": "Mg=="})
    step(clock, 11)
    assert sorted(changed) == ["default/p", "default/q"]


@pytest.mark.fails_inside
def test_a_callback_that_fails_harms_nobody(cluster, pods, make, clock, caplog):
    references, changed = make()
    references._callbacks.insert(0, lambda key: 1 / 0)
    pods.put(pod_with("p", config_map="m"))
    references.config_map("default", "m")
    cluster.put("configmaps", "m")
    step(clock, 2)
    assert changed == ["default/p"]
    assert "a callback for a changed reference failed" in caplog.text


def test_a_pod_without_a_spec_is_no_trouble(pods, make):
    make(start=False)
    assert pods.put({"metadata": {"name": "odd", "namespace": "default", "resourceVersion": "1"}})


# -- services -------------------------------------------------------------------------------------------

SPEC = {
    "clusterIP": "10.0.0.5",
    "type": "ClusterIP",
    "selector": {"a": "b"},
    "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080, "nodePort": 3}],
}


def test_services_are_trimmed_to_what_the_environment_needs(cluster, make):
    cluster.put("services", "web", "shop", spec=SPEC, status={"loadBalancer": {}})
    cluster.put("services", "db", "other", spec=SPEC)
    references, _ = make()
    assert references.wait_synced(30)
    assert references.services("shop") == [
        {
            "metadata": {"name": "web", "namespace": "shop", "resourceVersion": "1"},
            "spec": {"clusterIP": "10.0.0.5", "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
        }
    ]
    assert references.services("empty") == []


def test_services_are_not_guessed_before_they_are_known(make):
    references, _ = make(start=False)
    with pytest.raises(ApiUnavailable, match="not known yet"):
        references.services("shop")


def test_services_that_may_not_be_read_are_none(cluster, make, caplog):
    cluster.refuse["/api/v1/services"] = 403
    references, _ = make()
    eventually(lambda: references._services.last_error)
    assert references.services("shop") == []
    assert references.services("shop") == []
    assert caplog.text.count("pods get no variables for services") == 1


def test_with_a_namespace_only_it_and_the_master_service(cluster, make):
    cluster.put("services", "web", "shop", spec=SPEC)
    cluster.put("services", "kubernetes", "default", spec=SPEC)
    references, _ = make(namespace="shop")
    assert references.wait_synced(30)
    assert [s["metadata"]["name"] for s in references.services("shop")] == ["web"]
    for _ in range(3):
        assert [s["metadata"]["name"] for s in references.services("default")] == ["kubernetes"]
    assert cluster.reads("kubernetes") == 1
    assert references.services("other") == []
    assert "/api/v1/services" not in {call.path for call in cluster.server.calls}


def test_with_a_namespace_and_no_right_to_the_master_service(cluster, make, caplog):
    cluster.refuse["/api/v1/namespaces/default/services/kubernetes"] = 403
    references, _ = make(namespace="shop")
    assert references.services("default") == []
    assert "may not read" in caplog.text
