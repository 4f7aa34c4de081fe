from __future__ import annotations

import copy

import pytest

from virtual_kubelet.pure.patches import PatchError, schema_of, strategic_merge
from virtual_kubelet.pure.patches.schema import SET, keyed, struct

POD = schema_of("", "Pod")
NODE = schema_of("", "Node")
SERVICE = schema_of("", "Service")
PLAIN = struct(
    list=keyed("name", struct(inner=keyed("id"), tags=SET)),
    other=keyed("name"),
    tags=SET,
)


def check(document, patch, expected, schema=PLAIN):
    before = copy.deepcopy((document, patch))
    assert strategic_merge(document, patch, schema) == expected
    assert (document, patch) == before


def spec(**fields):
    return {"spec": fields}


def status(**fields):
    return {"status": fields}


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"b": 2}, {"a": 1, "b": 2}),
        ({"a": 1}, {"a": None}, {}),
        ({"a": 1}, {"b": None}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": 3, "c": None}}, {"a": {"b": 3}}),
        ({"a": 1}, {"a": {"b": 1, "c": None}}, {"a": {"b": 1}}),
        ({"a": {"b": 1}}, {"a": 1}, {"a": 1}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": [3]}, {"a": [3]}),
        ({}, {"a": [{"b": None}]}, {"a": [{"b": None}]}),
        ({"a": {"b": 1}}, {"a": {"$patch": "replace", "c": 2, "d": None}}, {"a": {"c": 2}}),
        ({"a": {"b": 1}}, {"a": {"$patch": "delete"}}, {"a": {}}),
        ({"a": {"b": 1}}, {"a": {"$patch": "merge", "c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": 1}, {"$patch": "replace", "b": 2}, {"b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$retainKeys": ["b", "d"], "d": 3}}, {"a": {"b": 1, "d": 3}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"$retainKeys": ["b"], "c": None}}, {"a": {"b": 1}}),
    ],
)
def test_objects(document, patch, expected):
    check(document, patch, expected)


ABC = [{"name": "a", "x": 1}, {"name": "b", "x": 2}, {"name": "c", "x": 3}]


@pytest.mark.parametrize(
    ("items", "patch", "expected"),
    [
        (ABC, [], ABC),
        (ABC, [{"name": "b", "x": 9}], [ABC[0], {"name": "b", "x": 9}, ABC[2]]),
        (ABC, [{"name": "b", "x": None}], [ABC[0], {"name": "b"}, ABC[2]]),
        (ABC, [{"name": "d", "x": None, "y": 1}], [*ABC, {"name": "d", "y": 1}]),
        (ABC, [{"name": "b", "$patch": "delete"}], [ABC[0], ABC[2]]),
        (ABC, [{"name": "z", "$patch": "delete"}], ABC),
        (ABC, [{"name": "b", "$patch": "replace"}], []),
        (ABC, [{"$patch": "replace"}], []),
        (ABC, [{"$patch": "replace"}, {"name": "z"}], [{"name": "z"}]),
        (ABC, [{"name": "z"}, {"$patch": "replace"}, {"$patch": "delete", "name": "b"}], [{"name": "z"}]),
        (ABC, [{"name": "b", "$patch": "delete"}, {"name": "b", "y": 1}], [ABC[0], ABC[2], {"name": "b", "y": 1}]),
        (ABC, [{"name": "b", "$patch": "merge", "y": 1}], [ABC[0], {"name": "b", "x": 2, "y": 1}, ABC[2]]),
        (None, [{"name": "b", "$patch": "delete"}], []),
        (None, [{"name": "b", "y": None}], [{"name": "b"}]),
        (None, [{"$patch": "replace"}, {"name": "b"}, {"name": "b"}, "x"], [{"name": "b"}, {"name": "b"}, "x"]),
        ([], [{"name": "b", "x": 1}, {"name": "b", "y": 2}], [{"name": "b", "x": 1, "y": 2}]),
        ("text", [{"name": "b"}], [{"name": "b"}]),
        ([{"x": 1}], [{"name": "b"}], [{"x": 1}, {"name": "b"}]),
        (ABC, [{"name": "b", "inner": [{"id": 1, "v": 1}]}], [ABC[0], {**ABC[1], "inner": [{"id": 1, "v": 1}]}, ABC[2]]),
        (
            [{"name": "a", "inner": [{"id": 1, "v": 1}, {"id": 2}], "tags": ["p"]}],
            [{"name": "a", "inner": [{"id": 1, "v": 2}], "tags": ["q"]}],
            [{"name": "a", "inner": [{"id": 1, "v": 2}, {"id": 2}], "tags": ["p", "q"]}],
        ),
    ],
)  # fmt: skip
def test_lists_with_a_merge_key(items, patch, expected):
    check({} if items is None else {"list": items}, {"list": patch}, {"list": expected})


@pytest.mark.parametrize(
    ("items", "patch", "expected"),
    [
        (["a", "b"], {"tags": ["b", "c", "c"]}, ["a", "b", "c"]),
        (["a", "b", "a"], {"$deleteFromPrimitiveList/tags": ["a", "z"]}, ["b"]),
        (["a", "b"], {"$deleteFromPrimitiveList/tags": ["a"], "tags": ["c"]}, ["b", "c"]),
        (["a", "b"], {"$setElementOrder/tags": ["b", "a"]}, ["b", "a"]),
        (["a", "b"], {"$setElementOrder/tags": ["c", "b", "a"], "tags": ["c"]}, ["c", "b", "a"]),
        (
            ["a", "b"],
            {"tags": [{"$patch": "replace"}]},
            ["a", "b", {"$patch": "replace"}],
        ),  # no directive in a set
    ],
)
def test_sets_of_scalars(items, patch, expected):
    check({"tags": items}, patch, {"tags": expected})


def test_deleting_from_a_set_that_is_not_there():
    check({"a": 1}, {"$deleteFromPrimitiveList/tags": ["x"]}, {"a": 1})
    check({"tags": 1}, {"$deleteFromPrimitiveList/tags": ["x"]}, {"tags": 1})


@pytest.mark.parametrize(
    ("before", "order", "changes", "expected"),
    [
        ("abc", "cba", "", "cba"),
        ("abc", "ab", "", "abc"),  # c is not ours: it stays behind b
        ("xabc", "cba", "", "xcba"),  # x stood before all of ours
        ("axbc", "cba", "", "xcba"),  # x stood before c, the first of ours by then
        ("abx", "ba", "", "bax"),
        ("ab", "acb", "c", "acb"),
        ("ab", "cab", "c", "cab"),
        ("xy", "ab", "ab", "abxy"),  # nothing says where, so ours come first
        ("", "ba", "ba", "ba"),
        ("abc", "zcb", "", "acb"),
    ],
)
def test_element_order(before, order, changes, expected):
    def items(names):
        return [{"name": name} for name in names]

    patch = {"$setElementOrder/list": items(order)} | ({"list": items(changes)} if changes else {})
    check({"list": items(before)}, patch, {"list": items(expected)})
    as_set = {"$setElementOrder/tags": list(order)} | ({"tags": list(changes)} if changes else {})
    check({"tags": list(before)}, as_set, {"tags": list(expected)})


def test_order_of_a_list_that_is_not_there_is_ignored():
    check({"a": 1}, {"$setElementOrder/list": [{"name": "a"}]}, {"a": 1})
    check({"list": 1}, {"$setElementOrder/list": [{"name": "a"}]}, {"list": 1})


def test_order_with_deletions():
    check(
        {"list": ABC},
        {
            "$setElementOrder/list": [{"name": "c"}, {"name": "a"}],
            "list": [{"name": "b", "$patch": "delete"}],
        },
        {"list": [ABC[2], ABC[0]]},
    )
    check(
        {},
        {"$setElementOrder/list": [{"name": "b"}, {"name": "a"}], "list": [{"name": "b"}, {"name": "a"}]},
        {"list": [{"name": "b"}, {"name": "a"}]},
    )


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        ([], "a strategic merge patch is an object"),
        (None, "a strategic merge patch is an object"),
        ({"$patch": "remove"}, "the patch: unknown patch type found: remove"),
        ({"a": {"$patch": "remove"}}, r"\.a: unknown patch type found: remove"),
        ({"list": [{"x": 1}]}, r"\.list: an item does not contain declared merge key: name"),
        ({"list": [{"name": None}]}, r"\.list: an item does not contain declared merge key: name"),
        ({"list": ["a"]}, r"\.list: an item does not contain declared merge key: name"),
        ({"list": [{"$patch": "delete"}]}, r"\.list: an item does not contain declared merge key: name"),
        ({"list": [{"name": "a", "$patch": "remove"}]}, r"\.list: unknown patch type found: remove"),
        ({"a": {"$retainKeys": "b"}}, r"\.a: \$retainKeys is a list of field names"),
        ({"a": {"$retainKeys": ["b"], "c": 1}}, r"\.a: c is set but not among its \$retainKeys"),
        ({"$deleteFromPrimitiveList/tags": "a"}, r"\$deleteFromPrimitiveList/tags: must be a list"),
        ({"$setElementOrder/tags": "a"}, r"\.tags: a list and its \$setElementOrder are lists"),
        ({"$setElementOrder/tags": ["a"], "tags": ["b"]}, r"\.tags: the order in patch list doesn't match"),
        ({"$setElementOrder/tags": ["a", "b"], "tags": ["b", "a"]}, r"\.tags: the order in patch list doesn't match"),
        ({"$setElementOrder/list": [{"name": "a"}], "list": [{"name": "b"}]}, r"\.list: the order in patch list"),
    ],
)  # fmt: skip
def test_patches_refused(patch, message):
    with pytest.raises(PatchError, match=message):
        strategic_merge({"list": ABC, "tags": ["a"], "a": {"b": 1}}, patch, PLAIN)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        # kubectl set image
        (
            spec(containers=[{"name": "a", "image": "x:1", "env": [{"name": "A", "value": "1"}]}, {"name": "b", "image": "y"}]),
            spec(**{"$setElementOrder/containers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "a", "image": "x:2"}]}),
            spec(containers=[{"name": "a", "image": "x:2", "env": [{"name": "A", "value": "1"}]}, {"name": "b", "image": "y"}]),
        ),
        # kubectl set env
        (
            spec(containers=[{"name": "a", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}]),
            spec(containers=[{"name": "a", "env": [{"name": "A", "value": "9"}, {"$patch": "delete", "name": "B"}]}]),
            spec(containers=[{"name": "a", "env": [{"name": "A", "value": "9"}]}]),
        ),
        # a port is told by its number alone
        (
            spec(containers=[{"name": "a", "ports": [{"containerPort": 53, "protocol": "TCP"}]}]),
            spec(containers=[{"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}]}]),
            spec(containers=[{"name": "a", "ports": [{"containerPort": 53, "protocol": "UDP"}]}]),
        ),
        # one volume source in place of another
        (
            spec(volumes=[{"name": "v", "emptyDir": {}}]),
            spec(volumes=[{"$retainKeys": ["name", "hostPath"], "name": "v", "hostPath": {"path": "/x"}}]),
            spec(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
        ),
        (
            spec(tolerations=[{"key": "a"}], initContainers=[{"name": "i"}]),
            spec(tolerations=[{"key": "b"}], initContainers=[{"name": "i", "command": ["x"]}]),
            spec(tolerations=[{"key": "b"}], initContainers=[{"name": "i", "command": ["x"]}]),
        ),
        # what a kubelet sends
        (
            status(conditions=[{"type": "Ready", "status": "False"}, {"type": "example.com/gate", "status": "True"}], containerStatuses=[{"name": "a"}, {"name": "b"}], reason="x"),
            status(conditions=[{"type": "Ready", "status": "True"}], containerStatuses=[{"name": "b", "ready": True}], podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}], reason=None),
            status(conditions=[{"type": "Ready", "status": "True"}, {"type": "example.com/gate", "status": "True"}], containerStatuses=[{"name": "b", "ready": True}], podIP="10.0.0.1", podIPs=[{"ip": "10.0.0.1"}]),
        ),
        (
            status(podIPs=[{"ip": "10.0.0.1"}], hostIPs=[{"ip": "1.1.1.1"}]),
            status(podIPs=[{"$patch": "delete", "ip": "10.0.0.1"}, {"ip": "10.0.0.2"}], hostIPs=[{"$patch": "replace"}, {"ip": "2.2.2.2"}]),
            status(podIPs=[{"ip": "10.0.0.2"}], hostIPs=[{"ip": "2.2.2.2"}]),
        ),
        (
            {"metadata": {"finalizers": ["a"], "labels": {"x": "1", "y": "2"}, "ownerReferences": [{"uid": "1", "name": "n"}]}},
            {"metadata": {"finalizers": ["b"], "labels": {"x": None}, "ownerReferences": [{"uid": "1", "name": "m"}]}},
            {"metadata": {"finalizers": ["a", "b"], "labels": {"y": "2"}, "ownerReferences": [{"uid": "1", "name": "m"}]}},
        ),
    ],
)  # fmt: skip
def test_pods(document, patch, expected):
    check(document, patch, expected, POD)


@pytest.mark.parametrize(
    ("document", "patch", "expected"),
    [
        # kubectl taint: taints are one value
        (spec(taints=[{"key": "a"}]), spec(taints=[{"key": "b"}]), spec(taints=[{"key": "b"}])),
        (spec(), spec(unschedulable=True), spec(unschedulable=True)),
        # two addresses of a type survive only a replacement
        (
            status(addresses=[{"type": "InternalIP", "address": "1.1.1.1"}]),
            status(addresses=[{"$patch": "replace"}, {"type": "InternalIP", "address": "1.1.1.1"}, {"type": "InternalIP", "address": "fd00::1"}]),
            status(addresses=[{"type": "InternalIP", "address": "1.1.1.1"}, {"type": "InternalIP", "address": "fd00::1"}]),
        ),
        (
            status(conditions=[{"type": "Ready", "status": "True", "reason": "x"}], allocatable={"cpu": "1", "pods": "5"}, images=[{"names": ["a"]}]),
            status(conditions=[{"type": "Ready", "lastHeartbeatTime": "t"}], allocatable={"cpu": "2", "pods": None}, images=[]),
            status(conditions=[{"type": "Ready", "status": "True", "reason": "x", "lastHeartbeatTime": "t"}], allocatable={"cpu": "2"}, images=[]),
        ),
    ],
)  # fmt: skip
def test_nodes(document, patch, expected):
    check(document, patch, expected, NODE)


def test_services_and_service_accounts():
    check(
        spec(ports=[{"port": 80, "name": "a"}, {"port": 81}]),
        spec(ports=[{"port": 80, "targetPort": 8080}]),
        spec(ports=[{"port": 80, "name": "a", "targetPort": 8080}, {"port": 81}]),
        SERVICE,
    )
    account = schema_of("", "ServiceAccount")
    check(
        {"secrets": [{"name": "a"}], "imagePullSecrets": [{"name": "a"}]},
        {"secrets": [{"name": "b"}], "imagePullSecrets": [{"name": "b"}]},
        {"secrets": [{"name": "a"}, {"name": "b"}], "imagePullSecrets": [{"name": "b"}]},
        account,
    )


def test_templates_of_pods():
    template = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "x"}, {"name": "b"}]}}}}
    patch = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "y"}]}}}}
    expected = {"spec": {"template": {"spec": {"containers": [{"name": "a", "image": "y"}, {"name": "b"}]}}}}
    for group, kind in (
        ("apps", "Deployment"),
        ("apps", "DaemonSet"),
        ("batch", "Job"),
        ("", "ReplicationController"),
    ):
        check(template, patch, expected, schema_of(group, kind))
    check(
        {"spec": {"jobTemplate": template}},
        {"spec": {"jobTemplate": patch}},
        {"spec": {"jobTemplate": expected}},
        schema_of("batch", "CronJob"),
    )


def test_other_kinds_have_no_schema():
    assert schema_of("example.com", "Widget") is None
    assert schema_of("apps", "Pod") is None
