from __future__ import annotations

import copy

from support.lookups import FakeLookups, config_map, secret

from virtual_kubelet.errors import ApiForbidden, ApiUnavailable
from virtual_kubelet.pure.environment import EnvironmentResolver, Facts, resolve_pod

POD = {
    "metadata": {"namespace": "ns", "name": "p"},
    "spec": {
        "initContainers": [{"name": "i", "env": [{"name": "A", "value": "$(B)"}]}],
        "containers": [
            {"name": "c", "image": "x", "envFrom": [{"configMapRef": {"name": "m"}}], "env": [{"name": "B", "value": "$(A)!"}], "args": ["$(A)"]},
            {"name": "d", "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
        ],
        "ephemeralContainers": [{"name": "e", "envFrom": [{"secretRef": {"name": "s"}}]}],
    },
    "status": {"phase": "Pending"},
}  # fmt: skip


def test_a_pod_with_all_its_containers():
    before = copy.deepcopy(POD)
    resolved = resolve_pod(
        POD, FakeLookups([config_map("m", {"A": "1"})], [secret("s", {"T": "t"})]), Facts()
    )
    spec = resolved.pod["spec"]
    assert spec["initContainers"] == [{"name": "i", "env": [{"name": "A", "value": "$(B)"}]}]
    assert spec["containers"] == [
        {"name": "c", "image": "x", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1!"}], "args": ["$(A)"]},
        {"name": "d", "env": [{"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]},
    ]  # fmt: skip
    assert spec["ephemeralContainers"] == [{"name": "e", "env": [{"name": "T", "value": "t"}]}]
    assert [environment.container for environment in resolved.environments] == ["i", "c", "d", "e"]
    assert resolved.environments[2].deferred == {"IP"}
    assert resolved.environments[3].secrets == {"T"}
    assert resolved.problems == resolved.blocking == ()
    assert resolved.pod["status"] is POD["status"]
    assert before == POD


def test_problems_of_all_containers():
    resolved = resolve_pod(POD, FakeLookups(), Facts())
    assert [(one.container, one.reason) for one in resolved.problems] == [
        ("c", "MandatoryConfigMapNotFound"),
        ("e", "MandatorySecretNotFound"),
    ]
    assert resolved.blocking == resolved.problems


def test_a_pod_without_containers_of_a_kind_gets_none():
    bare = {"metadata": {"namespace": "ns", "name": "p"}, "spec": {"containers": [{"name": "c"}]}}
    resolved = resolve_pod(bare, FakeLookups(), Facts())
    assert resolved.pod["spec"] == {"containers": [{"name": "c", "env": []}]}


def test_what_is_found_is_looked_up_once_a_pod_and_what_is_missing_each_time():
    lookups = FakeLookups([config_map("m", {"A": "1"})])
    keys = [{"name": name, "valueFrom": {"configMapKeyRef": {"name": source, "key": "A", "optional": True}}} for name in "XY" for source in ("m", "gone")]  # fmt: skip
    resolver = EnvironmentResolver(POD, lookups, Facts())
    for name in ("c", "d"):
        environment = resolver.resolve({"name": name, "env": keys})
        assert environment.values == {"X": "1", "Y": "1"}
        assert [one.message for one in environment.problems] == [
            'skipping optional envvar "X": configmap "gone" not found',
            'skipping optional envvar "Y": configmap "gone" not found',
        ]
    assert lookups.asked.count(("ConfigMap", "ns", "m")) == 1
    assert lookups.asked.count(("Services", "ns")) == 1
    assert lookups.asked.count(("ConfigMap", "ns", "gone")) == 4


def test_services_that_cannot_be_read():
    services = [{"metadata": {"namespace": "ns", "name": "web"}, "spec": {"clusterIP": "10.0.0.2"}}]
    failing = {"default": ApiForbidden("no right")}
    (environment,) = resolve_pod(
        {**POD, "spec": {"containers": [{"name": "c"}]}},
        FakeLookups(services=services, failing=failing),
        Facts(),
    ).environments
    assert environment.values == {"WEB_SERVICE_HOST": "10.0.0.2"}
    (problem,) = environment.problems
    assert problem.reason == "FailedToReadServices"
    assert problem.message == 'failed to read services of namespace "default"'
    assert problem.text == 'failed to read services of namespace "default": no right'
    assert not problem.blocking

    failing = {"default": ApiUnavailable("down")}
    (problem,) = resolve_pod(
        {**POD, "spec": {"containers": [{"name": "c"}]}},
        FakeLookups(services=services, failing=failing),
        Facts(),
    ).problems
    assert problem.blocking
