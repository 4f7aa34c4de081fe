"""Which pods are taken in: the kubelet's words, with the Node as the API server has it."""

from __future__ import annotations

import pytest

from virtual_kubelet.podruntime.admission import admit

CAPACITY = {"cpu": "2", "memory": "1Gi", "pods": "3"}
AWAY = [{"key": "broken", "value": "yes", "effect": "NoExecute"}]


def node(**fields):
    return {
        "metadata": {"name": "node-1", "labels": {"zone": "a"}},
        "status": {"allocatable": {"cpu": "64", "example.com/dongle": "1"}},
        **fields,
    }


def pod(name="web", **spec):
    return {
        "metadata": {"namespace": "default", "name": name, "uid": name},
        "spec": {"containers": [], **spec},
    }


def asking(**requests):
    return [{"name": "c", "resources": {"requests": requests}}]


@pytest.mark.parametrize(
    ("spec", "reason", "message"),
    [
        ({}, "", ""),
        ({"nodeSelector": {"zone": "a"}}, "", ""),
        (
            {"nodeSelector": {"zone": "b"}},
            "NodeAffinity",
            "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            {"containers": asking(cpu="3")},
            "OutOfcpu",
            "Node didn't have enough resource: cpu, requested: 3000, used: 0, capacity: 2000",
        ),
        ({"containers": asking(**{"example.com/dongle": "1"})}, "", ""),
        (
            {"containers": asking(**{"example.com/dongle": "2"})},
            "OutOfexample.com/dongle",
            "Node didn't have enough resource: example.com/dongle, requested: 2, used: 0, capacity: 1",
        ),
    ],
)
def test_what_the_node_says(spec, reason, message):
    rejection = admit(pod(**spec), [], CAPACITY, node())
    assert (rejection.reason, rejection.message) == (reason, message) if reason else rejection is None


def test_a_taint_keeps_off_who_does_not_tolerate_it():
    tainted = node(spec={"taints": AWAY})
    assert admit(pod(), [], CAPACITY, tainted).reason == "TaintToleration"
    assert admit(pod(tolerations=[{"operator": "Exists"}]), [], CAPACITY, tainted) is None
    softly = node(spec={"taints": [{**AWAY[0], "effect": "NoSchedule"}]})
    assert admit(pod(), [], CAPACITY, softly) is None


def test_a_port_of_the_host_is_had_by_one():
    container = {"name": "c", "ports": [{"containerPort": 80, "hostPort": 8080}]}
    first, second = pod("one", containers=[container]), pod("two", containers=[container])
    assert admit(second, [first], CAPACITY, node()).reason == "NodePorts"


def test_without_the_node_only_the_room_counts():
    assert admit(pod(nodeSelector={"zone": "b"}), [], CAPACITY, None) is None
    others = [pod(str(number)) for number in range(3)]
    assert admit(pod(), others, CAPACITY, None).reason == "OutOfpods"
