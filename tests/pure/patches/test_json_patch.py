"""Among the cases are those of RFC 6902's appendix A, under their numbers."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from virtual_kubelet.pure.patches import PatchError, PatchTooLarge, json_patch


def op(name, path, **members):
    return {"op": name, "path": path, **{key.rstrip("_"): value for key, value in members.items()}}


@pytest.mark.parametrize(
    ("document", "operations", "expected"),
    [
        ({"foo": "bar"}, [], {"foo": "bar"}),
        ({"foo": "bar"}, [op("add", "/baz", value="qux")], {"baz": "qux", "foo": "bar"}),  # A.1
        ({"foo": ["bar", "baz"]}, [op("add", "/foo/1", value="qux")], {"foo": ["bar", "qux", "baz"]}),  # A.2
        ({"baz": "qux", "foo": "bar"}, [op("remove", "/baz")], {"foo": "bar"}),  # A.3
        ({"foo": ["bar", "qux", "baz"]}, [op("remove", "/foo/1")], {"foo": ["bar", "baz"]}),  # A.4
        ({"baz": "qux"}, [op("replace", "/baz", value="boo")], {"baz": "boo"}),  # A.5
        (
            {"foo": {"bar": "baz", "waldo": "fred"}, "qux": {"corge": "grault"}},
            [op("move", "/qux/thud", from_="/foo/waldo")],
            {"foo": {"bar": "baz"}, "qux": {"corge": "grault", "thud": "fred"}},
        ),  # A.6
        ({"foo": ["all", "grass", "cows", "eat"]}, [op("move", "/foo/3", from_="/foo/1")], {"foo": ["all", "cows", "eat", "grass"]}),  # A.7
        ({"baz": "qux", "foo": ["a", 2, "c"]}, [op("test", "/baz", value="qux"), op("test", "/foo/1", value=2)], {"baz": "qux", "foo": ["a", 2, "c"]}),  # A.8
        ({"foo": "bar"}, [op("add", "/child", value={"grandchild": {}})], {"foo": "bar", "child": {"grandchild": {}}}),  # A.10
        ({"foo": "bar"}, [op("add", "/baz", value="qux", xyz=123)], {"foo": "bar", "baz": "qux"}),  # A.11
        ({"/": 9, "~1": 10}, [op("test", "/~01", value=10)], {"/": 9, "~1": 10}),  # A.14
        ({"foo": ["bar"]}, [op("add", "/foo/-", value=["abc", "def"])], {"foo": ["bar", ["abc", "def"]]}),  # A.16
        ({"a/b": {"c~d": 1}}, [op("replace", "/a~1b/c~0d", value=2)], {"a/b": {"c~d": 2}}),
        ({"": {"": 1}}, [op("replace", "//", value=2)], {"": {"": 2}}),
        ({"a": 1}, [op("add", "/a", value=2)], {"a": 2}),
        ({"a": 1}, [op("add", "", value=[1])], [1]),
        ({"a": 1}, [op("replace", "", value={})], {}),
        ({"a": [1]}, [op("add", "/a/1", value=2)], {"a": [1, 2]}),
        ({"a": [1, 2]}, [op("replace", "/a/1", value=None)], {"a": [1, None]}),
        ({"a": {"b": 1}}, [op("copy", "/c", from_="/a"), op("add", "/c/d", value=2)], {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ({"a": 1}, [op("move", "/a", from_="/a")], {"a": 1}),
        ({"a": 1}, [op("copy", "", from_="/a")], 1),
        ({"a": {"b": [1, {"c": None}]}}, [op("test", "", value={"a": {"b": [1, {"c": None}]}})], {"a": {"b": [1, {"c": None}]}}),
        ([1], [op("test", "/0", value=1.0)], [1]),
    ],
)  # fmt: skip
def test_operations(document, operations, expected):
    before = copy.deepcopy((document, operations))
    assert json_patch(document, operations) == expected
    assert (document, operations) == before


@pytest.mark.parametrize(
    ("document", "operation", "message"),
    [
        ({"baz": "qux"}, op("test", "/baz", value="bar"), "testing value /baz failed"),  # A.9
        (
            {"foo": "bar"},
            op("add", "/baz/bat", value="qux"),
            "nothing is at '/baz/bat': 'baz' is missing",
        ),  # A.12
        ({"~1": 10}, op("test", "/~01", value="10"), "testing value /~01 failed"),  # A.15
        ({"a": True}, op("test", "/a", value=1), "testing value /a failed"),
        ({"a": [0]}, op("test", "/a", value=[False]), "testing value /a failed"),
        ({"a": [0]}, op("test", "/a", value=[0, 0]), "testing value /a failed"),
        ({"a": {"b": 1}}, op("test", "/a", value={"b": 1, "c": 2}), "testing value /a failed"),
        ({"a": {}}, op("test", "/a", value=[]), "testing value /a failed"),
        ({}, op("test", "/a", value=None), "nothing is at '/a'"),
        ({}, op("replace", "/a", value=1), "nothing is at '/a'"),
        ({}, op("remove", "/a"), "nothing is at '/a'"),
        ({}, op("remove", ""), "cannot remove the whole document"),
        ({}, op("copy", "/b", from_="/a"), "nothing is at '/a'"),
        ({"a": {"b": 1}}, op("move", "/a/b/c", from_="/a/b"), "cannot move '/a/b' into itself"),
        ({"a": {"b": 1}}, op("move", "/a", from_=""), "cannot move '' into itself"),
        ({"a": 1}, op("add", "/a/b", value=1), "its parent is neither object nor array"),
        ({"a": 1}, op("add", "/a/b/c", value=1), "nothing is at '/a/b/c': 'b' is missing"),
        ({"a": [1]}, op("add", "/a/2", value=1), "'2' is no index of the array"),
        ({"a": [1]}, op("replace", "/a/1", value=1), "'1' is no index of the array"),
        ({"a": [1]}, op("remove", "/a/-"), "'-' is no index of the array"),
        ({"a": [1]}, op("replace", "/a/-1", value=1), "'-1' is no index"),
        ({"a": [1]}, op("replace", "/a/00", value=1), "'00' is no index"),
        ({"a": [1]}, op("replace", "/a/x", value=1), "'x' is no index"),
        ({"a": [1]}, op("replace", f"/a/{'9' * 5000}", value=1), "is no index"),
        ({}, op("add", "a", value=1), "'a' is not a JSON pointer"),
        ({}, op("add", "/~2", value=1), "'/~2' is not a JSON pointer"),
        ({}, op("add", "/a~", value=1), "'/a~' is not a JSON pointer"),
        ({}, op("add", "/a"), '"add" needs a "value"'),
        ({}, {"op": "remove"}, 'an operation needs a "path"'),
        ({}, {"op": "remove", "path": 1}, 'an operation needs a "path"'),
        ({"a": 1}, op("move", "/a"), 'an operation needs a "from"'),
        ({}, op("frobnicate", "/a"), "unknown operation 'frobnicate'"),
        ({}, {"op": [], "path": "/a"}, 'an operation needs a "op", a string'),
        ({}, {"path": "/a"}, 'an operation needs a "op"'),
        ({}, "remove", "an operation is an object"),
    ],
)
def test_operations_that_fail(document, operation, message):
    before = copy.deepcopy(document)
    with pytest.raises(PatchError, match=f"operation 1 of the JSON patch: .*{message}"):
        json_patch(document, [op("test", "", value=document), operation])
    assert document == before


@pytest.mark.parametrize("patch", [None, {}, "", {"op": "add"}])
def test_a_patch_is_a_list(patch):
    with pytest.raises(PatchError, match="a list of operations"):
        json_patch({}, patch)


def test_too_many_operations():
    operations = [op("add", "/a", value=1)] * 10_001
    assert json_patch({}, operations[:-1]) == {"a": 1}
    with pytest.raises(
        PatchTooLarge, match="The allowed maximum operations in a JSON patch is 10000, got 10001"
    ):
        json_patch({}, operations)


def test_copies_that_would_fill_the_memory():
    doubling = [op("copy", f"/a/{number}", from_="/a") for number in range(60)]
    with pytest.raises(PatchTooLarge, match="may add at most 3145728 bytes"):
        json_patch({"a": {}}, doubling)


def test_an_error_is_a_value_error():
    assert issubclass(PatchError, ValueError)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.text("ab/~", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab/~", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
pointers = st.lists(st.sampled_from(["a", "b", "0", "1", "-", "~1", "~0", "ab"]), max_size=3).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
operations = st.builds(
    lambda name, path, source, value: {"op": name, "path": path, "from": source, "value": value},
    st.sampled_from(["add", "remove", "replace", "move", "copy", "test"]),
    pointers,
    pointers,
    json_values,
)


@given(json_values, st.lists(operations, max_size=4))
def test_any_patch_works_or_is_refused_and_changes_no_argument(document, patch):
    before = copy.deepcopy((document, patch))
    try:
        json_patch(document, patch)
    except PatchError:
        pass
    assert (document, patch) == before


@given(json_values, st.text("ab/~", max_size=2), json_values)
def test_what_is_added_is_there_and_removing_it_undoes_it(document, name, value):
    document = {"x": document}
    pointer = "/" + f"new{name}".replace("~", "~0").replace("/", "~1")
    added = json_patch(document, [op("add", pointer, value=value), op("test", pointer, value=value)])
    assert added == {**document, f"new{name}": value}
    assert json_patch(added, [op("remove", pointer)]) == document
