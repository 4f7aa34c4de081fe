from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.patches import schema_of, strategic_diff, strategic_merge
from virtual_kubelet.pure.patches.schema import SET, keyed, struct

NODE = schema_of("", "Node")
SCHEMA = struct(list=keyed("name", struct(inner=keyed("id"), tags=SET)), tags=SET)


def items(names, **more):
    return [{"name": name, **more} for name in names]


@pytest.mark.parametrize(
    ("original", "modified", "patch"),
    [
        ({}, {}, {}),
        ({"a": 1}, {"a": 1}, {}),
        ({"a": 1}, {"a": 2}, {"a": 2}),
        ({"a": 1}, {"a": True}, {"a": True}),
        ({"a": 1, "b": 2}, {"b": 2}, {"a": None}),
        ({"a": 1}, {"a": None}, {"a": None}),
        ({"a": None}, {"b": {"c": None}}, {"b": {}}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}, {"a": {"b": None, "c": 3}}),
        ({"a": {"b": None}}, {"a": {}}, {}),
        ({"a": [1]}, {"a": [2]}, {"a": [2]}),
        ({"a": {}}, {"a": [2]}, {"a": [2]}),
        # by key
        ({"list": items("ab", x=1)}, {"list": items("ab", x=1)}, {}),
        ({"list": items("ab", x=1)}, {"list": [{"name": "a", "x": 1}, {"name": "b", "x": 2}]}, {"list": [{"name": "b", "x": 2}]}),
        ({"list": items("ab")}, {"list": items("abc")}, {"list": [{"name": "c"}]}),
        ({"list": items("ab")}, {"list": items("a")}, {"list": [{"$patch": "delete", "name": "b"}]}),
        ({"list": items("ab")}, {"list": items("ba")}, {"$setElementOrder/list": items("ba")}),
        ({"list": items("ab")}, {"list": items("acb")}, {"list": [{"name": "c"}], "$setElementOrder/list": items("acb")}),
        ({"list": items("ab")}, {"list": []}, {"list": [{"$patch": "delete", "name": "a"}, {"$patch": "delete", "name": "b"}]}),
        ({"list": items("ab")}, {}, {"list": None}),
        ({}, {"list": [{"name": "a", "x": None}]}, {"list": [{"name": "a", "x": None}]}),
        ({"list": [{"name": "a", "x": None}]}, {"list": [{"name": "a"}]}, {}),
        ({"list": [{"name": "a", "inner": [{"id": 1}]}]}, {"list": [{"name": "a", "inner": [{"id": 2}]}]},
         {"list": [{"name": "a", "inner": [{"id": 2}, {"$patch": "delete", "id": 1}]}]}),
        # items that cannot be told apart
        ({"list": items("a")}, {"list": items("aa", x=None)}, {"list": [{"$patch": "replace"}, *items("aa")]}),
        ({"list": items("aa")}, {"list": items("a")}, {"list": [{"$patch": "replace"}, *items("a")]}),
        ({"list": items("a")}, {"list": [{"x": 1}]}, {"list": [{"$patch": "replace"}, {"x": 1}]}),
        ({"list": items("a")}, {"list": ["x"]}, {"list": [{"$patch": "replace"}, "x"]}),
        # sets
        ({"tags": ["a", "b"]}, {"tags": ["a", "b"]}, {}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "c"]}, {"tags": ["c"], "$deleteFromPrimitiveList/tags": ["a"]}),
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, {"$setElementOrder/tags": ["b", "a"]}),
    ],
)  # fmt: skip
def test_strategic_diff(original, modified, patch):
    before = copy.deepcopy((original, modified))
    assert strategic_diff(original, modified, SCHEMA) == patch
    assert (original, modified) == before


def test_two_addresses_of_one_type():
    one = {
        "status": {
            "addresses": [{"type": "InternalIP", "address": "10.0.0.1"}, {"type": "Hostname", "address": "n"}]
        }
    }
    two = {
        "status": {
            "addresses": [
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "InternalIP", "address": "fd00::1"},
            ]
        }
    }
    patch = strategic_diff(one, two, NODE)
    assert patch == {"status": {"addresses": [{"$patch": "replace"}, *two["status"]["addresses"]]}}
    assert strategic_merge(one, patch, NODE) == two
    assert strategic_merge(two, strategic_diff(two, one, NODE), NODE) == one


scalars = st.booleans() | st.integers(0, 2) | st.sampled_from("xy")
plain = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("pq"), inner, max_size=2),
    max_leaves=4,
)
inner_items = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 3)}, optional={"v": plain}),
    max_size=3,
    unique_by=lambda item: item["id"],
)
tags = st.lists(st.sampled_from("abcd"), max_size=4, unique=True)
list_items = st.fixed_dictionaries(
    {"name": st.sampled_from("abcd")}, optional={"v": plain, "inner": inner_items, "tags": tags}
)
objects = st.fixed_dictionaries(
    {},
    optional={
        "list": st.lists(list_items, max_size=4, unique_by=lambda item: item["name"])
        | st.lists(list_items, max_size=3),
        "tags": tags,
        "v": plain,
        "w": plain,
    },
)


@given(objects, objects)
def test_the_difference_applied_gives_the_modified(original, modified):
    before = copy.deepcopy((original, modified))
    patch = strategic_diff(original, modified, SCHEMA)
    assert strategic_merge(original, patch, SCHEMA) == modified
    assert (original, modified) == before


@given(objects)
def test_no_difference_is_an_empty_patch(value):
    assert strategic_diff(value, copy.deepcopy(value), SCHEMA) == {}
