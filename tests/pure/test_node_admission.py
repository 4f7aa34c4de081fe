from __future__ import annotations

import pytest

from virtual_kubelet.pure.node_admission import Rejection, admit, insufficient

ALLOCATABLE = {
    "cpu": "500m",
    "memory": "1Gi",
    "ephemeral-storage": "10Gi",
    "pods": "3",
    "example.com/gpu": "1",
}


def pod(name="p", requests=None, *, phase="Running", labels=None, **spec):
    return {
        "metadata": {"name": name, "uid": name, "labels": labels or {}},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests or {}}}], **spec},
        "status": {"phase": phase},
    }


def node(taints=None, *, labels=None, **allocatable):
    amounts = {**ALLOCATABLE, **{name.replace("_", "-"): amount for name, amount in allocatable.items()}}
    return {
        "metadata": {"name": "n1", "labels": {"kubernetes.io/os": "linux", "zone": "a", **(labels or {})}},
        "spec": {"taints": taints or []},
        "status": {"allocatable": {name: amount for name, amount in amounts.items() if amount is not None}},
    }


def out_of(name, requested, used, capacity):
    return Rejection(
        f"OutOf{name}",
        f"Node didn't have enough resource: {name}, requested: {requested}, used: {used}, capacity: {capacity}",
    )


@pytest.mark.parametrize(
    ("requests", "others", "expected"),
    [
        ({}, [], None),
        ({"cpu": "500m", "memory": "1Gi"}, [], None),
        ({"cpu": "1"}, [], out_of("cpu", 1000, 0, 500)),
        ({"cpu": "300m"}, [pod("o", {"cpu": "201m"})], out_of("cpu", 300, 201, 500)),
        ({"cpu": "300m"}, [pod("o", {"cpu": "200m"})], None),
        ({"memory": "1025Mi"}, [], out_of("memory", 1025 * 2**20, 0, 2**30)),
        ({"ephemeral-storage": "11Gi"}, [], out_of("ephemeral-storage", 11 * 2**30, 0, 10 * 2**30)),
        # the first in the kubelet's order
        ({"memory": "2Gi", "ephemeral-storage": "11Gi", "cpu": "1"}, [], out_of("cpu", 1000, 0, 500)),
        # nothing asked for is always there
        ({"cpu": "0"}, [pod("o", {"cpu": "9"})], None),
        ({"memory": "1"}, [pod("o", {"cpu": "9"})], None),
        # extended resources: counted where the node has them, else the cluster's own business
        ({"example.com/gpu": "2"}, [], out_of("example.com/gpu", 2, 0, 1)),
        ({"example.com/gpu": "1"}, [pod("o", {"example.com/gpu": "1"})], out_of("example.com/gpu", 1, 1, 1)),
        ({"example.com/fpga": "1"}, [], None),
        ({"hugepages-2Mi": "4Mi"}, [], out_of("hugepages-2Mi", 4 * 2**20, 0, 0)),
        # number of pods
        ({}, [pod("a"), pod("b")], None),
        ({"cpu": "9"}, [pod("a"), pod("b"), pod("c")], out_of("pods", 1, 3, 3)),
        # those that have ended do not count, nor does the pod itself
        ({}, [pod("a"), pod("b"), pod("c", phase="Succeeded"), pod("d", phase="Failed")], None),
        ({"cpu": "300m"}, [pod("p", {"cpu": "300m"})], None),
        ({"cpu": "300m"}, [pod("o", {"cpu": "300m"}, phase="Pending")], out_of("cpu", 300, 300, 500)),
    ],
)
def test_resources(requests, others, expected):
    assert admit(pod(requests=requests), node(), others) == expected
    assert insufficient(pod(requests=requests), ALLOCATABLE, others) == expected


def test_what_a_node_does_not_list_is_not_counted():
    assert (
        admit(
            pod(requests={"cpu": "99"}), node(cpu=None, pods=None), [pod(str(number)) for number in range(9)]
        )
        is None
    )
    assert admit(pod(requests={"cpu": "99"}), {"metadata": {"name": "n1"}}, []) is None


def test_init_containers_and_overhead_count():
    heavy = pod(initContainers=[{"name": "i", "resources": {"requests": {"cpu": "600m"}}}])
    assert admit(heavy, node(), []) == out_of("cpu", 600, 0, 500)
    assert admit(pod(requests={"cpu": "400m"}, overhead={"cpu": "101m"}), node(), []) == out_of(
        "cpu", 501, 0, 500
    )


def predicate(name, text):
    return Rejection(name, f"Predicate {name} failed: {text}")


NODE_AFFINITY = predicate("NodeAffinity", "node(s) didn't match Pod's node affinity/selector")
NODE_NAME = predicate("NodeName", "node(s) didn't match the requested node name")
NODE_PORTS = predicate("NodePorts", "node(s) didn't have free ports for the requested pod ports")
TAINTS = predicate("TaintToleration", "node(s) had taints that the pod didn't tolerate")


@pytest.mark.parametrize(
    ("newcomer", "on", "expected"),
    [
        (pod(nodeSelector={"zone": "a"}), node(), None),
        (pod(nodeSelector={"zone": "b"}), node(), NODE_AFFINITY),
        (pod(nodeName="n1"), node(), None),
        (pod(nodeName="n2"), node(), NODE_NAME),
        (pod(), node([{"key": "k", "effect": "NoSchedule"}]), None),
        (pod(), node([{"key": "k", "effect": "NoExecute"}]), TAINTS),
        (pod(tolerations=[{"operator": "Exists"}]), node([{"key": "k", "effect": "NoExecute"}]), None),
        (pod(nodeSelector={"zone": "b"}, nodeName="n2"), node(), NODE_AFFINITY),
        (pod(requests={"cpu": "1"}, nodeSelector={"zone": "b"}), node(), out_of("cpu", 1000, 0, 500)),
    ],
)
def test_predicates(newcomer, on, expected):
    assert admit(newcomer, on, []) == expected


def with_port(name, number, **more):
    return {
        **pod(name),
        "spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1, "hostPort": number, **more}]}]},
    }


@pytest.mark.parametrize(
    ("newcomer", "other", "expected"),
    [
        (with_port("p", 80), with_port("o", 80), NODE_PORTS),
        (with_port("p", 80), with_port("o", 81), None),
        (with_port("p", 80, protocol="UDP"), with_port("o", 80), None),
        (with_port("p", 80, hostIP="1.1.1.1"), with_port("o", 80), NODE_PORTS),
        (with_port("p", 80, hostIP="1.1.1.1"), with_port("o", 80, hostIP="2.2.2.2"), None),
        (
            with_port("p", 80, hostIP="1.1.1.1"),
            with_port("o", 80, hostIP="1.1.1.1", protocol="TCP"),
            NODE_PORTS,
        ),
        (with_port("p", 0), with_port("o", 0), None),
        (with_port("p", None), with_port("o", 80), None),
        (with_port("p", 80), pod("o"), None),
    ],
)
def test_ports_of_the_host(newcomer, other, expected):
    assert admit(newcomer, node(), [other]) == expected


def test_ports_of_sidecars_are_held_and_those_of_init_containers_are_not():
    port = [{"containerPort": 1, "hostPort": 80}]
    side = pod("o", initContainers=[{"name": "s", "restartPolicy": "Always", "ports": port}])
    init = pod("o", initContainers=[{"name": "i", "ports": port}])
    assert admit(with_port("p", 80), node(), [side]) == NODE_PORTS
    assert admit(with_port("p", 80), node(), [init]) is None


OS_LABEL = Rejection(
    "PodOSSelectorNodeLabelDoesNotMatch",
    "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
)
OS_FIELD = Rejection("PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS")
GROUPS = Rejection(
    "SupplementalGroupsPolicyNotSupported", "SupplementalGroupsPolicy=Strict is not supported in this node"
)


@pytest.mark.parametrize(
    ("newcomer", "on", "expected"),
    [
        (pod(labels={"kubernetes.io/os": "linux"}), node(), None),
        (pod(labels={"kubernetes.io/os": "windows"}), node(), OS_LABEL),
        (pod(os={"name": "linux"}), node(), None),
        (pod(os={"name": "windows"}, requests={"cpu": "9"}), node(), OS_FIELD),
        (pod(os={"name": "windows"}), node(labels={"kubernetes.io/os": "windows"}), None),
        (pod(os={}), node(), None),
        (pod(securityContext={"supplementalGroupsPolicy": "Merge"}), node(), None),
        (pod(securityContext={"supplementalGroupsPolicy": "Strict"}), node(), GROUPS),
        (pod(securityContext={"supplementalGroupsPolicy": "Strict"}), {**node(), "status": {"features": {"supplementalGroupsPolicy": True}}}, None),
    ],
)  # fmt: skip
def test_what_the_node_does_not_support(newcomer, on, expected):
    assert admit(newcomer, on, []) == expected


def test_what_the_pods_status_says():
    assert out_of("cpu", 1000, 0, 500).status_message == (
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1000, used: 0, capacity: 500"
    )
