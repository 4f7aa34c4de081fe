from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.patches import PatchError, schema_of
from virtual_kubelet.pure.patches.field_sets import fields_v1, leaves, read_fields_v1, shown

POD = schema_of("", "Pod")
WEB = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "ns", "uid": "u", "resourceVersion": "1", "labels": {"app": "web"}, "finalizers": ["b", "a"], "annotations": {}},
    "spec": {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a"}],
        "containers": [
            {"name": "main", "image": "x", "command": ["sh"], "ports": [{"containerPort": 80}, {"containerPort": 53, "protocol": "UDP"}], "env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]},
        ],
        "volumes": [],
    },
}  # fmt: skip
WEB_FIELDS = {
    "f:metadata": {
        "f:labels": {"f:app": {}},
        "f:annotations": {},
        "f:finalizers": {'v:"a"': {}, 'v:"b"': {}},
    },
    "f:spec": {
        "f:nodeSelector": {},
        "f:tolerations": {},
        "f:volumes": {},
        "f:containers": {
            'k:{"name":"main"}': {
                ".": {},
                "f:name": {},
                "f:image": {},
                "f:command": {},
                "f:ports": {
                    'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}},
                    'k:{"containerPort":53,"protocol":"UDP"}': {
                        ".": {},
                        "f:containerPort": {},
                        "f:protocol": {},
                    },
                },
                "f:env": {'k:{"name":"A"}': {".": {}, "f:name": {}, "f:valueFrom": {"f:fieldRef": {}}}},
            }
        },
    },
}


def test_the_fields_of_an_object():
    assert fields_v1(leaves(WEB, POD)) == WEB_FIELDS


def test_the_values_of_the_fields():
    values = leaves(WEB, POD)
    item = ("f:spec", "f:containers", 'k:{"name":"main"}')
    assert values[item] is True
    assert values[(*item, "f:command")] == ["sh"]
    assert values["f:metadata", "f:annotations"] == {}
    assert values["f:metadata", "f:finalizers", 'v:"a"'] is True


def test_reading_what_was_written():
    assert read_fields_v1(WEB_FIELDS) == leaves(WEB, POD).keys()
    assert read_fields_v1({"f:a": {".": {}, "f:b": {}}}) == {("f:a",), ("f:a", "f:b")}
    assert read_fields_v1({}) == frozenset()


@pytest.mark.parametrize("item", [{"image": "x"}, {"name": None}, "x"])
def test_items_without_their_key(item):
    with pytest.raises(PatchError, match=r'\.spec\.containers: element .* omits key field "name"'):
        leaves({"spec": {"containers": [item]}}, POD)


def test_how_messages_name_fields():
    path = ("f:spec", "f:containers", 'k:{"containerPort":80,"protocol":"TCP"}', "f:a:b", 'v:"x"')
    assert shown(path) == '.spec.containers[containerPort=80,protocol="TCP"].a:b[="x"]'
    assert shown(()) == "."


steps = st.sampled_from(["f:a", "f:b", "f:.", 'k:{"name":"x"}', 'v:"y"'])
paths = st.lists(steps, min_size=1, max_size=4).map(tuple)


@given(st.frozensets(paths, max_size=8))
def test_round_trip(fields):
    written = fields_v1(fields)
    assert read_fields_v1(json.loads(json.dumps(written))) == fields
