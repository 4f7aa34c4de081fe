from __future__ import annotations

import pytest

from virtual_kubelet.pure.downward import Facts, field_value, resource_value

POD = {
    "metadata": {
        "name": "web-0",
        "namespace": "apps",
        "uid": "u-1",
        "labels": {"b": "2", "a": 'x"y\\z', "example.com/tier": "front"},
        "annotations": {"Note": "line one\nline two\ttab é \x01 \x7f \u200b \U000e0001", "e": ""},
    },
    "spec": {
        "nodeName": "node-1",
        "serviceAccountName": "robot",
        "containers": [
            {"name": "main", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi", "hugepages-2Mi": "4Mi"}, "requests": {"cpu": "250m"}}},
            {"name": "plain"},
        ],
        "initContainers": [{"name": "init", "resources": {"limits": {"cpu": "3"}}}],
    },
}  # fmt: skip
MAIN, PLAIN = POD["spec"]["containers"]
FACTS = Facts(
    pod_ips=("10.1.0.5", "fd00::5"),
    host_ips=("192.0.2.1", "fd01::1"),
    allocatable={"cpu": "8", "memory": "16Gi", "ephemeral-storage": "100Gi"},
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web-0"),
        ("metadata.namespace", "apps"),
        ("metadata.uid", "u-1"),
        ("metadata.labels", 'a="x\\"y\\\\z"\nb="2"\nexample.com/tier="front"'),
        (
            "metadata.annotations",
            'Note="line one\\nline two\\ttab é \\x01 \\x7f \\u200b \\U000e0001"\ne=""',
        ),
        ("metadata.labels['b']", "2"),
        ("metadata.labels['example.com/tier']", "front"),
        ("metadata.labels['gone']", ""),
        ("metadata.annotations['Note']", POD["metadata"]["annotations"]["Note"]),
        ("metadata.annotations['gone']", ""),
        ("spec.nodeName", "node-1"),
        ("spec.host", "node-1"),
        ("spec.serviceAccountName", "robot"),
        ("status.podIP", "10.1.0.5"),
        ("status.podIPs", "10.1.0.5,fd00::5"),
        ("status.hostIP", "192.0.2.1"),
        ("status.hostIPs", "192.0.2.1,fd01::1"),
    ],
)
def test_fields(path, expected):
    assert field_value(POD, {"fieldPath": path}, FACTS) == expected
    assert field_value(POD, {"apiVersion": "v1", "fieldPath": path}, FACTS) == expected


def test_fields_that_a_bare_pod_has_not():
    bare = {"metadata": {"name": "p", "namespace": "n"}, "spec": {}}
    for path in ("metadata.uid", "metadata.labels", "metadata.annotations", "metadata.labels['a']", "spec.nodeName", "spec.serviceAccountName"):  # fmt: skip
        assert field_value(bare, {"fieldPath": path}, FACTS) == ""


@pytest.mark.parametrize("path", ["status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs"])
def test_addresses_that_are_not_known_yet(path):
    assert field_value(POD, {"fieldPath": path}, Facts()) is None


def test_a_pod_on_the_hosts_network_has_the_hosts_addresses():
    on_host = {**POD, "spec": {**POD["spec"], "hostNetwork": True}}
    facts = Facts(host_ips=("192.0.2.1", "fd01::1"))
    assert field_value(on_host, {"fieldPath": "status.podIP"}, facts) == "192.0.2.1"
    assert field_value(on_host, {"fieldPath": "status.podIPs"}, facts) == "192.0.2.1,fd01::1"
    assert field_value(on_host, {"fieldPath": "status.podIP"}, FACTS) == "10.1.0.5"
    assert field_value(POD, {"fieldPath": "status.podIP"}, facts) is None


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ({"fieldPath": "status.phase"}, "unsupported fieldPath: status.phase"),
        ({"fieldPath": "spec.restartPolicy"}, "unsupported fieldPath: spec.restartPolicy"),
        ({"fieldPath": "metadata.name['a']"}, r"unsupported fieldPath: metadata.name\['a'\]"),
        ({}, "unsupported fieldPath: "),
        ({"fieldPath": "metadata.labels['']"}, r"invalid key subscript in metadata.labels\[''\]: name part must be non-empty"),
        ({"fieldPath": "metadata.labels['a b']"}, r"invalid key subscript in metadata.labels\['a b'\]"),
        ({"fieldPath": "metadata.annotations['-']"}, r"invalid key subscript in metadata.annotations\['-'\]"),
        ({"fieldPath": "metadata.name", "apiVersion": "v2"}, "unsupported pod version: v2"),
    ],
)  # fmt: skip
def test_fields_that_there_are_not(selector, message):
    with pytest.raises(ValueError, match=message):
        field_value(POD, selector, FACTS)


@pytest.mark.parametrize(
    ("container", "resource", "divisor", "expected"),
    [
        (MAIN, "limits.cpu", None, "2"),
        (MAIN, "limits.cpu", "0", "2"),
        (MAIN, "limits.cpu", "-1n", "2"),
        (MAIN, "limits.cpu", "1", "2"),
        (MAIN, "limits.cpu", "1m", "1500"),
        (MAIN, "requests.cpu", "1m", "250"),
        (MAIN, "requests.cpu", "1", "1"),
        (MAIN, "limits.memory", None, "67108864"),
        (MAIN, "limits.memory", "1Mi", "64"),
        (MAIN, "limits.memory", "1M", "68"),
        (MAIN, "limits.memory", "1Gi", "1"),
        (MAIN, "requests.memory", "1", "0"),
        (MAIN, "limits.hugepages-2Mi", "1Mi", "4"),
        (MAIN, "limits.hugepages-1Gi", "1", "0"),
        (MAIN, "limits.ephemeral-storage", "1Gi", "100"),
        (PLAIN, "limits.cpu", "1", "8"),
        (PLAIN, "limits.memory", "1Gi", "16"),
        (PLAIN, "requests.cpu", "1m", "0"),
    ],
)
def test_resources(container, resource, divisor, expected):
    selector = {"resource": resource} | ({} if divisor is None else {"divisor": divisor})
    assert resource_value(POD, container, selector, FACTS) == expected


def test_resources_of_another_container():
    assert resource_value(POD, MAIN, {"resource": "limits.cpu", "containerName": "init"}, FACTS) == "3"
    assert resource_value(POD, None, {"resource": "limits.cpu", "containerName": "plain"}, FACTS) == "8"


def test_a_limit_of_the_whole_pod_comes_before_the_nodes():
    limited = {**POD, "spec": {**POD["spec"], "resources": {"limits": {"memory": "1Gi"}}}}
    assert resource_value(limited, PLAIN, {"resource": "limits.memory", "divisor": "1Mi"}, FACTS) == "1024"
    assert resource_value(limited, PLAIN, {"resource": "limits.cpu"}, FACTS) == "8"
    assert resource_value(limited, MAIN, {"resource": "limits.memory", "divisor": "1Mi"}, FACTS) == "64"


def test_nothing_is_known_of_the_node():
    assert resource_value(POD, PLAIN, {"resource": "limits.cpu"}, Facts()) == "0"


@pytest.mark.parametrize(
    ("container", "selector", "message"),
    [
        (MAIN, {"resource": "limits.cpu", "containerName": "gone"}, "container gone not found"),
        (None, {"resource": "limits.cpu"}, "container  not found"),
        (MAIN, {"resource": "limits.gpu"}, "unsupported container resource : limits.gpu"),
        (MAIN, {"resource": "cpu"}, "unsupported container resource : cpu"),
        (MAIN, {}, "unsupported container resource : "),
        (MAIN, {"resource": "limits.cpu", "divisor": "x"}, "'x' is not a quantity"),
    ],
)
def test_resources_that_there_are_not(container, selector, message):
    with pytest.raises(ValueError, match=message):
        resource_value(POD, container, selector, FACTS)
