from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.patches import schema_of, strategic_merge, three_way_merge, three_way_patch

NODE = schema_of("", "Node")
READY = {"type": "Ready", "status": "True"}
NOT_READY = {"type": "Ready", "status": "False"}
OURS = {"type": "Ours", "status": "True"}
THEIRS = {"type": "NetworkUnavailable", "status": "False"}


def conditions(*items):
    return {"status": {"conditions": list(items)}}


def addresses(*pairs):
    return {"status": {"addresses": [{"type": kind, "address": address} for kind, address in pairs]}}


@pytest.mark.parametrize(
    ("original", "modified", "current", "expected", "patch"),
    [
        # nothing to do
        (conditions(READY), conditions(READY), conditions(READY, THEIRS), conditions(READY, THEIRS), {}),
        # ours changes, theirs stays where it is
        (conditions(READY), conditions(NOT_READY), conditions(THEIRS, READY), conditions(THEIRS, NOT_READY), conditions(NOT_READY)),
        # someone else changed ours
        (conditions(READY), conditions(READY), conditions(NOT_READY), conditions(READY), conditions(READY)),
        # ours is new; ours is no longer wished; ours is already gone
        (conditions(READY), conditions(READY, OURS), conditions(READY, THEIRS), conditions(READY, THEIRS, OURS), conditions(OURS)),
        (conditions(READY, OURS), conditions(READY), conditions(OURS, READY, THEIRS), conditions(READY, THEIRS), conditions({"$patch": "delete", "type": "Ours"})),
        (conditions(READY, OURS), conditions(READY), conditions(READY), conditions(READY), {}),
        # others' fields in an item of ours
        (conditions(READY), conditions(READY), conditions({**READY, "extra": 1}), conditions({**READY, "extra": 1}), {}),
        (conditions({**READY, "message": "m"}), conditions(READY), conditions({**READY, "message": "m"}), conditions(READY), conditions({"type": "Ready", "message": None})),
        # nothing there yet, or nothing wished at all
        (conditions(), conditions(READY), {}, conditions(READY), conditions(READY)),
        (conditions(READY), {"status": {}}, conditions(READY, THEIRS), {"status": {}}, {"status": {"conditions": None}}),
        ({}, {"status": {"conditions": None}}, conditions(THEIRS), conditions(THEIRS), {}),
        # maps: labels
        ({"metadata": {"labels": {"a": "1", "b": "1"}}}, {"metadata": {"labels": {"a": "2"}}}, {"metadata": {"labels": {"a": "1", "b": "1", "c": "1"}}},
         {"metadata": {"labels": {"a": "2", "c": "1"}}}, {"metadata": {"labels": {"a": "2", "b": None}}}),
        ({"metadata": {"labels": "odd"}}, {"metadata": {"labels": {"a": "2"}}}, {"metadata": {"labels": {"c": "1"}}},
         {"metadata": {"labels": {"c": "1", "a": "2"}}}, {"metadata": {"labels": {"a": "2"}}}),
        # sets and atomic lists
        ({"metadata": {"finalizers": ["a", "b"]}}, {"metadata": {"finalizers": ["a", "d"]}}, {"metadata": {"finalizers": ["c", "b", "a"]}},
         {"metadata": {"finalizers": ["c", "a", "d"]}}, {"metadata": {"finalizers": ["d"], "$deleteFromPrimitiveList/finalizers": ["b"]}}),
        ({"spec": {"taints": [1]}}, {"spec": {"taints": [2]}}, {"spec": {"taints": [1, 3]}}, {"spec": {"taints": [2]}}, {"spec": {"taints": [2]}}),
        # addresses
        (addresses(("InternalIP", "1")), addresses(("InternalIP", "2")), addresses(("Hostname", "n"), ("InternalIP", "1")),
         addresses(("Hostname", "n"), ("InternalIP", "2")), addresses(("InternalIP", "2"))),
        (addresses(("InternalIP", "1")), addresses(("InternalIP", "1"), ("InternalIP", "v6")), addresses(("Hostname", "n"), ("InternalIP", "1")),
         addresses(("Hostname", "n"), ("InternalIP", "1"), ("InternalIP", "v6")),
         {"status": {"addresses": [{"$patch": "replace"}, *addresses(("Hostname", "n"), ("InternalIP", "1"), ("InternalIP", "v6"))["status"]["addresses"]]}}),
        (addresses(("InternalIP", "1"), ("InternalIP", "v6")), addresses(("InternalIP", "2"), ("InternalIP", "v6")), addresses(("InternalIP", "1"), ("InternalIP", "v6"), ("ExternalIP", "9")),
         addresses(("InternalIP", "v6"), ("ExternalIP", "9"), ("InternalIP", "2")),
         {"status": {"addresses": [{"$patch": "replace"}, *addresses(("InternalIP", "v6"), ("ExternalIP", "9"), ("InternalIP", "2"))["status"]["addresses"]]}}),
    ],
)  # fmt: skip
def test_three_way(original, modified, current, expected, patch):
    before = copy.deepcopy((original, modified, current))
    assert three_way_merge(original, modified, current, NODE) == expected
    assert three_way_patch(original, modified, current, NODE) == patch
    assert strategic_merge(current, patch, NODE) == expected
    assert (original, modified, current) == before


condition = st.fixed_dictionaries(
    {"type": st.sampled_from("ABCD"), "status": st.sampled_from(["True", "False"])},
    optional={"message": st.sampled_from("xy")},
)
nodes = st.builds(
    lambda labels, conditions: {"metadata": {"labels": labels}, "status": {"conditions": conditions}},
    st.dictionaries(st.sampled_from("abcd"), st.sampled_from("12"), max_size=3),
    st.lists(condition, max_size=4, unique_by=lambda item: item["type"]),
)


@given(nodes, nodes, nodes)
def test_what_we_wish_is_there_what_we_no_longer_wish_is_not_and_all_else_stays(original, modified, current):
    merged = strategic_merge(current, three_way_patch(original, modified, current, NODE), NODE)
    for part in (
        lambda node: node["metadata"]["labels"],
        lambda node: {item["type"]: item for item in node["status"]["conditions"]},
    ):
        before, wished, there, now = (part(node) for node in (original, modified, current, merged))
        assert set(now) == set(wished) | (set(there) - set(before))
        for key, value in wished.items():
            assert value == now[key] or value.items() <= now[key].items()
        for key in set(now) - set(wished):
            assert now[key] == there[key]
    assert three_way_patch(modified, modified, merged, NODE) == {}
