from __future__ import annotations

import re

import pytest

from virtual_kubelet import codec
from virtual_kubelet.pure import node_object
from virtual_kubelet.pure.node_conditions import node_conditions
from virtual_kubelet.pure.node_object import HostFacts, NodeWish, base_node
from virtual_kubelet.pure.patches import schema_of, strategic_merge

TAINT = {"key": "virtual-kubelet.io/provider", "value": "mock", "effect": "NoSchedule"}
CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z"


def wish(**changes):
    values = {
        "name": "vk",
        "operating_system": "Linux",
        "version": "0.1.0",
        "kubernetes_version": "1.36.0",
        "host": HostFacts("amd64", kernel_version="6.1.0", os_image="Debian", machine_id="abc"),
        "labels": {},
        "taints": [TAINT],
        **changes,
    }
    return NodeWish(**values)


def node(now=NOW, capacity=None, addresses=None, held=(), **changes):
    made = base_node(
        wish(**changes),
        capacity=capacity or {"cpu": "4000m", "memory": "16Gi", "pods": "110"},
        addresses=addresses or [{"type": "InternalIP", "address": "10.0.0.1"}],
        port=10250,
    )
    made["status"]["conditions"] = node_conditions((), held, problem="", now=now)
    return made


def registered(**changes):
    made = codec.copy(node_object.registration(node(THEN, **changes)))
    made["metadata"]["resourceVersion"] = "7"
    return made


def apply(current, patch):
    return strategic_merge(current, patch, schema_of("", "Node"))


def test_a_whole_node():
    made = node(features=("B", "A"), labels={"zone": "a"})
    assert made["metadata"]["labels"] == {
        "type": "virtual-kubelet",
        "kubernetes.io/role": "agent",
        "kubernetes.io/hostname": "vk",
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "zone": "a",
    }
    assert made["spec"] == {"taints": [TAINT]}
    status = made["status"]
    assert status["capacity"] == status["allocatable"] == {"cpu": "4", "memory": "16Gi", "pods": "110"}
    assert status["daemonEndpoints"] == {"kubeletEndpoint": {"Port": 10250}}
    assert status["declaredFeatures"] == ["A", "B"]
    info = status["nodeInfo"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+-[0-9A-Za-z.-]+", info["kubeletVersion"])
    assert info["containerRuntimeVersion"] == "virtual-kubelet://0.1.0"
    assert (info["operatingSystem"], info["architecture"], info["kernelVersion"]) == (
        "linux",
        "amd64",
        "6.1.0",
    )


def test_what_is_registered_needs_no_patch():
    current = registered()
    wanted = node(THEN)
    assert node_object.metadata_patch(current, wanted) is None
    assert node_object.spec_patch(current, wanted) is None
    assert node_object.status_patch(current, wanted) is None


def test_a_heartbeat_is_small():
    current = registered()
    patch = node_object.status_patch(current, node(NOW, held=current["status"]["conditions"]))
    assert node_object.significant(patch) == {}
    assert {"type": "Ready", "lastHeartbeatTime": NOW} in patch["status"]["conditions"]
    assert (
        patch["metadata"]["annotations"][node_object.LAST_STATUS]
        == (current["metadata"]["annotations"][node_object.LAST_STATUS])
    )


@pytest.mark.parametrize(
    "change",
    [
        {"capacity": {"cpu": "8", "memory": "16Gi", "pods": "110"}},
        {"addresses": [{"type": "InternalIP", "address": "10.0.0.2"}]},
        {"features": ("X",)},
        {"version": "0.2.0"},
    ],
)
def test_changes_are_more_than_a_heartbeat(change):
    current = registered()
    wanted = node(NOW, held=current["status"]["conditions"], **change)
    patch = node_object.status_patch(current, wanted)
    assert node_object.significant(patch).keys() == set(patch["status"]) - {"conditions"}
    after = apply(current, patch)
    assert after["status"] == wanted["status"]
    assert node_object.status_patch(after, wanted) is None


def test_a_condition_that_turned_is_significant():
    current = registered()
    wanted = node(NOW, held=current["status"]["conditions"])
    wanted["status"]["conditions"][1] = {
        **wanted["status"]["conditions"][1],
        "status": "True",
        "lastTransitionTime": NOW,
    }
    patch = node_object.status_patch(current, wanted)
    assert node_object.significant(patch) == {
        "conditions": [{"type": "DiskPressure", "status": "True", "lastTransitionTime": NOW}]
    }


def test_two_addresses_of_one_type_survive():
    addresses = [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "InternalIP", "address": "fd00::1"}]
    current = registered()
    wanted = node(THEN, addresses=addresses)
    assert apply(current, node_object.status_patch(current, wanted))["status"]["addresses"] == addresses
    back = registered(addresses=addresses)
    assert apply(back, node_object.status_patch(back, node(THEN)))["status"]["addresses"] == addresses[:1]


def test_the_status_of_others_stays_and_ours_of_old_goes():
    current = registered(capacity={"cpu": "4", "example.com/old": "1"})
    current["status"]["capacity"]["example.com/gpu"] = "2"
    current["status"]["conditions"].append({"type": "KernelDeadlock", "status": "False"})
    current["status"]["images"] = [{"names": ["x"]}]
    after = apply(current, node_object.status_patch(current, node(NOW, capacity={"cpu": "4"})))
    assert after["status"]["capacity"] == {"cpu": "4", "example.com/gpu": "2"}
    assert after["status"]["allocatable"] == {"cpu": "4"}
    assert "KernelDeadlock" in {c["type"] for c in after["status"]["conditions"]}
    assert after["status"]["images"] == [{"names": ["x"]}]


def test_labels_of_others_stay_and_ours_of_old_go():
    current = registered(labels={"old": "1", "same": "1"})
    current["metadata"]["labels"]["theirs"] = "1"
    current["metadata"]["labels"]["same"] = "2"
    wanted = node(labels={"same": "1", "new": "1"})
    after = apply(current, node_object.metadata_patch(current, wanted))
    labels = after["metadata"]["labels"]
    assert "old" not in labels
    assert (labels["theirs"], labels["same"], labels["new"]) == ("1", "1", "1")
    assert node_object.metadata_patch(after, wanted) is None


def test_annotations_of_the_provider_follow_the_same_rule():
    current = registered()
    current["metadata"]["annotations"]["theirs"] = "1"
    wanted = node()
    wanted["metadata"]["annotations"] = {"example.com/a": "1"}
    after = apply(current, node_object.metadata_patch(current, wanted))
    assert after["metadata"]["annotations"]["example.com/a"] == "1"
    final = apply(after, node_object.metadata_patch(after, node()))
    assert "example.com/a" not in final["metadata"]["annotations"]
    assert final["metadata"]["annotations"]["theirs"] == "1"


@pytest.mark.parametrize(
    ("held", "ours", "before", "expected"),
    [
        ([], [TAINT], [], [TAINT]),
        ([CORDON], [TAINT], [], [CORDON, TAINT]),
        ([CORDON, TAINT], [], [TAINT], [CORDON]),
        ([TAINT], [], [TAINT], None),
        ([TAINT], [], [], "same"),
        ([{**TAINT, "value": "old"}, CORDON], [TAINT], [TAINT], [TAINT, CORDON]),
        ([{**TAINT, "timeAdded": THEN}], [TAINT], [TAINT], "same"),
        ([TAINT], [{**TAINT, "effect": "NoExecute"}], [TAINT], [{**TAINT, "effect": "NoExecute"}]),
    ],
)
def test_taints(held, ours, before, expected):
    current = registered(taints=before)
    current["spec"]["taints"] = held
    wanted = node(taints=ours)
    patch = node_object.spec_patch(current, wanted)
    spec = (patch or {}).get("spec", {})
    if expected == "same":
        assert "taints" not in spec
    else:
        assert spec["taints"] == expected
        assert patch["metadata"]["resourceVersion"] == "7"
        assert node_object.spec_patch(apply(current, patch), wanted) is None


def test_a_provider_id_is_given_once():
    current, wanted = registered(), node()
    wanted["spec"]["providerID"] = "mock://1"
    patch = node_object.spec_patch(current, wanted)
    assert patch["spec"] == {"providerID": "mock://1"}
    current["spec"]["providerID"] = "mock://0"
    assert node_object.spec_patch(current, wanted) is None


@pytest.mark.parametrize("text", ["", "not json", "[1]", '"x"', '{"taints": 1}'])
def test_spoilt_memories_are_no_memories(text):
    current = registered()
    current["metadata"]["annotations"] = {
        node_object.LAST_STATUS: text,
        node_object.LAST_META: text,
        node_object.LAST_TAINTS: text,
    }
    wanted = node(capacity={"cpu": "2"})
    after = apply(current, node_object.status_patch(current, wanted))
    assert after["status"]["capacity"]["cpu"] == "2"
    assert node_object.metadata_patch(current, wanted)["metadata"].keys() == {"annotations"}
    assert node_object.spec_patch(current, wanted)["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("name", "forbidden"),
    [
        ("type", False),
        ("example.com/x", False),
        ("kubernetes.io/hostname", False),
        ("node.kubernetes.io/anything", False),
        ("sub.kubelet.kubernetes.io/x", False),
        ("kubernetes.io/role", True),
        ("node-role.kubernetes.io/x", True),
        ("x.k8s.io/y", True),
        ("notkubernetes.io/x", False),
    ],
)
def test_labels_that_a_node_may_not_give_itself(name, forbidden):
    assert node_object.forbidden_label(name) is forbidden
